from __future__ import annotations

import os
import struct

import pytest

from reenact.store.compression import Compressor
from reenact.store.forms import (
    HEADER_BYTES,
    RAW,
    ZSTD,
    Header,
    Malformed,
    choose,
    content_of,
    decode_header,
    encode_header,
)

TEXT = b"2026-01-02,alpha,17.25\n" * 500


@pytest.mark.parametrize("content", [b"", b"x", TEXT[:700], TEXT, os.urandom(700), os.urandom(40_000), TEXT * 20])
def test_content_survives_its_form(content: bytes) -> None:
    form, payload = choose(memoryview(content), Compressor())
    header = decode_header(encode_header(form, len(content), len(payload)) + bytes(payload))
    assert header == Header(form=form, content_bytes=len(content), payload_bytes=len(payload))
    assert content_of(header, bytes(payload)) == content


def test_what_gains_is_compressed_and_what_does_not_stays_raw() -> None:
    compressor = Compressor()
    for length in (100, 600, 4096, 20_000, 200_000):
        assert choose(memoryview((TEXT * 20)[:length]), compressor)[0] == ZSTD
        assert choose(memoryview(os.urandom(length)), compressor)[0] == RAW


def test_the_header_is_laid_out_as_documented() -> None:
    header = encode_header(ZSTD, 0x0102, 0x0304)
    assert header == b"RNOB\x01\x01" + struct.pack("<HQQ", 24, 0x0102, 0x0304)
    assert len(header) == HEADER_BYTES == 24


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"RNOB", "fewer than a header"),
        (b"RNOC" + encode_header(RAW, 1, 1)[4:], "no stored object"),
        (b"RNOB\x02" + encode_header(RAW, 1, 1)[5:], "version 2"),
        (b"RNOB\x01\x04" + encode_header(RAW, 1, 1)[6:], "encrypted"),
        (b"RNOB\x01\x02" + encode_header(RAW, 1, 1)[6:], "header of 24 bytes where this form has 56"),
        (b"RNOB\x01\x63" + encode_header(RAW, 1, 1)[6:], "number 99"),
        (b"RNOB\x01\x00\x19\x00" + encode_header(RAW, 1, 1)[8:], "header of 25 bytes"),
        (encode_header(RAW, 2, 1), "raw payload of 1"),
    ],
)
def test_a_header_that_cannot_be_read_says_why(header: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        decode_header(header)


def test_a_payload_that_expands_beyond_its_header_is_refused() -> None:
    packed = Compressor().whole(bytes(1 << 20))
    with pytest.raises(Malformed, match="more than the 1000 bytes"):
        content_of(Header(form=ZSTD, content_bytes=1000, payload_bytes=len(packed)), packed)
    with pytest.raises(Malformed, match="1048576 bytes of content"):
        content_of(Header(form=ZSTD, content_bytes=1 << 21, payload_bytes=len(packed)), packed)


def test_a_payload_must_be_one_whole_frame() -> None:
    packed = Compressor().whole(TEXT)
    for data in (packed[:-1], packed + b"x", packed + packed, b"", b"nonsense"):
        with pytest.raises(Malformed, match="cannot be decompressed"):
            content_of(Header(form=ZSTD, content_bytes=len(TEXT), payload_bytes=len(data)), data)
