"""The library that speaks to buckets, and whether this process may use it: its threads do not survive a fork.

A process forked from one that used it would wait for those threads for ever. The only module that imports obstore.
"""

from __future__ import annotations

import os
from typing import Any, Final

__all__ = ["load_library", "usable_here"]

_used_in: Final[list[int]] = []
"""The process that loaded it first, this one or one it was forked from."""


def usable_here() -> bool:
    """Tell whether this process, or none of those it was forked from, loaded the library."""
    return not _used_in or _used_in[0] == os.getpid()


def load_library() -> tuple[Any, Any]:
    """Give the library and its module of stores.

    Raises:
        ImportError: it is not installed.
        RuntimeError: it was loaded before a fork; see :func:`usable_here`.
    """
    if not usable_here():
        raise RuntimeError("the library that speaks to buckets was used before a fork")
    import obstore  # noqa: PLC0415 - an optional library, 20 ms
    from obstore import store  # noqa: PLC0415 - same

    if not _used_in:
        _used_in.append(os.getpid())
    return obstore, store
