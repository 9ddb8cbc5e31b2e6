"""What a redacted stream says does not depend on how it came in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor

KEY_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nASCBKcwggSjAgEAAoIB\n-----END RSA PRIVATE KEY-----"
LINES = [
    "ordinary output, line 17",
    "password=hunter22 and more",
    "connecting to postgresql://etl:pl4in@db.example/x",
    "Authorization: Bearer abc.def-123",
    "the value s3kr1t-value in the middle, twice: s3kr1t-value",
    "first-part\nsecond-part of a secret of two lines",
    KEY_BLOCK,
    "Grüße — ‹redacted:OLD:0123456789ab›",
    "",
]


def redactor() -> Redactor:
    made = Redactor(b"k" * 32)
    made.learn({"A_TOKEN": "s3kr1t-value", "B_TOKEN": "first-part\nsecond-part"})
    return made


def streamed(data: bytes, cuts: list[int]) -> bytes:
    stream = StreamRedactor(redactor())
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [stream.feed(data[a:b]) for a, b in pairwise(edges)]
    return b"".join(pieces) + stream.close()


@given(lines=st.lists(st.sampled_from(LINES), max_size=8), cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_pieces_give_what_the_whole_gives(lines: list[str], cuts: list[int]) -> None:
    data = "\n".join(lines).encode()
    assert streamed(data, cuts) == redactor().data(data)


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_bytes_without_secrets_come_through_unchanged(data: bytes, cuts: list[int]) -> None:
    if redactor().data(data) == data:
        assert streamed(data, cuts) == data


def test_byte_by_byte_is_safe() -> None:
    data = "\n".join(LINES).encode()
    out = streamed(data, list(range(len(data))))
    assert out == redactor().data(data)
    for secret in (b"hunter22", b"pl4in", b"abc.def", b"s3kr1t-value", b"second-part", b"MIIEvQ", b"ASCBK"):
        assert secret not in out


def test_whole_lines_go_on_at_once() -> None:
    made = Redactor(b"k")
    stream = StreamRedactor(made)
    assert stream.feed(b"one\ntwo\nthr") == b"one\ntwo\n"
    assert stream.feed(b"ee\r") == b"three\r"
    assert stream.close() == b""


@pytest.mark.parametrize("start", [b"", KEY_BLOCK[:40].encode() + b"\n"])
def test_what_is_held_is_bounded(start: bytes) -> None:
    stream = StreamRedactor(Redactor(b"k"))
    out = stream.feed(start)
    for _ in range(40):
        out += stream.feed(b"x" * (1 << 16))
    rest = stream.close()
    assert len(out) > 0
    assert len(rest) <= 1 << 20


def test_a_secret_in_an_endless_line_does_not_lie_across_a_cut() -> None:
    stream = StreamRedactor(redactor())
    data = (b"x" * 4090 + b" s3kr1t-value ") * 200
    out = b"".join(stream.feed(data[at : at + 1000]) for at in range(0, len(data), 1000)) + stream.close()
    assert b"s3kr1t-value" not in out
    assert out == redactor().data(data)
