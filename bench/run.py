"""Measure recording and replay on the workloads; print a table, keep the results. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from generate import big_file, many_files, orders
from measure import Case, Result, measure, table
from peers import Peers

BENCH = Path(os.environ.get("BENCH", "/tmp/reenact-bench"))
PEERS = Path(os.environ.get("PEERS", BENCH / "peers"))
REENACT = os.environ.get("REENACT") or str(Path(sys.executable).with_name("reenact"))
PYTHON = os.environ.get("BENCH_PYTHON") or str(PEERS / "base/bin/python")
JOBS = Path(__file__).resolve().parent / "jobs"
DATA = BENCH / "data"
WORK = BENCH / "work"


class Desk:
    """A folder with data in it, and a store of its own beside it."""

    def __init__(self, name: str) -> None:
        self.folder = WORK / name / "desk"
        self.store = WORK / name / "store"
        shutil.rmtree(WORK / name, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.environment = {"REENACT_STORE": str(self.store), "XDG_CONFIG_HOME": str(WORK / name / "config")}
        self._outgrown = 0

    def forget(self) -> None:
        """Begin again with no store.

        The old one is moved away and deleted at the end: file systems without a journal make new files slowly soon after many
        were deleted, and the next round would pay for it.
        """
        if self.store.exists():
            self._outgrown += 1
            self.store.rename(self.store.with_name(f"store-{self._outgrown}"))

    def forget_worlds(self) -> None:
        """Begin a replay with nothing extracted."""
        shutil.rmtree(self.store / "cache/worlds", ignore_errors=True)

    def plain(self, *command: str) -> Case:
        return Case(name="plain", command=command, folder=self.folder)

    def ours(self, name: str, *command: str, prepare: Callable[[], None] = lambda: None) -> Case:
        return Case(
            name=f"reenact {name}",
            command=[REENACT, *command],
            folder=self.folder,
            environment=self.environment,
            prepare=prepare,
        )

    def recorded(self, *command: str) -> list[Case]:
        return [
            self.ours("run, first", "run", "--", *command, prepare=self.forget),
            self.ours("run, unchanged", "run", "--", *command),
        ]


def w1(peers: Peers, rounds: int) -> list[Result]:
    """Record `true`: what a recording costs by itself."""
    desk = Desk("w1")
    cases = [desk.plain("true"), *desk.recorded("true"), *peers.strace(desk.folder, ["true"])]
    cases += peers.dvc(WORK / "w1/dvc", "true", [], []) + peers.datalad(WORK / "w1/datalad", "true", [], [])
    return measure("W1", cases, max(rounds, 7))


def w2(peers: Peers, rounds: int) -> list[Result]:
    """Record a pandas job over a CSV file of two million rows; W7: replay it."""
    desk = Desk("w2")
    source = desk.folder / "orders.csv"
    shutil.copyfile(orders(DATA), source)
    (desk.folder / "out").mkdir()
    job = [PYTHON, str(JOBS / "etl.py"), "orders.csv", "out"]

    def grow() -> None:
        row = source.read_bytes()[-200:].splitlines(keepends=True)[-1]
        with source.open("ab") as file:
            file.write(row)

    cases = [
        desk.plain(*job),
        *desk.recorded(*job),
        desk.ours("run, input changed", "run", "--", *job, prepare=grow),
        *peers.strace(desk.folder, job),
        *peers.dvc(WORK / "w2/dvc", "mkdir -p out && " + " ".join(job), [source], ["out"]),
        *peers.datalad(WORK / "w2/datalad", " ".join(job), [source], ["out"]),
    ]
    recorded = measure("W2", cases, rounds)
    again = [
        desk.plain(*job),
        desk.ours("replay, first", "replay", "latest", prepare=desk.forget_worlds),
        desk.ours("replay, world cached", "replay", "latest"),
    ]
    return recorded + measure("W7", again, rounds)


def w3(peers: Peers, rounds: int) -> list[Result]:
    """Record a job that reads ten thousand small files."""
    desk = Desk("w3")
    shutil.copytree(many_files(DATA / "many"), desk.folder / "data")
    job = [PYTHON, str(JOBS / "checksum.py"), "data", "out"]
    cases = [
        desk.plain(*job),
        *desk.recorded(*job),
        *peers.strace(desk.folder, job),
        *peers.backups(WORK / "w3", desk.folder / "data"),
        *peers.dvc(WORK / "w3/dvc", " ".join(job), [desk.folder / "data"], ["out"]),
    ]
    return measure("W3", cases, rounds)


def w4(peers: Peers, rounds: int) -> list[Result]:
    """Record a job that reads one big file; compared with reading, hashing, writing and syncing it once."""
    desk = Desk("w4")
    source = str(big_file(DATA))
    job = [PYTHON, str(JOBS / "checksum.py"), source, "out"]
    copy = desk.folder / "copy"
    one_pass = Case(
        name="one pass: read, sha256, write, fsync",
        command=[PYTHON, str(JOBS / "one_pass.py"), source, str(copy)],
        folder=desk.folder,
        prepare=lambda: copy.unlink(missing_ok=True),
    )

    def begin_again() -> None:
        copy.unlink(missing_ok=True)
        shutil.rmtree(desk.store, ignore_errors=True)

    cases = [
        one_pass,
        Case(name="the job alone", command=job, folder=desk.folder),
        desk.ours("run, first", "run", "--", *job, prepare=begin_again),
        desk.ours("run, unchanged", "run", "--", *job),
        *peers.backups(WORK / "w4", Path(source)),
    ]
    return measure("W4", cases, rounds)


WORKLOADS = {"w1": w1, "w2": w2, "w3": w3, "w4": w4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=[*WORKLOADS], help="w1 w2 w3 w4; w2 includes W7")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    words = parser.parse_args()
    peers = Peers(PEERS, WORK, wanted=not words.no_peers)
    at = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    results: list[Result] = []
    for name in words.workloads:
        results += WORKLOADS[name](peers, words.rounds)
    facts = {"at": at, "kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    folder = BENCH / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{at}.json"
    path.write_text(json.dumps({**facts, "results": [r.as_dict() for r in results]}, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    for name in sorted(peers.absent):
        print(f"skipped: {name} is not installed")
    print(f"written to {path}")
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
