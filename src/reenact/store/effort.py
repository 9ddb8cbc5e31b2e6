"""How hard to compress an object that stands by itself: found out from samples of it, as files differ.

Measured on segments of 8 MiB (those written are of 4): bytes against the library's default level, and MB/s of one core of a busy
machine. A CSV table 1.24 at 195 (quick), 0.98 at 130 (steady), 1.00 at 85 (hard); Parquet with dictionaries and no compression 1.32,
1.03, 1.00; Parquet with Snappy 1.14, 1.01, 1.03.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

__all__ = ["EFFORTS", "Effort", "choose_effort"]

Effort = Literal["quick", "steady", "hard"]
EFFORTS: Final[tuple[Effort, ...]] = ("quick", "steady", "hard")
"""Level 1; a large match table of level 2's kind; level 3. In the order of their cost."""

_BRIEF_BYTES: Final = 4 << 20
"""For shorter objects trying every effort would take as long as compressing them; the middle one is never far off."""
_BRIEF_SAMPLE_BYTES: Final = 16 << 10
_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 128 << 10
_LEAST_GAIN: Final = 0.998
"""What saves less than this is kept raw."""
_DENSE: Final = 0.9
"""What samples save less than this of resembles itself, if at all, over distances they do not show, as pages of compressed Parquet
do; compressing such bytes costs little."""
_PIECE_BYTES: Final = 1 << 20
_FEWEST_PIECES: Final = 16
_MOST_PIECES: Final = 64
_SPARSE: Final = 8
"""One of so many pieces is looked at where samples show no gain; 0.1 ms for a MiB of the object, at most 50 ms."""
_PLACES_GAIN: Final = 0.99
_NEARLY: Final = 1.015
"""An effort is taken when none saves more than this share beyond it."""


def choose_effort(
    sample: Callable[[int, int], bytes], size_bytes: int, compress: Callable[[bytes, Effort], int]
) -> Effort | None:
    """Choose how hard to compress an object; None to keep it raw.

    Args:
        sample: Reads a part of it: offset, length.
        size_bytes: Its length.
        compress: Gives what a sample takes.
    """
    brief = size_bytes < _BRIEF_BYTES
    efforts: tuple[Effort, ...] = ("steady",) if brief else EFFORTS
    length = min(_BRIEF_SAMPLE_BYTES if brief else _SAMPLE_BYTES, size_bytes // _SAMPLES)
    places = [size_bytes * (2 * place + 1) // (2 * _SAMPLES) - length // 2 for place in range(_SAMPLES)]
    samples = [sample(at, length) for at in places]
    taken = {effort: sum(compress(content, effort) for content in samples) for effort in efforts}
    best = min(taken.values())
    if best > _LEAST_GAIN * sum(map(len, samples)):
        return "steady" if _gains_in_places(sample, size_bytes, compress) else None
    if best > _DENSE * sum(map(len, samples)):
        return "steady"
    return next(effort for effort in efforts if taken[effort] <= _NEARLY * best)


def _gains_in_places(
    sample: Callable[[int, int], bytes], size_bytes: int, compress: Callable[[bytes, Effort], int]
) -> bool:
    """Look closer: compressed Parquet sorted by a column resembles itself only in its dictionary pages, a twentieth of it."""
    count = min(
        max(size_bytes // (_SPARSE * _PIECE_BYTES), _FEWEST_PIECES), _MOST_PIECES, max(size_bytes // _PIECE_BYTES, 1)
    )
    saved = 0
    for place in range(count):
        content = sample(size_bytes * place // count, _PIECE_BYTES)
        saved += len(content) - compress(content, "steady")
        if saved > (1 - _PLACES_GAIN) * count * _PIECE_BYTES:
            return True
    return False
