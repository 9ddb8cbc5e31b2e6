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

_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 128 << 10
_LEAST_GAIN: Final = 0.998
"""What saves less than this is kept raw."""
_DENSE: Final = 0.9
"""What samples save less than this of resembles itself, if at all, over distances they do not show, as pages of compressed Parquet
do; compressing such bytes costs little."""
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
    length = min(_SAMPLE_BYTES, size_bytes // _SAMPLES)
    places = [size_bytes * (2 * place + 1) // (2 * _SAMPLES) - length // 2 for place in range(_SAMPLES)]
    samples = [sample(at, length) for at in places]
    taken = {effort: sum(compress(content, effort) for content in samples) for effort in EFFORTS}
    best = min(taken.values())
    if best > _LEAST_GAIN * sum(map(len, samples)):
        return None
    if best > _DENSE * sum(map(len, samples)):
        return "steady"
    return next(effort for effort in EFFORTS if taken[effort] <= _NEARLY * best)
