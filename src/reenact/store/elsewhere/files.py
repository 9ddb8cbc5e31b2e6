"""Bytes at a path of this host."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime

from reenact.store.elsewhere.interface import BLOCK_BYTES, Place, Unavailable

__all__ = ["file_place", "modified"]


def file_place(path: str) -> Place:
    """Give the place of a file."""
    return Place(what=f"the file at {path}", blocks=lambda: _blocks(path), path=path)


def modified(path: str) -> str:
    """Say when a file was modified; empty when that cannot be told."""
    try:
        moment = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _blocks(path: str) -> Iterator[bytes]:
    try:
        # Never waits for somebody to write into a pipe that stands there now.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Unavailable(f"there is no file at {path}") from None
    except OSError as error:
        raise Unavailable(f"the file at {path} cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unavailable(f"what is at {path} is no file any more")
        while block := os.read(descriptor, BLOCK_BYTES):
            yield block
    except OSError as error:
        raise Unavailable(f"the file at {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
