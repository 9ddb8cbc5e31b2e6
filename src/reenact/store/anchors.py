"""Find what a piece of new content resembles in an old version: short pieces of the new one are searched in the old one.

Each piece found says by how far content moved; most of a segment usually moved as far as the one before it, so the search
begins there. Missing a place costs bytes stored, never correctness. No index of the old version is needed, and none is kept.
Deterministic.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from reenact.store.segments import Range
from reenact.store.sources import Source

__all__ = ["Aligner"]

_ANCHOR_BYTES: Final = 32
_ANCHORS: Final = 16
"""One for 128 KiB of a full segment."""
_LEAST_DISTINCT: Final = 6
"""An anchor with fewer different bytes is padding or a rule, found everywhere."""
_NEAR_BYTES: Final = 16 << 10
_FAR_BYTES: Final = 512 << 10
_SLACK_BYTES: Final = 96 << 10
"""Taken on both sides of what anchors point at: what moved between them is in there."""
_AGREE_BYTES: Final = 256 << 10
"""Shifts that differ by less are one move."""
_MORE_BYTES: Final = 1 << 20
_MOST_EXTRA: Final = 3
_SCAN_BYTES: Final = 4 << 20
_ENOUGH: Final = 4
"""Anchors that agree in one place, and no other place is looked at."""
_LEAST_SCANS: Final = 256 << 20


class _Hit(NamedTuple):
    """Bytes found in both."""

    new: int
    old: int

    @property
    def shift(self) -> int:
        return self.old - self.new


class Aligner:
    """Follows a new version through an old one, segment by segment, in order."""

    def __init__(self, old: Source, new_bytes: int) -> None:
        """Begin.

        Args:
            old: The old version.
            new_bytes: Length of the new one, as far as known.
        """
        self._old = old
        self._new_bytes = max(new_bytes, 1)
        self._shift: int | None = None
        # Searching all of the old version is what finds a block that was moved far, and must not become a habit.
        self._scans_left = 2 * old.size_bytes + _LEAST_SCANS

    def ranges(self, content: bytes, start: int) -> tuple[Range, ...]:
        """Choose what of the old version to compress a piece of the new one against, the likeliest last.

        Args:
            content: The piece.
            start: Its offset in the new version.

        Raises:
            Malformed: the old version cannot be read.
        """
        if not self._old.size_bytes or not content:
            return ()
        hits = self._search(content, start)
        if not hits:
            return self._blind(start, len(content))
        best = _largest_agreement(hits)
        self._shift = (best[0].shift + best[-1].shift) // 2
        low = start + best[0].shift - _SLACK_BYTES
        high = start + len(content) + best[-1].shift + _SLACK_BYTES
        main = self._clipped(low, high)
        others = sorted(hit.old for hit in hits if not main.offset <= hit.old < main.offset + main.length)
        return (*self._extra(others, 2 * len(content) + _MORE_BYTES - main.length), main)

    def _blind(self, start: int, length: int) -> tuple[Range, ...]:
        """Without anything found, take what lies where it should."""
        shift = self._shift
        if shift is None:
            shift = start * self._old.size_bytes // self._new_bytes - start
        found = self._clipped(start + shift - 2 * _SLACK_BYTES, start + length + shift + 2 * _SLACK_BYTES)
        return (found,) if found.length else ()

    def _clipped(self, low: int, high: int) -> Range:
        low = max(0, min(low, self._old.size_bytes))
        return Range(low, max(0, min(high, self._old.size_bytes) - low))

    def _search(self, content: bytes, start: int) -> list[_Hit]:
        anchors = _anchors(content, start)
        best: list[_Hit] = []
        for shift in self._shifts(start):
            hits = self._around(anchors, start + shift, len(content), shift)
            if len(hits) > len(best):
                best = hits
            if len(best) >= min(_ENOUGH, len(anchors)):
                return best
        if not best and anchors:
            best = self._anywhere(anchors[len(anchors) // 2 :][:2] + anchors[:1])
        return best

    def _shifts(self, start: int) -> list[int]:
        """Give the moves to try: that of the segment before, none, as much as the end moved, and in proportion."""
        at_end = self._old.size_bytes - self._new_bytes
        in_proportion = start * self._old.size_bytes // self._new_bytes - start
        tried: list[int] = []
        for shift in (self._shift, 0, at_end, in_proportion):
            if shift is not None and all(abs(shift - other) > _FAR_BYTES // 2 for other in tried):
                tried.append(shift)
        return tried

    def _around(self, anchors: list[tuple[int, bytes]], at: int, length: int, shift: int) -> list[_Hit]:
        """Search anchors near where a shift puts them."""
        window = self._clipped(at - _FAR_BYTES, at + length + _FAR_BYTES)
        if window.length < _ANCHOR_BYTES:
            return []
        old = self._old.pread(window.offset, window.length)
        hits: list[_Hit] = []
        misses = 0
        for place, anchor in anchors:
            expected = place + shift - window.offset
            found = old.find(anchor, max(0, expected - _NEAR_BYTES), max(0, expected + _NEAR_BYTES))
            if found < 0 and misses - len(hits) < _ENOUGH:
                found = old.find(anchor, max(0, expected - _FAR_BYTES), max(0, expected + _FAR_BYTES))
            if found < 0:
                misses += 1
                continue
            hits.append(_Hit(place, window.offset + found))
            # What comes next moved as far as this, most likely.
            shift = hits[-1].shift
        return hits

    def _anywhere(self, anchors: list[tuple[int, bytes]]) -> list[_Hit]:
        """Search a few anchors in all of the old version, while that is allowed."""
        for at in range(0, self._old.size_bytes, _SCAN_BYTES):
            length = min(_SCAN_BYTES + _ANCHOR_BYTES, self._old.size_bytes - at)
            if self._scans_left < length * len(anchors):
                return []
            self._scans_left -= length * len(anchors)
            old = self._old.pread(at, length)
            hits = [_Hit(place, at + found) for place, anchor in anchors if (found := old.find(anchor)) >= 0]
            if hits:
                return hits
        return []

    def _extra(self, places: list[int], room: int) -> list[Range]:
        """Take ranges around places that lie together, outside the main one, as long as there is room."""
        found: list[Range] = []
        at = 0
        while at < len(places) and room > _SLACK_BYTES and len(found) < _MOST_EXTRA:
            last = at
            while last + 1 < len(places) and places[last + 1] - places[last] < 4 * _SLACK_BYTES:
                last += 1
            if last > at:
                part = self._clipped(places[at] - 2 * _SLACK_BYTES, places[last] + 2 * _SLACK_BYTES)
                part = Range(part.offset, min(part.length, room))
                found.append(part)
                room -= part.length
            at = last + 1
        return found


def _anchors(content: bytes, start: int) -> list[tuple[int, bytes]]:
    """Take short pieces spread over some content, with their offsets in the whole."""
    step = max(len(content) // _ANCHORS, _ANCHOR_BYTES)
    found = []
    for at in range(step // 2, len(content) - _ANCHOR_BYTES + 1, step):
        anchor = content[at : at + _ANCHOR_BYTES]
        if len(set(anchor)) >= _LEAST_DISTINCT:
            found.append((start + at, anchor))
    return found


def _largest_agreement(hits: list[_Hit]) -> list[_Hit]:
    """Give the most hits whose shifts lie together, sorted by shift."""
    ordered = sorted(hits, key=lambda hit: hit.shift)
    best: list[_Hit] = []
    first = 0
    for last in range(len(ordered)):
        while ordered[last].shift - ordered[first].shift > _AGREE_BYTES:
            first += 1
        if last - first + 1 > len(best):
            best = ordered[first : last + 1]
    return best
