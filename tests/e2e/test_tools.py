"""Jobs of big tools: uv, dbt, Spark. All slow: they need big environments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.checks import check_reproduced, give_environment, require
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

pytestmark = pytest.mark.slow

CSV = {"in.csv": measurements()}
PROJECT = '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = []\n'
COUNT = "import csv, sys\nn = sum(1 for _ in csv.reader(open('in.csv', encoding='utf8')))\nopen('o.txt', 'w').write(str(n))\nprint(sys.prefix)\n"


@pytest.mark.parametrize("options", [(), ("--no-sync",)], ids=["sync", "no-sync"])
def test_uv_run_is_reproduced(desk: Desk, options: tuple[str, ...]) -> None:
    desk.variables |= {
        "UV_OFFLINE": "1",
        "UV_PYTHON": desk.person.python,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV": str(desk.venv / "bin/uv"),
    }
    job = Job(
        name="uv",
        argv=("@venv/bin/uv", "run", *options, "python", "etl.py"),
        files={**CSV, "pyproject.toml": PROJECT, "etl.py": COUNT},
        prepare='"$UV" sync -q',
        makes=("o.txt",),
        venv="uv",
        prints=True,
    )
    check_reproduced(desk, job)


DBT = {
    **CSV,
    "dbt_project.yml": "name: p\nversion: '1.0'\nprofile: p\nmodel-paths: [models]\nmodels:\n  p:\n    +materialized: table\n",
    # In memory: a database file of DuckDB holds random ids.
    "profiles.yml": "p:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: ':memory:'\n      threads: 1\n",
    "models/a.sql": "select * from read_csv('in.csv')",
    "models/b.sql": "select g, count(*) n, min(x) m from {{ ref('a') }} group by g order by g",
    "models/c.sql": "{{ config(materialized='external', location='c.parquet') }} select * from {{ ref('b') }} where n > 1 order by g",
    "run.sh": """\
export DBT_SEND_ANONYMOUS_USAGE_STATS=false DBT_WRITE_JSON=false DBT_LOG_LEVEL_FILE=none
"$1" -c "from dbt.cli.main import cli; cli()" --no-use-colors --quiet run --profiles-dir .
""",
}
IDS_OF_DBT = {"target/graph_summary.json", "target/partial_parse.msgpack"}
"""What dbt writes with a new id and the time of day at each run, whatever it is told."""


def test_dbt_is_reproduced_when_the_job_removes_what_dbt_numbers_by_chance(desk: Desk) -> None:
    clean = DBT["run.sh"] + "rm -r " + " ".join(IDS_OF_DBT) + "\n"
    job = Job(
        name="dbt",
        argv=("sh", "run.sh", "@venv/bin/python"),
        files={**DBT, "run.sh": clean},
        makes=("c.parquet", "target/run/p/models/b.sql"),
        venv="dbt",
    )
    check_reproduced(desk, job)


def test_the_data_files_of_dbt_are_reproduced_and_its_ids_are_named_as_different(desk: Desk) -> None:
    give_environment(desk, "dbt")
    desk.lay_out(Job(name="dbt", argv=(), files=DBT))
    words = ["sh", "run.sh", str(desk.venv / "bin/python")]
    done = desk.execute(words) if desk.plain else desk.record(*words)
    assert done.exit_code == 0, done.stderr.decode()
    recorded = (desk.folder / "c.parquet").read_bytes()
    if desk.plain:
        return
    desk.vandalise()
    replayed, answer = desk.replay()
    assert (answer["verdict"], replayed.exit_code) == ("diverged", 1)
    different = {output["name"] for output in answer["outputs"] if output["verdict"] != "identical"}
    assert different == IDS_OF_DBT
    assert (desk.out / "c.parquet").read_bytes() == recorded


# Little work, for a Java machine that starts fast.
QUICK = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "SPARK_LOCAL_IP": "127.0.0.1"}
SPARK = """\
from pyspark.sql import SparkSession
s = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
d = s.read.csv("in.csv", header=True, inferSchema=True)
{action}
s.stop()
"""
WRITES_A_TABLE = SPARK.format(action='d.coalesce(1).write.mode("overwrite").parquet("out")')
WRITES_A_FILE = SPARK.format(action='open("out.txt", "w").write(repr(d.groupBy("g").count().orderBy("g").collect()))')
READ_TABLE = (
    "import json, sys, pyarrow.parquet as p; print(json.dumps(p.read_table(sys.argv[1]).to_pylist(), default=str))"
)


def test_the_table_spark_writes_is_reproduced_under_other_names(desk: Desk) -> None:
    """Spark names its parts by chance: the verdict honestly says `diverged`, and the tables are equal row by row."""
    require("java")
    give_environment(desk, "spark")
    desk.lay_out(Job(name="spark", argv=(), files={**CSV, "etl.py": WRITES_A_TABLE}))
    desk.variables |= QUICK
    words = [str(desk.venv / "bin/python"), "etl.py"]
    done = desk.execute(words) if desk.plain else desk.record(*words)
    assert done.exit_code == 0, done.stderr.decode()
    recorded = _table(desk, desk.folder / "out")
    assert len(recorded) == 400
    if desk.plain:
        return
    replayed, answer = desk.replay()
    assert (answer["verdict"], replayed.exit_code) == ("diverged", 1)
    others = {output["name"] for output in answer["outputs"] if output["verdict"] != "identical"}
    # On stderr it tells how far it is, every now and then.
    assert {name for name in others if not name.startswith("out/")} <= {"stderr"}, answer
    assert {output["verdict"] for output in answer["outputs"]} >= {"missing", "extra"}
    assert _table(desk, desk.out / "out") == recorded


def _table(desk: Desk, folder: Any) -> Any:
    return desk.execute([str(desk.venv / "bin/python"), "-c", READ_TABLE, str(folder)]).json()


def test_what_spark_computes_is_reproduced_when_the_job_names_its_file(my_desk: Desk) -> None:
    require("java")
    job = Job(
        name="spark",
        argv=("@venv/bin/python", "etl.py"),
        files={**CSV, "etl.py": WRITES_A_FILE},
        variables=QUICK,
        makes=("out.txt",),
        venv="spark",
        noisy=True,
    )
    check_reproduced(my_desk, job)
