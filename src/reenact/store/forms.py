"""The stored form of an object: a header, then its content as it is, compressed, or as a delta against another object.

::

    offset  bytes  what
    0       4      "RNOB"
    4       1      version of this header: 1
    5       1      form (below)
    6       2      length of the header in bytes: 24 and whatever a form adds (a base's digest, a key epoch)
    8       8      length of the content
    16      8      length of the payload, which follows the header
    24      32     segments and delta only: digest of the object it is a delta against, zeros for one by itself

Numbers are little-endian and unsigned. That stored bytes are those once written can be shown without decompressing them.
A raw payload is the content, whose digest is the object's name. An object of another form in a file of its own ends with
the SHA-256 of payload and header, in this order. In a pack the index has the stored digest, which is the SHA-256 of all
that follows the 24 bytes (:mod:`reenact.store.packs`).

A flipped bit anywhere is found: in the payload by its digest; in the header by that of the end, or because every field of
it follows from the length of the whole, from the index, or from the form.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from reenact.store.compression import Compressor, Corrupt, decompress

__all__ = [
    "DELTA",
    "FOOTER_BYTES",
    "FORM_NAMES",
    "HEADER_BYTES",
    "LONGEST_HEADER_BYTES",
    "RAW",
    "SEGMENTS",
    "ZSTD",
    "Header",
    "Malformed",
    "choose",
    "content_of",
    "decode_header",
    "encode_header",
    "encode_segmented_header",
    "footer_bytes",
]

RAW: Final = 0
"""The payload is the content."""
ZSTD: Final = 1
"""The payload is one Zstandard frame."""
DELTA: Final = 2
"""The payload is segments, some of them Zstandard frames against ranges of another object (:mod:`reenact.store.segments`)."""
SEGMENTS: Final = 3
"""The payload is segments, each a Zstandard frame by itself."""
FORM_NAMES: Final = {RAW: "raw", ZSTD: "zstd", DELTA: "zstd delta", SEGMENTS: "segments", 4: "encrypted"}
"""All numbers given out; this version reads and writes all but the last."""

_MAGIC: Final = b"RNOB"
_VERSION: Final = 1
_NO_BASE: Final = bytes(32)
_FIXED: Final = struct.Struct("<4sBBHQQ")
HEADER_BYTES: Final = _FIXED.size
"""Length of the header all forms begin with."""
LONGEST_HEADER_BYTES: Final = HEADER_BYTES + 32
"""Length of the longest header, that of segments and deltas."""
FOOTER_BYTES: Final = 32

_PROBE_FROM_BYTES: Final = 16 << 10
"""Below this, compressing all of an object costs no more than compressing samples of it."""

_GLANCE_FROM_BYTES: Final = 512
_GLANCE_BYTES: Final = 64
_GLANCE_DISTINCT: Final = 51
"""Random bytes have this many distinct values among 64 in 199 of 200 cases. Of 4,714 small files of a Python installation
and of documentation it takes all but a few of the incompressible ones, and 6 others with 0.05 % of the bytes to be saved, for
a fifth of the time of compressing 4 KiB to see."""


class Malformed(ValueError):
    """Bytes are not a stored object, or not one this version can read; the text says what they are."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored object says about itself."""

    form: int
    content_bytes: int
    payload_bytes: int
    header_bytes: int = HEADER_BYTES
    base: bytes | None = None
    """Raw digest of the object it is a delta against."""

    @property
    def stored_bytes(self) -> int:
        """Length of the object in a pack: header and payload."""
        return self.header_bytes + self.payload_bytes


def encode_header(form: int, content_bytes: int, payload_bytes: int) -> bytes:
    """Write the header of a raw or Zstandard object."""
    return _FIXED.pack(_MAGIC, _VERSION, form, HEADER_BYTES, content_bytes, payload_bytes)


def encode_segmented_header(base: bytes | None, content_bytes: int, payload_bytes: int) -> bytes:
    """Write the header of an object in segments: a delta when there is a base, else one by itself."""
    form = SEGMENTS if base is None else DELTA
    fixed = _FIXED.pack(_MAGIC, _VERSION, form, LONGEST_HEADER_BYTES, content_bytes, payload_bytes)
    return fixed + (base or _NO_BASE)


def decode_header(data: bytes | memoryview) -> Header:
    """Read the header some bytes begin with; :data:`LONGEST_HEADER_BYTES` of them always suffice.

    Raises:
        Malformed: they do not begin with one that this version can read.
    """
    if len(data) < HEADER_BYTES:
        raise Malformed(f"{len(data)} bytes, fewer than a header")
    magic, version, form, header_bytes, content_bytes, payload_bytes = _FIXED.unpack_from(data)
    if magic != _MAGIC:
        raise Malformed("bytes that are no stored object")
    if version != _VERSION or form not in {RAW, ZSTD, DELTA, SEGMENTS}:
        known = FORM_NAMES.get(form, f"number {form}")
        raise Malformed(f"a stored object of version {version} and form {known}, which this program cannot read")
    expected = LONGEST_HEADER_BYTES if form in {DELTA, SEGMENTS} else HEADER_BYTES
    if header_bytes != expected:
        raise Malformed(f"a header of {header_bytes} bytes where this form has {expected}")
    if form == RAW and content_bytes != payload_bytes:
        raise Malformed(f"a raw payload of {payload_bytes} bytes for a content of {content_bytes}")
    base = _base(form, data) if expected > HEADER_BYTES else None
    return Header(
        form=form, content_bytes=content_bytes, payload_bytes=payload_bytes, header_bytes=header_bytes, base=base
    )


def _base(form: int, data: bytes | memoryview) -> bytes | None:
    base = bytes(data[HEADER_BYTES:LONGEST_HEADER_BYTES])
    if len(base) != len(_NO_BASE):
        raise Malformed(f"{len(data)} bytes, fewer than a header of this form")
    if (base == _NO_BASE) != (form == SEGMENTS):
        raise Malformed(f"form {FORM_NAMES[form]} with the base {base.hex()}")
    return None if form == SEGMENTS else base


def footer_bytes(form: int) -> int:
    """Give the length of what follows the payload in a file of its own."""
    return 0 if form == RAW else FOOTER_BYTES


def choose(content: memoryview, compressor: Compressor) -> tuple[int, bytes | memoryview]:
    """Choose the form of a small object: its number and its payload (the content itself when it stays raw)."""
    if not _promises(content, compressor):
        return RAW, content
    packed = compressor.whole(content)
    if len(packed) * 100 < len(content) * 95:
        return ZSTD, packed
    return RAW, content


def _promises(content: memoryview, compressor: Compressor) -> bool:
    """Guess whether compressing will gain."""
    length = len(content)
    if length >= _PROBE_FROM_BYTES:
        return compressor.gains(compressor.samples(content))
    if length < _GLANCE_FROM_BYTES:
        return True
    middle = length // 2
    return len(set(content[middle : middle + _GLANCE_BYTES])) < _GLANCE_DISTINCT


def content_of(header: Header, payload: bytes | memoryview) -> bytes:
    """Give the content of a whole payload that needs nothing else.

    Raises:
        Malformed: the payload does not give content of the length the header says, or is in segments.
    """
    if header.form == RAW:
        return bytes(payload)
    if header.form != ZSTD:
        raise Malformed(f"form {FORM_NAMES[header.form]} where only whole objects are")
    try:
        content = decompress(payload, header.content_bytes)
    except Corrupt as error:
        raise Malformed(f"a payload that cannot be decompressed: {error}") from error
    if len(content) != header.content_bytes:
        raise Malformed(f"{len(content)} bytes of content where the header says {header.content_bytes}")
    return content
