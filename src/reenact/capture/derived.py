"""Files that hold what can be found again: read only when whole, written as far as the folder lets us.

A checksum stands in front, so that a damaged file is a missing one and not a false statement in a record.
"""

from __future__ import annotations

import contextlib
import os

from reenact import atomic
from reenact.digests import of_bytes

__all__ = ["load", "save"]


def load(path: str) -> bytes | None:
    """Read what was saved; None when it is not there, or not whole."""
    try:
        with open(path, "rb") as file:
            checksum, _, data = file.read().partition(b"\n")
    except OSError:
        return None
    return data if checksum == of_bytes(data).encode("ascii") else None


def save(path: str, data: bytes) -> None:
    """Save, making the folder; do nothing where that is not possible."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic.replace(path, of_bytes(data).encode("ascii") + b"\n" + data, durable=False)
