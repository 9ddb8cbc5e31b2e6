"""Compress a piece of content against other content that resembles it, and decompress it with the same.

Deterministic for one version of the Zstandard library; another may write other frames, and reads these. A decoder needs the
same prefix, byte for byte, and little memory beyond it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal

from reenact.store.compression import Corrupt
from reenact.store.effort import Effort

if TYPE_CHECKING:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

__all__ = ["LEAST_PREFIX_BYTES", "MODES", "Mode", "compress", "decompress"]

Mode = Literal["plain", "dense", "thorough", "sparse", "broad"]
MODES: Final[tuple[Mode, ...]] = ("dense", "thorough", "sparse", "plain")
"""Ways to compress: by itself, or with every position of the prefix in the match table at level 1 or 3, or with long-distance
matching of short matches. Which is best is found out by trying: 0.5 % of the content where single rows changed for the
second, a seventh instead of a third of it for the fourth where a column of floats was recomputed.

Not among them is ``broad``: long-distance matching in a large prefix, for longer segments. Rows in another order are found by it."""

LEAST_PREFIX_BYTES: Final = 64
"""The library refuses fewer than 8; so few gain nothing."""

_LEVELS: Final[dict[Effort, int]] = {"quick": 1, "steady": 2, "hard": 3}
_STEADY_HASH_LOG: Final = 18
_STEADY_MATCH: Final = 5
_WINDOW_LOG: Final = 21
_HASH_LOG: Final = 20
_BROAD_WINDOW_LOG: Final = 24
_BROAD_HASH_LOG: Final = 22
"""An eighth as many entries lose nearly all: a CSV table of 40 MB sorted anew takes 12.3 MB instead of 1.7."""
_SPARSE_HASH_LOG: Final = 18
_SPARSE_MATCH: Final = 32
_SPARSE_RATE_LOG: Final = 4


def _zstd() -> Any:  # noqa: ANN401 - a module, under one of two names
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - only where something is compressed
    else:
        from backports import zstd  # noqa: PLC0415 - same
    return zstd


def compress(content: bytes, prefix: bytes, mode: Mode, effort: Effort = "quick") -> bytes:
    """Compress a segment into one frame with a check sum; the mode ``plain`` takes an effort and no prefix."""
    zstd = _zstd()
    options = _options(zstd.CompressionParameter, mode, effort)
    known = None if mode == "plain" else zstd.ZstdDict(prefix, is_raw=True).as_prefix
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=known)
    return bytes(compressor.compress(content, zstd.ZstdCompressor.FLUSH_FRAME))


def _options(names: type[zstd.CompressionParameter], mode: Mode, effort: Effort) -> dict[int, int]:
    found: dict[int, int] = {names.checksum_flag: 1, names.content_size_flag: 1}
    if mode == "plain":
        found[names.compression_level] = _LEVELS[effort]
        if effort == "steady":
            found |= {names.window_log: _WINDOW_LOG, names.hash_log: _STEADY_HASH_LOG, names.min_match: _STEADY_MATCH}
        return found
    found[names.window_log] = _BROAD_WINDOW_LOG if mode == "broad" else _WINDOW_LOG
    if mode == "dense":
        return {**found, names.compression_level: 1, names.hash_log: _HASH_LOG}
    found[names.compression_level] = 1 if mode == "broad" else 3
    if mode == "thorough":
        return {**found, names.hash_log: _HASH_LOG, names.chain_log: _HASH_LOG}
    return {
        **found,
        names.enable_long_distance_matching: 1,
        names.ldm_min_match: _SPARSE_MATCH,
        names.ldm_hash_rate_log: _SPARSE_RATE_LOG,
        names.ldm_hash_log: _BROAD_HASH_LOG if mode == "broad" else _SPARSE_HASH_LOG,
    }


def decompress(frame: bytes, prefix: bytes, length: int) -> bytes:
    """Decompress a frame of exactly `length` bytes of content; an empty prefix is none.

    Raises:
        Corrupt: it is not that, or the prefix is another than at compression.
    """
    zstd = _zstd()
    known = zstd.ZstdDict(prefix, is_raw=True).as_prefix if prefix else None
    decompressor = zstd.ZstdDecompressor(zstd_dict=known)
    try:
        content = bytes(decompressor.decompress(frame, length + 1))
    except zstd.ZstdError as error:
        raise Corrupt(str(error)) from error
    if len(content) != length or not decompressor.eof or decompressor.unused_data:
        raise Corrupt(f"a frame that is not one of {length} bytes")
    return content
