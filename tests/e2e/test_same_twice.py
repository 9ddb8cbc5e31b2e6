"""Same inputs, same bundle: two recordings differ in ids, times and facts of the host, and in nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.checks import give_environment
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

VOLATILE = {"run_id", "timestamp", "started_at", "ended_at", "overhead_us", "calls", "stat_facts", "mtime_ns", "time"}
"""Fields that are ids, times or host facts. The change time of an input file is fixed by the
test; outputs are made at another time, and so are names in folders that everybody writes to (/tmp)."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def normalised(value: Any, *, where: str = "") -> Any:
    """Take out of a bundle what may differ between two recordings of the same."""
    if isinstance(value, dict):
        return {
            key: normalised(inner, where=f"{where}.{key}")
            for key, inner in value.items()
            if key not in VOLATILE
            or (key == "mtime_ns" and where.startswith(".inputs") and value.get("type") != "directory")
        }
    if isinstance(value, list):
        return [normalised(inner, where=where) for inner in value]
    return ID.sub("<id>", value) if isinstance(value, str) else value


JOBS = (
    Job(
        name="shell",
        argv=("sh", "run.sh"),
        files={
            "in.csv": measurements(),
            "run.sh": "sort in.csv | uniq -c > a.txt & cut -d, -f2 in.csv > b.txt; wait; mkdir -p d; mv a.txt d/; ls d\n",
        },
    ),
    Job(
        name="python",
        argv=("@python", "etl.py"),
        files={
            "in.csv": measurements(),
            "helper.py": "def f(x):\n    return x.upper()\n",
            "etl.py": "import csv, json, subprocess, helper\n"
            "json.dump([helper.f(r['g']) for r in csv.DictReader(open('in.csv'))], open('out.json', 'w'))\n"
            "subprocess.run(['wc', '-l', 'in.csv'])\n",
        },
    ),
    pytest.param(
        Job(
            name="pandas",
            argv=("@venv/bin/python", "-c", "import pandas as p; p.read_csv('in.csv').to_parquet('out.parquet')"),
            files={"in.csv": measurements()},
            venv="frames",
        ),
        id="pandas",
        marks=pytest.mark.slow,
    ),
)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_two_recordings_of_the_same_are_equal(desk: Desk, job: Job) -> None:
    if job.venv:
        give_environment(desk, job.venv)
    bundles = []
    for _ in range(3):
        desk.lay_out(job)
        done = desk.record(*(desk.fill(word) for word in job.argv))
        assert done.exit_code == 0, done.stderr.decode()
        bundles.append(desk.show())
    first, second, third = (normalised(bundle) for bundle in bundles)
    assert len({bundle["run_id"] for bundle in bundles}) == 3
    for other in (second, third):
        assert set(other) == set(first)
        for field in first:
            assert other[field] == first[field], field


def test_equal_environments_share_one_manifest_whoever_records(desk: Desk) -> None:
    digests = set()
    for text in ("a", "b"):
        desk.clear()
        desk.write("in.csv", text)
        assert desk.record("sh", "-c", "sort in.csv > out.csv").exit_code == 0
        digests.add(desk.show()["environment"]["manifest"])
    assert len(digests) == 1
