"""Journals written by hand: the header of a plain job, records of real files, and an observation made from them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from reenact.capture.conditions import conditions
from reenact.capture.journal import JournalWriter
from reenact.capture.observation import Observation

__all__ = ["STARTED_NS", "entry", "header", "observed", "write"]

STARTED_NS = 1_700_000_000_000_000_000


def header(root: str | Path, **changes: Any) -> dict[str, Any]:
    """Make the first record of a journal: the job ``etl``, started in its root by whoever runs the tests."""
    return {
        **conditions(),
        "parent_run_id": None,
        "run_id": "01990000-0001-7000-8000-000000000001",
        "started_ns": STARTED_NS,
        "job": "etl",
        "argv": ["sh", "etl.sh"],
        "cwd": str(root),
        "root": str(root),
        "home": "",
        "streams": {name: {"kind": "null"} for name in ("stdin", "stdout", "stderr")},
        "variables": {"PATH": "/usr/bin"},
        "redacted": {},
        "parameters": {},
        "labels": {},
        "rung": "kernel",
        "environment_mode": "sealed",
        **changes,
    }


def entry(path: str | Path) -> list[Any]:
    """Record a path as it is now."""
    found = os.lstat(path)
    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
    numbers = (
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_uid,
        found.st_gid,
        found.st_dev,
        found.st_ino,
        found.st_nlink,
        found.st_ctime_ns,
        found.st_blocks,
        found.st_rdev,
    )
    return ["e", str(path), *numbers, target]


def write(path: str | Path, *records: list[Any]) -> None:
    """Write a journal."""
    with open(path, "ab") as file:
        writer = JournalWriter(file.fileno())
        for record in records:
            writer.write(record)
        writer.flush()
        assert not writer.broken


def observed(*records: list[Any]) -> Observation:
    """Fold records as a recorder does."""
    observation = Observation()
    for record in records:
        observation.apply([*record])
    return observation
