"""A job as data: its files, how it is prepared and started, and what it must leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Job", "measurements"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One ETL job of a test.

    ``@python`` in a word of `argv` stands for an interpreter the person can run, ``@venv`` for a throw-away environment.
    """

    name: str
    argv: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    prepare: str = ""
    """A bash script, run in the job's folder after its files are there and before any recording."""
    settle: str = ""
    """A second such script, after all files got their old times: for what remembers inode numbers and change times."""
    makes: tuple[str, ...] = ()
    """Files the job makes or changes; the check fails when one is not among the changes."""
    removes: tuple[str, ...] = ()
    redirect: str = ""
    """Redirections by the caller, in shell words: ``< in.csv > out.txt``."""
    stdin: bytes = b""
    venv: str | None = None
    needs: tuple[str, ...] = ()
    """Programs without which the test is skipped."""
    exit_code: int = 0
    """As a shell shows it: 128 + N after signal N."""
    variables: Mapping[str, str] = field(default_factory=dict)
    noisy: bool = False
    """Its stderr holds times or ids: not compared."""
    prints: bool = False
    """The job says something on stdout; the check fails when it does not."""

    def __str__(self) -> str:
        return self.name


def measurements(rows: int = 400) -> str:
    """Make a table as CSV: id, group (one of them not ASCII), a value, a day; the same at each call."""
    lines = ["id,g,x,d"]
    lines += [f"{i},{'abcé'[i * 7 % 11 % 4]},{i * 7919 % 10007 / 100:.4f},2024-0{i % 9 + 1}-01" for i in range(rows)]
    return "\n".join(lines) + "\n"
