"""The one place that reads the wall clock, and the one way times are written: RFC 3339, UTC, microseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["from_ns", "now_ns", "parse", "timestamp"]


def now_ns() -> int:
    """Read the wall clock: nanoseconds since the Unix epoch."""
    return time.time_ns()


def from_ns(ns: int) -> str:
    """Write nanoseconds since the epoch as ``2026-01-02T03:04:05.000006Z`` (truncated to microseconds)."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"


def timestamp() -> str:
    """Write the present moment."""
    return from_ns(now_ns())


def parse(text: str) -> datetime:
    """Read a time as :func:`from_ns` writes it; ValueError when it is not one."""
    from datetime import UTC, datetime  # noqa: PLC0415 - 2 ms that writing a time does not need

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its zone: {text!r}")
    return moment.astimezone(UTC)
