"""Measure comparing two tables by a key, with a tolerance (W9), beside diffly and datacompy; see README.md.

    python bench/compare.py                       # ten million rows
    python bench/compare.py --check 30            # thirty pairs of small random tables: the same counts as diffly's

Needs duckdb and pyarrow in the Python in use, and diffly, datacompy and polars in the venv `compare` among the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

BENCH = Path(os.environ.get("BENCH", "/tmp/reenact-bench"))
PEERS = Path(os.environ.get("PEERS", BENCH / "peers"))
REENACT = os.environ.get("REENACT") or str(Path(sys.executable).with_name("reenact"))
JOBS = Path(__file__).resolve().parent / "jobs"
DATA = BENCH / "data"
ROWS = 10_000_000
TIMEOUT_SECONDS = 900
OURS = [REENACT, "compare", "--json", "--compare", "rows", "--key", "id", "--absolute", "score=1e-9"]


@dataclass(frozen=True)
class Used:
    seconds: float
    cpu_seconds: float
    most_mib: float
    answer: dict[str, object]


def run(command: list[str]) -> Used:
    """Run a command to its end; one that ends with 1 has found differences."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=BENCH)
    assert process.stdout is not None
    assert process.stderr is not None
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: {process.stderr.read().decode()[-400:]}")
    return Used(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, json.loads(out))


def counts(answer: dict[str, object]) -> dict[str, object]:
    """Bring our answer into the form of the peers' jobs."""
    comparisons: dict[str, dict[str, list[dict[str, object]]]] = answer["comparisons"]  # type: ignore[assignment]
    if not comparisons:
        return {"changed": 0, "added": 0, "removed": 0, "columns": {}}
    [part] = next(iter(comparisons.values()))["parts"]
    columns: list[dict[str, object]] = part["columns"]  # type: ignore[assignment]
    found = {name: part[name] for name in ("changed", "added", "removed")}
    return {**found, "columns": {c["column"]: c["changed"] for c in columns if c["changed"]}}


def names(rows: int) -> tuple[Path, Path]:
    return DATA / f"compare-{rows}-a.parquet", DATA / f"compare-{rows}-b.parquet"


def large(rows: int) -> None:
    """Make two tables: the second in another order, 1.5 % of rows changed, some added and removed, noise in one column."""
    DATA.mkdir(parents=True, exist_ok=True)
    first, second = names(rows)
    if second.exists():
        return
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE a AS SELECT i AS id, (hash(i) % 1000)::INTEGER AS k, (hash(i + 1) % 100000) / 7.0 AS price,"
            " (hash(i + 2) % 1000003) / 1000003.0 AS score, 'name' || (hash(i) % 99999) AS name,"
            " CASE WHEN i % 200 = 0 THEN NULL ELSE 'note' || (i % 50) END AS note,"
            " TIMESTAMP '2024-01-01' + to_seconds(i) AS ts, i % 2 = 0 AS flag"
            f" FROM range({rows}) t(i)"
        )
        connection.execute(f"COPY a TO '{first}'")
        connection.execute(
            "COPY (SELECT * FROM (SELECT id, k, CASE WHEN id % 100 = 7 THEN price + 1 ELSE price END AS price,"
            " score + 1e-12 * (id % 3 - 1) AS score, name, CASE WHEN id % 200 = 1 THEN 'x' ELSE note END AS note, ts, flag"
            f" FROM a WHERE id % 1000 <> 13 UNION ALL SELECT {rows} + i, 1, 2.0, 3.0, 'n', 'o', TIMESTAMP '2024-01-01',"
            f" true FROM range({rows} * 3 // 1000) t(i)) ORDER BY hash(id)) TO '{second}'"
        )


def small(seed: int, folder: Path) -> tuple[Path, Path]:
    """Make two random tables: few rows, keys and values that collide, nulls, NaNs and infinities."""
    chance = random.Random(seed)
    numbers = [0.0, -0.0, 1.0, 1.0 + 1e-12, 1.5, float("nan"), float("inf"), -1e300, None]
    paths = []
    for side in "ab":
        ids = chance.sample(range(40), chance.randrange(30))
        table = pa.table(
            {
                "id": pa.array(ids, pa.int64()),
                "score": pa.array([chance.choice(numbers) for _ in ids], pa.float64()),
                "name": pa.array([chance.choice(["", "a", "b", None]) for _ in ids], pa.string()),
                "n": pa.array([chance.choice([0, 1, None]) for _ in ids], pa.int32()),
                "at": pa.array([chance.choice([0, 1, None]) for _ in ids], pa.timestamp("us")),
                "flag": pa.array([chance.choice([True, False, None]) for _ in ids], pa.bool_()),
            }
        )
        paths.append(folder / f"random-{seed}-{side}.parquet")
        pq.write_table(table, paths[-1])
    return paths[0], paths[1]


def peers() -> dict[str, list[str]]:
    python = PEERS / "compare/bin/python"
    if not python.exists():
        print(f"skipped: diffly and datacompy ({python} is not there)")
        return {}
    return {name: [str(python), str(JOBS / f"compare_{name}.py")] for name in ("diffly", "datacompy")}


def check(number: int) -> int:
    """Compare our counts on random tables with diffly's; give the number of pairs that differ."""
    job = peers().get("diffly")
    if job is None:
        return 1
    DATA.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for seed in range(number):
        pair = [str(path) for path in small(seed, DATA)]
        ours, theirs = counts(run([*OURS, *pair]).answer), run([*job, *pair]).answer
        if ours != theirs:
            wrong += 1
            print(f"seed {seed}: ours {ours}, diffly's {theirs}")
    print(f"{number - wrong} of {number} pairs have the same counts")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--make", action="store_true", help="only make the tables")
    parser.add_argument("--check", type=int, default=0, metavar="PAIRS")
    words = parser.parse_args()
    if words.check:
        return min(check(words.check), 1)
    if words.make:
        large(words.rows)
        return 0
    # In a process of its own: the most memory of a process counts for those it starts, too.
    subprocess.run([sys.executable, __file__, "--make", "--rows", str(words.rows)], check=True)
    pair = [str(path) for path in names(words.rows)]
    cases = {"reenact compare": OURS, **peers()}
    used: dict[str, list[Used]] = {name: [] for name in cases}
    for _ in range(words.rounds):
        for name, command in cases.items():
            used[name].append(run([*command, *pair]))
            last = used[name][-1]
            print(f"{name}: {last.seconds:.1f} s, CPU {last.cpu_seconds:.1f} s, {last.most_mib:.0f} MiB", flush=True)
    print("| how | n | median | CPU | of ours | most memory | changed, added, removed |\n|---|---|---|---|---|---|---|")
    base = statistics.median(u.cpu_seconds for u in used["reenact compare"])
    for name, all_used in used.items():
        answer = all_used[0].answer
        found = counts(answer) if name == "reenact compare" else answer
        cpu = statistics.median(u.cpu_seconds for u in all_used)
        print(
            f"| {name} | {len(all_used)} | {statistics.median(u.seconds for u in all_used):.1f} s | {cpu:.1f} s |"
            f" {cpu / base:.2f} | {max(u.most_mib for u in all_used):.0f} MiB |"
            f" {found['changed']}, {found['added']}, {found['removed']} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
