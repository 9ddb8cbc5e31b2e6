"""Python jobs: table libraries, a program of several files, every way to start worker processes."""

from __future__ import annotations

import pytest

from tests.e2e.checks import check_reproduced
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

CSV = {"in.csv": measurements(2000)}

FRAMES = {
    "pandas": (
        """
import pandas as pd
d = pd.read_csv("in.csv", parse_dates=["d"])
d.groupby("g").x.agg(["sum", "mean"]).to_parquet("agg.parquet")
d.sort_values("x").to_parquet("all.parquet")
print(d.describe())
""",
        ("agg.parquet", "all.parquet"),
    ),
    "polars": (
        """
import polars as pl
d = pl.scan_csv("in.csv")
d.group_by("g", maintain_order=True).agg(pl.col("x").sum()).collect().write_parquet("agg.parquet")
d.collect().sort("id").write_parquet("all.parquet")
print(pl.read_parquet("agg.parquet"))
""",
        ("agg.parquet", "all.parquet"),
    ),
    # In memory: a database file of DuckDB holds random ids, two plain runs of it differ.
    "duckdb": (
        """
import duckdb
c = duckdb.connect()
c.execute("create table t as select * from read_csv('in.csv')")
c.execute("copy (select g, count(*) n, min(x) m from t group by g order by g) to 'agg.parquet'")
print(c.execute("select max(x), count(*) from 'agg.parquet', t").fetchall())
""",
        ("agg.parquet",),
    ),
}


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=[pytest.mark.slow] if name != "pandas" else []) for name in FRAMES]
)
def test_a_table_library_that_writes_parquet_is_reproduced_without_its_packages(desk: Desk, library: str) -> None:
    script, makes = FRAMES[library]
    job = Job(
        name=library,
        argv=("@venv/bin/python", "etl.py"),
        files={**CSV, "etl.py": script},
        makes=makes,
        venv="frames",
        prints=True,
    )
    check_reproduced(desk, job)


def test_a_program_with_a_local_package_a_config_file_and_a_subprocess_is_reproduced(desk: Desk) -> None:
    job = Job(
        name="local-package",
        argv=("@python", "jobs/etl.py", "--config", "conf/etl.toml"),
        files={
            **CSV,
            "conf/etl.toml": 'group = "g"\nvalue = "x"\nout = "out/sums.json"\n',
            "lib/cleaning/__init__.py": "from cleaning.numbers import tidy\n",
            "lib/cleaning/numbers.py": "def tidy(text):\n    return round(float(text), 2)\n",
            "lib/tool.py": "import sys\nprint(sum(float(line) for line in sys.stdin))\n",
            "jobs/etl.py": """\
import collections, csv, json, pathlib, subprocess, sys, tomllib
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lib"))
import cleaning
config = tomllib.loads(pathlib.Path(sys.argv[2]).read_text())
sums, seen = collections.defaultdict(float), []
with open("in.csv", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        sums[row[config["group"]]] += cleaning.tidy(row[config["value"]])
        seen.append(row[config["value"]])
total = subprocess.run([sys.executable, "lib/tool.py"], input="\\n".join(seen), text=True, capture_output=True, check=True)
out = pathlib.Path(config["out"])
out.parent.mkdir()
out.write_text(json.dumps({**sums, "total": total.stdout.strip()}, ensure_ascii=False, indent=1))
print(len(sums), "groups")
""",
        },
        makes=("out/sums.json",),
        prints=True,
    )
    check_reproduced(desk, job)


def test_threads_that_make_folders_side_by_side_are_reproduced(desk: Desk) -> None:
    """As writers of partitioned tables do: each makes its own folder, and what is above it where that is not there."""
    script = """\
import os, threading
def write(name, start):
    start.wait()
    for top in range(25):
        os.makedirs(f"out/{top}/{name}", exist_ok=True)
        with open(f"out/{top}/{name}/part", "x") as file:
            file.write(name)
start = threading.Barrier(4)
threads = [threading.Thread(target=write, args=(name, start)) for name in "abcd"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    parts = tuple(f"out/{top}/{name}/part" for top in range(25) for name in "abcd")
    check_reproduced(desk, Job(name="folders", argv=("@python", "etl.py"), files={"etl.py": script}, makes=parts))


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_worker_processes_are_reproduced_whatever_way_they_start(desk: Desk, method: str) -> None:
    script = f"""\
import json, multiprocessing as mp
from multiprocessing import shared_memory
from multiprocessing.pool import ThreadPool
def part(k):
    with open("in.csv", encoding="utf8") as file:
        found = [float(line.split(",")[2]) for i, line in enumerate(file) if i and i % 4 == k]
    with open(f"part-{{k}}.txt", "w") as out:
        out.write(str(sum(found)))
    return k, sum(found)
if __name__ == "__main__":
    context = mp.get_context({method!r})
    with context.Pool(3) as pool:
        found = {{"processes": pool.map(part, range(4))}}
    with ThreadPool(3) as pool:
        found["threads"] = pool.map(part, range(4))
    queue = context.Queue()
    worker = context.Process(target=queue.put, args=("from a worker",))
    worker.start()
    found["queue"] = queue.get()
    worker.join()
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.close()
    memory.unlink()
    with open("out.json", "w") as out:
        json.dump(found, out)
"""
    job = Job(
        name=method,
        argv=("@python", "etl.py"),
        files={**CSV, "etl.py": script},
        makes=("out.json", *(f"part-{k}.txt" for k in range(4))),
    )
    check_reproduced(desk, job)


def test_a_venv_of_links_to_the_interpreter_and_an_editable_package_is_reproduced(desk: Desk) -> None:
    job = Job(
        name="editable",
        argv=("venv/bin/python", "-m", "mart"),
        files={"checkout/mart.py": "import os\nopen('out.txt', 'w').write(__file__ + os.sep)\n"},
        prepare="""
            "$PYTHON_OF_TEST" -m venv --without-pip venv
            site=$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
            echo "$PWD/checkout" > "$site/__editable__.mart.pth"
        """,
        makes=("out.txt",),
        variables={},
    )
    desk.variables["PYTHON_OF_TEST"] = desk.person.python
    check_reproduced(desk, job)
