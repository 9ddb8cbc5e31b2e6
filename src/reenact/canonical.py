"""Canonical JSON: the one byte sequence for a value (RFC 8785), so that equal values have equal digests and signatures.

Two encoders that agree byte for byte: `rfc8785` for any value, and msgspec's sorted encoder, some sixty times faster, for
values where the two cannot differ: no floating-point number, integers within ±(2**53 - 1), and no character beyond U+FFFF
(RFC 8785 sorts keys by UTF-16 code unit, msgspec by code point).
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MAX_SAFE_INTEGER", "dumps", "dumps_plain"]

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Largest integer JSON readers agree about; larger ones are written as strings."""


def dumps(value: Any) -> bytes:  # noqa: ANN401 - the JSON edge
    """Encode any JSON value canonically.

    Raises:
        ValueError: for NaN, infinities, integers beyond 2**53 - 1, and text that is not valid Unicode.
    """
    import rfc8785  # noqa: PLC0415 - 8 ms that a recording does not spend

    return rfc8785.dumps(value)


def dumps_plain(value: Any) -> bytes:  # noqa: ANN401 - the JSON edge
    """Encode a value that holds no floats and only small integers (as every model of ours).

    The caller vouches for the numbers; the text is checked here, and the slow encoder takes over where it must.
    """
    import msgspec  # noqa: PLC0415 - 8 ms, and a run is started with nothing of this module but its number

    data = msgspec.json.encode(value, order="sorted")
    # UTF-8 writes characters beyond U+FFFF with a lead byte of 0xF0 or more, which appears nowhere else.
    if data.isascii() or not any(lead in data for lead in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")):
        return data
    return dumps(msgspec.json.decode(data))
