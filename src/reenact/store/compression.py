"""Zstandard, from the standard library where it has it (3.14), else from its backport; imported when first used.

Level 1, measured against 3 on the kinds of bytes a run reads (one core, compress MB/s and ratio): a CSV table 258 at 2.62
against 82 at 2.39, shared libraries 220 at 2.80 against 129 at 3.12, Python sources 232 at 3.84 against 188 at 4.02.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdCompressor, ZstdDecompressor
    else:
        from backports.zstd import ZstdCompressor, ZstdDecompressor

__all__ = ["LEVEL", "Compressor", "Corrupt", "decompress", "decompress_blocks"]

LEVEL: Final = 1

_SAMPLE_BYTES: Final = 4096


class Corrupt(ValueError):
    """Bytes are not the Zstandard frame they should be, or not of the length promised."""


class Compressor:
    """Makes Zstandard frames, one after the other; its memory is kept between them, which small objects gain from."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdCompressor  # noqa: PLC0415 - only where something is compressed
        else:
            from backports.zstd import ZstdCompressor  # noqa: PLC0415 - same
        self._compressor: ZstdCompressor = ZstdCompressor(level=LEVEL)

    def whole(self, data: bytes | bytearray | memoryview) -> bytes:
        """Compress all of some bytes into one frame."""
        return self._compressor.compress(data, self._compressor.FLUSH_FRAME)

    def block(self, data: bytes | bytearray | memoryview) -> bytes:
        """Compress the next bytes of a frame; gives what is ready, perhaps nothing."""
        return self._compressor.compress(data)

    def end(self) -> bytes:
        """Give the rest of the frame."""
        return self._compressor.flush(self._compressor.FLUSH_FRAME)

    def gains(self, samples: list[bytes | memoryview]) -> bool:
        """Tell from samples whether compressing their whole is worth reading it back through a decompressor."""
        plain = sum(len(sample) for sample in samples)
        packed = sum(len(self.whole(sample)) for sample in samples)
        # Already compressed data comes out at 1.00 to 1.01; a gain of a few percent does not pay for the time.
        return packed * 100 < plain * 95

    @staticmethod
    def samples(data: memoryview) -> list[bytes | memoryview]:
        """Take three samples spread over some bytes, or all of them when they are few."""
        if len(data) <= 3 * _SAMPLE_BYTES:
            return [data]
        middle = (len(data) - _SAMPLE_BYTES) // 2
        return [data[at : at + _SAMPLE_BYTES] for at in (0, middle, len(data) - _SAMPLE_BYTES)]


def _decompressor() -> tuple[ZstdDecompressor, type[Exception]]:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - only where something is decompressed
    else:
        from backports import zstd  # noqa: PLC0415 - same
    return zstd.ZstdDecompressor(), zstd.ZstdError


def _check_end(decompressor: ZstdDecompressor) -> None:
    if not decompressor.eof:
        raise Corrupt("a frame that ends too early")
    if len(decompressor.unused_data) > 0:
        raise Corrupt("bytes after the frame's end")


def decompress(data: bytes | memoryview, limit_bytes: int) -> bytes:
    """Decompress one frame of at most `limit_bytes` content, so that no input can fill the memory.

    Raises:
        Corrupt: not one whole frame, or longer.
    """
    decompressor, failure = _decompressor()
    try:
        # One byte more than allowed, so that the end of the frame is seen even when the content fills the limit.
        content = decompressor.decompress(data, min(limit_bytes + 1, sys.maxsize))
    except failure as error:
        raise Corrupt(str(error)) from error
    if len(content) > limit_bytes:
        raise Corrupt(f"more than the {limit_bytes} bytes expected")
    _check_end(decompressor)
    return content


def decompress_blocks(blocks: Iterator[bytes], limit_bytes: int, block_bytes: int) -> Iterator[bytes]:
    """Decompress one frame that comes in blocks, into blocks of at most `block_bytes`.

    Raises:
        Corrupt: not one whole frame, or of more than `limit_bytes` content.
    """
    decompressor, failure = _decompressor()
    left = limit_bytes
    try:
        for block in blocks:
            if decompressor.eof:
                raise Corrupt("bytes after the frame's end")
            content = decompressor.decompress(block, block_bytes)
            while True:
                left -= len(content)
                if left < 0:
                    raise Corrupt(f"more than the {limit_bytes} bytes expected")
                if content:
                    yield content
                if decompressor.needs_input or decompressor.eof:
                    break
                content = decompressor.decompress(b"", block_bytes)
    except failure as error:
        raise Corrupt(str(error)) from error
    _check_end(decompressor)
