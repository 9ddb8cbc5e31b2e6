from __future__ import annotations

import pytest

from reenact.settings import job_name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python etl.py", "etl"),
        ("/usr/bin/python3.11 -u -X dev jobs/etl.py --day 1", "etl"),
        ("python -m package.load", "package.load"),
        ("python -c print(1)", "python"),
        ("python3.12", "python3.12"),
        ("sh -eu x.sh", "x"),
        ("bash -c true", "bash"),
        ("bash -euc true", "bash"),
        ("bash -o pipefail run.sh", "run"),
        ("./load-daily.sh 1", "load-daily"),
        ("dbt run --select x", "dbt"),
        ("make -j2 all", "make"),
        ("java -cp a.jar Main", "Main"),
        ("java -jar etl.jar", "etl"),
        ("java Load.java", "Load"),
        ("node --require hook.js load.mjs", "load"),
        ("perl -I lib x.pl", "x"),
        ("perl -e 1", "perl"),
        ("Rscript --vanilla model.R", "model"),
        ("awk -f sum.awk x.csv", "awk"),
        ("/opt/.hidden", ".hidden"),
    ],
)
def test_a_job_is_named_by_its_script_or_its_program(command: str, name: str) -> None:
    assert job_name(command.split()) == name


def test_no_words_still_make_a_name() -> None:
    assert job_name([]) == job_name([""]) == "job"
