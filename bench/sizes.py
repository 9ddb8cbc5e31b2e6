"""Measure how much room versions of a file take: W5 (a table as it is each day) and one change at a time. See README.md."""

from __future__ import annotations

import argparse
import ctypes
import filecmp
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from generate import snapshots

BENCH = Path(os.environ.get("BENCH", "/tmp/reenact-bench"))
PEERS = Path(os.environ.get("PEERS", BENCH / "peers"))
REENACT = os.environ.get("REENACT") or str(Path(sys.executable).with_name("reenact"))
PYTHON = os.environ.get("BENCH_PYTHON") or str(PEERS / "base/bin/python")
DATA = BENCH / "data"
WORK = BENCH / "work" / "sizes"
PR_SET_CHILD_SUBREAPER = 36
MB = 1_000_000


@dataclass(frozen=True)
class Used:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    most_mib: float
    """Of the process of the tree that had the most resident memory."""

    def __add__(self, other: Used) -> Used:
        return Used(
            self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, max(self.most_mib, other.most_mib)
        )


NOTHING = Used(0, 0, 0)


def use(command: list[str], folder: Path, environment: Mapping[str, str]) -> Used:
    """Run a command; fails when it does."""
    # What a command leaves behind (our recorder, when it ends last) becomes ours, so that it is counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begun = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or b"not recorded" in said:
        raise SystemExit(f"{command}: exit status {process.returncode}: {said[-400:].decode(errors='replace')}")
    used = Used(time.perf_counter() - begun, spent.ru_utime + spent.ru_stime, spent.ru_maxrss / 1024)
    while True:
        try:
            _, _, spent = os.wait3(0)
        except ChildProcessError:
            return used
        used += Used(0, spent.ru_utime + spent.ru_stime, spent.ru_maxrss / 1024)


