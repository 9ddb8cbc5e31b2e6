"""Run identifiers: UUIDv7, whose first 48 bits are the time, so that names sort by start (RFC 9562 section 5.7).

The random part comes from the operating system, never from :mod:`random`: a job that seeds its generator must not make
two runs share an id.
"""

from __future__ import annotations

import os
import re
from typing import Final, NewType

__all__ = ["RunId", "is_run_id", "new_run_id", "started_ms"]

RunId = NewType("RunId", str)
"""A UUIDv7 in its canonical lower-case form of 36 characters."""

_FORM: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_run_id(now_ns: int) -> RunId:
    """Make an id for a run that starts at `now_ns` (nanoseconds since the epoch)."""
    milliseconds = (now_ns // 1_000_000) & 0xFFFF_FFFF_FFFF
    # 12 bits of sub-millisecond order (method 3 of section 6.2), then 62 random bits.
    fraction = (now_ns % 1_000_000) * 4096 // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    value |= int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{value:032x}"
    return RunId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def is_run_id(text: str) -> bool:
    """Tell whether a text is a whole run id."""
    return _FORM.fullmatch(text) is not None


def started_ms(run_id: RunId) -> int:
    """Give the start time an id carries, in milliseconds since the epoch."""
    return int(run_id[:8] + run_id[9:13], 16)
