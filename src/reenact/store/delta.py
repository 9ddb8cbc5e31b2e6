"""Decide whether a new version of something is worth keeping as a delta, against what, and how each segment is compressed.

Deterministic: the same old and new content give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from reenact import digests
from reenact.digests import Digest
from reenact.errors import StoreError
from reenact.store import prefix
from reenact.store.anchors import Aligner
from reenact.store.compression import Corrupt
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.effort import Effort
from reenact.store.forms import Malformed
from reenact.store.prefix import LEAST_PREFIX_BYTES, MODES, Mode
from reenact.store.segments import Range, next_lineage, radix_base
from reenact.store.sources import Source

__all__ = ["ALONE", "PAYS", "Chain", "SegmentCoder", "choose_base"]

PAYS: Final = 0.85
"""A delta is kept when it takes less than this share of what the content takes by itself."""
_GOOD: Final = 0.3
"""A base that promises less than this is taken without looking at another."""

_MOST_BROAD_BYTES: Final = 48 << 20
"""All of a base of this length fits into the cache of segments, beside a segment made against it."""
_BROAD_GAIN: Final = 0.7
"""Being searched as a whole has to leave less than this share of what parts of the base leave: it takes more memory and time."""

_SAMPLES: Final = 4
_SAMPLE_BYTES: Final = 256 << 10

ALONE: Final[Effort] = "steady"
"""How hard segments of a delta that stand by themselves are compressed."""

_SMALL: Final = 0.04
"""A segment that takes less than this share of its length is not worth another try."""
_STAYS: Final = 48
"""Segments for which a choice among ways of compressing holds: 96 MiB."""
_COST: Final[dict[Mode, float]] = {"dense": 1.0, "thorough": 1.2, "sparse": 1.2, "plain": 0.95}
"""What a byte counts in that choice: the slower way must gain a sixth; one without a base is quicker to read."""
_UNLIKE: Final = 2.0


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What a new version is made against, and its place among the versions."""

    base: Source
    number: int
    lineage: tuple[bytes | None, ...]
    plain_share: float
    """What the new content takes by itself, as a share of its length; from samples."""
    broad: bool = False
    """Each segment is made against all of the base."""


def choose_base(
    previous: Digest,
    open_source: Callable[[Digest], Source],
    sample: Callable[[int, int], bytes],
    size_bytes: int,
    policy: DeltaPolicy,
) -> Chain | None:
    """Choose what to make a new version against; None when a delta would not pay.

    Args:
        previous: The version before.
        open_source: Opens an object.
        sample: Reads a part of the new version: offset, length.
        size_bytes: Its length.
        policy: What is allowed.
    """
    before = _opened(open_source, previous)
    if before is None or not before.size_bytes or not size_bytes:
        return None
    number = before.number + 1
    lineage = before.lineage
    wanted = radix_base(number, lineage)
    tries = list(dict.fromkeys([wanted, previous_raw := digests.to_raw(previous), lineage[-1]]))
    best, found = 1.0, None
    samples = _samples(sample, size_bytes)
    alone = [len(prefix.compress(content, b"", "plain", ALONE)) for _, content in samples]
    for raw in tries:
        base = before if raw == previous_raw else _opened(open_source, digests.from_raw(raw))
        if base is None or base.depth >= policy.most_depth:
            continue
        try:
            share = _promise(base, samples, alone, size_bytes)
        except (Malformed, StoreError):
            continue
        if share < best:
            best, found = share, base
        if share < _GOOD:
            break
    wide = None
    if best >= _GOOD:
        whole = [before, *(_opened(open_source, digests.from_raw(lineage[-1])) for _ in range(before.depth > 0))]
        wide = _broad([base for base in whole if base is not None], samples, alone, size_bytes, best)
        found, best = (wide, 0.0) if wide is not None else (found, best)
    if found is None or best >= PAYS or not _sound(found):
        return None
    plain_share = sum(alone) / sum(len(content) for _, content in samples)
    return Chain(
        base=found,
        number=number,
        lineage=next_lineage(number, lineage),
        plain_share=plain_share,
        broad=wide is not None,
    )


def _broad(
    bases: list[Source], samples: list[tuple[int, bytes]], alone: list[int], size_bytes: int, best: float
) -> Source | None:
    """Give a base that is worth being searched as a whole for every segment; only one that needs no other, and is short enough."""
    if size_bytes > 2 * _MOST_BROAD_BYTES:
        return None
    for base in bases:
        if base.depth or base.size_bytes > _MOST_BROAD_BYTES:
            continue
        try:
            known = base.gather((Range(0, base.size_bytes),))
        except (Malformed, StoreError):
            continue
        if len(known) < LEAST_PREFIX_BYTES:
            continue
        content = b"".join([content for _, content in samples])
        share = len(prefix.compress(content, known, "broad")) / max(sum(alone), 1)
        if share < min(_BROAD_GAIN * best, PAYS):
            return base
    return None