class Tool:
    """One way to keep `data` of a folder, again and again."""

    def __init__(self, name: str, place: Path, keep: list[str], environment: Mapping[str, str]) -> None:
        self.name, self.place, self._keep, self.environment = name, place, keep, dict(environment)
        self.kept = 0

    @property
    def repository(self) -> Path:
        return self.place / "repository"

    @property
    def folder(self) -> Path:
        return self.place / "desk"

    def begin(self, *make: str) -> Tool:
        shutil.rmtree(self.place, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if make:
            use(list(make), self.place, self.environment)
        return self

    def keep(self, source: Path) -> Used:
        """Keep a version of the file; copying it to its place is not timed."""
        fresh = self.folder / "fresh"
        shutil.copyfile(source, fresh)
        fresh.replace(self.folder / "data")
        self.kept += 1
        return use([word.replace("@", str(self.kept)) for word in self._keep], self.folder, self.environment)

    def stored_bytes(self) -> int:
        places = [self.repository / name for name in ("objects", "packs", "runs")] if self.name == "reenact" else []
        return sum(
            file.stat().st_size
            for place in places or [self.repository]
            for file in place.rglob("*")
            if file.is_file() and not file.is_symlink()
        )

    def restore(self, age: int, target: Path) -> Used | None:
        """Give back what was kept some versions ago, when that is measured of this tool."""
        if self.name != "reenact":
            return None
        run = f"data~{age}" if age else "data"
        shutil.rmtree(target, ignore_errors=True)
        return use([REENACT, "restore", run, "--inputs", "--to", str(target)], self.place, self.environment)


def tools(*, peers: bool) -> list[Callable[[], Tool]]:
    """Give what makes each tool with nothing kept yet."""

    def ours() -> Tool:
        place = WORK / "reenact"
        variables = {"REENACT_STORE": str(place / "repository"), "XDG_CONFIG_HOME": str(place / "config")}
        return Tool("reenact", place, [REENACT, "run", "--job", "data", "--", "cat", "data"], variables).begin()

    def restic() -> Tool:
        place = WORK / "restic"
        variables = {
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_CACHE_DIR": str(place / "cache"),
            "RESTIC_REPOSITORY": str(place / "repository"),
        }
        return Tool("restic", place, ["restic", "-q", "backup", "data"], variables).begin("restic", "init", "-q")

    def borg() -> Tool:
        place = WORK / "borg"
        variables = {
            "BORG_REPO": str(place / "repository"),
            "BORG_BASE_DIR": str(place / "base"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }
        keep = ["borg", "create", "--compression", "zstd,3", "::@", "data"]
        return Tool("borg", place, keep, variables).begin("borg", "init", "-e", "none")

    found = [ours]
    for name, make in (("restic", restic), ("borg", borg)):
        if peers and shutil.which(name):
            found.append(make)
        elif peers:
            print(f"skipped: {name} is not installed", file=sys.stderr)
    return found


def days(rows: int, count: int, *, peers: bool) -> None:
    """W5."""
    # By a process of its own: what a started program is said to have used at most begins with what its starter had then.
    with ProcessPoolExecutor(1) as pool:
        paths = pool.submit(snapshots, DATA, rows, count).result()
    total = sum(path.stat().st_size for path in paths)
    print(f"\nW5: {count} days, {total / MB:.0f} MB in all, {paths[-1].stat().st_size / MB:.0f} MB the last\n")
    print("| how | stored, MB | for 9.8 GB | wall s | CPU s | most MiB |\n|---|---|---|---|---|---|")
    for make in tools(peers=peers):
        tool = make()
        used = NOTHING
        for path in paths:
            used += tool.keep(path)
        stored = tool.stored_bytes() / MB
        print(
            f"| {tool.name} | {stored:.1f} | {stored * 9800 * MB / total / 1000:.3f} GB | {used.seconds:.1f} |"
            f" {used.cpu_seconds:.1f} | {used.most_mib:.0f} |",
            flush=True,
        )
        for age in sorted({0, min(2, count - 1), count // 2, count - 1}):
            target = WORK / "restored"
            taken = tool.restore(age, target)
            if taken is not None:
                size = paths[-1 - age].stat().st_size / MB
                same = filecmp.cmp(paths[-1 - age], target / "data", shallow=False)
                print(
                    f"restore day {count - 1 - age}: {'' if same else 'NOT '}the same, {taken.seconds:.2f} s wall"
                    f" ({size / taken.seconds:.0f} MB/s), {taken.cpu_seconds:.2f} s CPU, {taken.most_mib:.0f} MiB",
                    file=sys.stderr,
                    flush=True,
                )
        shutil.rmtree(tool.place)


def changes(rows: int, *, peers: bool) -> None:
    """One change at a time."""
    folder = DATA / f"changes-{rows}"
    if not (folder / "done").exists():
        subprocess.run([PYTHON, str(Path(__file__).with_name("changes.py")), str(folder), str(rows)], check=True)
    ways = tools(peers=peers)
    names = [make().name for make in ways]
    for base in sorted(folder.glob("base.*")):
        kind = base.suffix[1:]
        begun = []
        for make in ways:
            tool = make()
            tool.keep(base)
            shutil.rmtree(tool.place.with_name(f"{tool.name}-base"), ignore_errors=True)
            shutil.copytree(tool.place, tool.place.with_name(f"{tool.name}-base"), symlinks=True)
            begun.append(tool)
        first = ", ".join(f"{tool.name} {tool.stored_bytes() / MB:.2f}" for tool in begun)
        print(
            f"\n{kind}: {base.stat().st_size / MB:.1f} MB; stored first: {first}; bytes that one more version adds, MB\n"
        )
        print(f"| change | zstd -3 | {' | '.join(names)} | reenact / zstd -3 |")
        print("|---" * (len(names) + 3) + "|")
        for path in sorted(folder.glob(f"*.{kind}")):
            if path != base:
                _row(path, begun)
        for tool in begun:
            shutil.rmtree(tool.place.with_name(f"{tool.name}-base"))
            shutil.rmtree(tool.place)


def _row(path: Path, begun: list[Tool]) -> None:
    plain = len(subprocess.run(["zstd", "-q", "-3", "-c", str(path)], stdout=subprocess.PIPE, check=True).stdout) / MB
    added = []
    for tool in begun:
        shutil.rmtree(tool.place)
        shutil.copytree(tool.place.with_name(f"{tool.name}-base"), tool.place, symlinks=True)
        before = tool.stored_bytes()
        tool.keep(path)
        added.append((tool.stored_bytes() - before) / MB)
    figures = " | ".join(f"{figure:.2f}" for figure in added)
    name = path.name.removesuffix(path.suffix).replace("_", " ")
    print(f"| {name} | {plain:.2f} | {figures} | {added[0] / plain:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000, help="of the table; 3,000,000 are 0.32 GB")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--change-rows", type=int, default=400_000, help="of the table that is changed in one way")
    parser.add_argument("--only", choices=["days", "changes"])
    parser.add_argument("--no-peers", action="store_true")
    words = parser.parse_args()
    if words.only != "changes":
        days(words.rows, words.days, peers=not words.no_peers)
    if words.only != "days":
        changes(words.change_rows, peers=not words.no_peers)
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
