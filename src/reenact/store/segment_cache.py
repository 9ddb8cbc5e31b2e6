"""Segments that were decoded last, kept for whoever needs them next: neighbours in one object need the same of its base."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ["SegmentCache"]

_CACHE_BYTES: Final = 80 << 20
"""Two large segments, and three for each of ten deltas of a chain: what reading in order goes back and forth within."""


class SegmentCache:
    """Segments read last, of several objects, within one bound. Safe for threads, which do not decode the same one twice."""

    def __init__(self, limit_bytes: int = _CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._busy: dict[tuple[bytes, int], threading.Event] = {}

    def obtain(self, digest: bytes, place: int, decode: Callable[[], bytes]) -> bytes:
        """Give a segment; it is decoded when it is not there, and kept instead of those not asked for the longest.

        Decoding may obtain segments of what the object is made against, and of nothing else: so nobody waits in a circle.
        """
        key = (digest, place)
        while True:
            with self._lock:
                if (found := self._held.get(key)) is not None:
                    self._held.move_to_end(key)
                    return found
                if (other := self._busy.get(key)) is None:
                    mine = self._busy[key] = threading.Event()
                    break
            other.wait()  # Should it fail, this thread tries itself, and meets the same error.
        try:
            found = decode()
            self._put(key, found)
            return found
        finally:
            with self._lock:
                del self._busy[key]
            mine.set()

    def _put(self, key: tuple[bytes, int], content: bytes) -> None:
        with self._lock:
            self._held[key] = content
            self._bytes += len(content)
            while self._bytes > self._limit_bytes and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= len(gone)
