"""What the kernel opens on its own when a program starts: the ELF loader, and the interpreters of scripts.

See: man 2 execve ("Interpreter scripts"); linux/fs/binfmt_elf.c, binfmt_script.c.
"""

from __future__ import annotations

import os
import struct
from typing import Final

__all__ = ["MAX_INTERPRETERS", "interpreter_of"]

MAX_INTERPRETERS: Final = 5
"""Nested scripts before the kernel gives up (BINPRM_MAX_RECURSION and one)."""

_HEAD_BYTES: Final = 256
"""BINPRM_BUF_SIZE: what the kernel looks at."""
_PT_INTERP: Final = 3


def interpreter_of(path: str) -> str | None:
    """Read which program or loader the kernel will open to run the file at `path`; None when none or unreadable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        if head[:2] == b"#!":
            words = head[2:].split(b"\n", 1)[0].split()
            return os.fsdecode(words[0]) if words else None
        if head[:4] == b"\x7fELF":
            return _loader(descriptor, head)
    except (OSError, struct.error):
        return None
    finally:
        os.close(descriptor)
    return None


def _loader(descriptor: int, head: bytes) -> str | None:
    wide = head[4] == 2
    if wide:
        (table,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
    else:
        (table,) = struct.unpack_from("<I", head, 28)
        size, count = struct.unpack_from("<HH", head, 42)
    headers = os.pread(descriptor, size * count, table)
    for start in range(0, len(headers) - size + 1, size):
        if struct.unpack_from("<I", headers, start)[0] != _PT_INTERP:
            continue
        if wide:
            (offset,) = struct.unpack_from("<Q", headers, start + 8)
            (length,) = struct.unpack_from("<Q", headers, start + 32)
        else:
            (offset,) = struct.unpack_from("<I", headers, start + 4)
            (length,) = struct.unpack_from("<I", headers, start + 16)
        return os.fsdecode(os.pread(descriptor, length, offset).rstrip(b"\0"))
    return None
