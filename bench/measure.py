"""Measure commands side by side: paired rounds, medians, and how busy the machine was with other things."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Case", "Result", "measure", "table"]

TIMEOUT_SECONDS = 900
TAIL_CHARACTERS = 400
_SET_CHILD_SUBREAPER = 36
_LEFT_SECONDS = 2.0


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way of doing a workload."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's."""
    prepare: Callable[[], None] = nothing
    """Done before each round, not timed."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured of one case."""

    workload: str
    name: str
    seconds: list[float]
    """Wall time, one a round."""
    ratio: float
    """Median over the rounds of this case's time divided by the first case's time in the same round."""
    cpu_seconds: float
    """Median, of the whole process tree, with those of it whose parents did not wait for them."""
    busy: float
    """Median number of CPUs that others kept busy meanwhile."""
    failed: str = ""

    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "median": self.median()}


@dataclass
class _Run:
    seconds: float
    cpu: float
    busy: float


class _Failed(Exception):
    """A command did not exit with 0."""


def measure(workload: str, cases: Sequence[Case], rounds: int) -> list[Result]:
    """Run all cases once a round, in the order given; the first is what the others are compared with.

    A case that fails is left out of later rounds; its result says how it failed.
    """
    runs: dict[str, list[_Run]] = {case.name: [] for case in cases}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for case in cases:
            if case.name in failed:
                continue
            try:
                case.prepare()
                os.sync()  # nobody pays for what the one before left in the page cache
                run = _once(case)
            except (_Failed, OSError, subprocess.SubprocessError) as error:
                failed[case.name] = str(error)
                print(f"{workload} {case.name}: failed: {error}", file=sys.stderr, flush=True)
                continue
            runs[case.name].append(run)
            print(f"{workload} {number + 1}/{rounds} {case.name}: {run.seconds:.3f} s", file=sys.stderr, flush=True)
    base = [run.seconds for run in runs[cases[0].name]]
    return [_result(workload, case.name, runs[case.name], base, failed.get(case.name, "")) for case in cases]


def _result(workload: str, name: str, runs: list[_Run], base: list[float], failed: str) -> Result:
    ratios = [run.seconds / plain for run, plain in zip(runs, base, strict=False)]
    return Result(
        workload=workload,
        name=name,
        seconds=[run.seconds for run in runs],
        ratio=statistics.median(ratios) if ratios else float("nan"),
        cpu_seconds=statistics.median(run.cpu for run in runs) if runs else float("nan"),
        busy=statistics.median(run.busy for run in runs) if runs else float("nan"),
        failed=failed,
    )


def _adopt() -> None:
    """Become the parent of processes whose own is gone, so that their time is counted. See: man 2 prctl."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap() -> None:
    """Wait for what a command left to end; not for long, as it may have left a service."""
    deadline = time.monotonic() + _LEFT_SECONDS
    while time.monotonic() < deadline:
        try:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.01)
        except ChildProcessError:
            return


def _once(case: Case) -> _Run:
    _adopt()
    _reap()
    environment = {**os.environ, **case.environment}
    before, started, ticks = os.times(), time.perf_counter(), _machine_seconds()
    done = subprocess.run(
        case.command,
        cwd=case.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    seconds = time.perf_counter() - started
    _reap()
    after = os.times()
    said = done.stdout.decode(errors="replace")
    if done.returncode or "not recorded" in said:
        raise _Failed(f"exit status {done.returncode}: {said[-TAIL_CHARACTERS:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return _Run(seconds, cpu, max(0.0, _machine_seconds() - ticks - cpu) / seconds)


def _machine_seconds() -> float:
    """Give the CPU seconds this machine has spent working since it started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, soft, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def table(results: Sequence[Result]) -> str:
    """Write results as a Markdown table."""
    lines = [
        "| work | how | n | median | min–max | of plain | CPU | others busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if not r.seconds:
            lines.append(f"| {r.workload} | {r.name} | 0 | failed | | | | |")
            continue
        spread = f"{_text(min(r.seconds))}–{_text(max(r.seconds))}"
        lines.append(
            f"| {r.workload} | {r.name} | {len(r.seconds)} | {_text(r.median())} | {spread} | {r.ratio:.2f} |"
            f" {_text(r.cpu_seconds)} | {r.busy:.1f} |"
        )
    return "\n".join(lines)


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