def _opened(open_source: Callable[[Digest], Source], digest: Digest) -> Source | None:
    try:
        return open_source(digest)
    except (Malformed, StoreError):
        return None


def _sound(base: Source) -> bool:
    try:
        base.check()
    except (Malformed, StoreError):
        return False
    return True


def _samples(sample: Callable[[int, int], bytes], size_bytes: int) -> list[tuple[int, bytes]]:
    length = min(_SAMPLE_BYTES, size_bytes // _SAMPLES)
    if not length:
        return [(0, sample(0, size_bytes))]
    places = [size_bytes * (2 * place + 1) // (2 * _SAMPLES) - length // 2 for place in range(_SAMPLES)]
    return [(at, sample(at, length)) for at in places]


def _promise(base: Source, samples: list[tuple[int, bytes]], alone: list[int], size_bytes: int) -> float:
    """Compress samples against a base; give what that takes as a share of what they take by themselves."""
    aligner = Aligner(base, size_bytes)
    taken = 0
    for itself, (start, content) in zip(alone, samples, strict=True):
        ranges = aligner.ranges(content, start)
        known = base.gather(ranges) if ranges else b""
        # The slow ways are only tried where the quick one leaves something to gain.
        ways = [itself]
        for mode in MODES[:3] if len(known) >= LEAST_PREFIX_BYTES else ():
            ways.append(len(prefix.compress(content, known, mode)))
            if mode == "dense" and ways[-1] < _SMALL * len(content):
                break
        taken += min(ways)
    return taken / max(sum(alone), 1)


class Coded(msgspec.Struct, frozen=True):
    """A segment, compressed."""

    frame: bytes
    ranges: tuple[Range, ...]
    """Those of the base it needs; none when it stands by itself."""


class SegmentCoder:
    """Compresses segments in order, against a base or alone, and checks each by decompressing it."""

    def __init__(self, effort: Effort, *, broad: bool = False) -> None:
        """Begin.

        Args:
            effort: For segments that stand by themselves.
            broad: Segments are made against all of their base.
        """
        self._effort: Effort = effort
        self._broad = broad
        self._mode: Mode = "dense"
        self._left = 0
        self._share: float | None = None
        self._last: tuple[bytes | None, Coded] = (None, Coded(b"", ()))

    def code(self, content: bytes, known: bytes, ranges: tuple[Range, ...]) -> Coded:
        """Compress one.

        Args:
            content: Its bytes.
            known: The base's content in the ranges.
            ranges: Where that is; none for a segment that stands by itself.

        Raises:
            Corrupt: what was compressed does not decompress to the same.
        """
        if len(known) < LEAST_PREFIX_BYTES:
            return self._by_itself(content)
        if self._broad:
            return self._checked(content, known, Coded(prefix.compress(content, known, "broad"), ranges))
        mode = self._mode
        frame = self._frame(content, known, mode)
        share = len(frame) / len(content)
        if share > _SMALL and self._doubtful(share):
            mode, frame = self._best(content, known, mode, frame)
            self._mode, self._left, self._share = mode, _STAYS, len(frame) / len(content)
        self._left -= 1
        if mode == "plain":
            known, ranges = b"", ()
        return self._checked(content, known, Coded(frame, ranges))

    def _by_itself(self, content: bytes) -> Coded:
        """Compress a segment that stands by itself; one that is as the last such one, as in a hole, is not compressed again."""
        if content != self._last[0]:
            coded = self._checked(content, b"", Coded(prefix.compress(content, b"", "plain", self._effort), ()))
            self._last = (content, coded)
        return self._last[1]

    def _doubtful(self, share: float) -> bool:
        expected = self._share
        unlike = expected is not None and not expected / _UNLIKE < share < expected * _UNLIKE
        return self._left <= 0 or unlike

    def _frame(self, content: bytes, known: bytes, mode: Mode) -> bytes:
        return prefix.compress(content, b"" if mode == "plain" else known, mode, self._effort)

    def _best(self, content: bytes, known: bytes, mode: Mode, frame: bytes) -> tuple[Mode, bytes]:
        tried = {mode: frame}
        for other in MODES:
            if other not in tried:
                tried[other] = self._frame(content, known, other)
        best = min(MODES, key=lambda way: len(tried[way]) * _COST[way])
        return best, tried[best]

    @staticmethod
    def _checked(content: bytes, known: bytes, coded: Coded) -> Coded:
        if prefix.decompress(coded.frame, known, len(content)) != content:
            raise Corrupt("a segment does not decompress to what it was compressed from")
        return coded
