"""Redact a stream that comes in pieces: what comes out does not depend on where the pieces were cut.

Whole lines are redacted and given on; the unfinished rest is held back as it is, in memory only. A cut never falls into a
secret: not into a known value that has several lines, nor into a key block that is still open.
"""

from __future__ import annotations

from typing import Final

from reenact.capture.redact import Redactor
from reenact.capture.secret_spans import Span

__all__ = ["StreamRedactor"]

_HOLD_BYTES: Final = 1 << 18
"""A line longer than this is not waited for."""
_HOLD_LIMIT_BYTES: Final = 1 << 20
"""More is never held, also not for a key block that never ends: it is redacted as far as it came."""

_OPEN_ENDED: Final = "private-key"
"""The one form that goes on over lines, so that the next piece may still belong to it."""


class StreamRedactor:
    """Redacts one stream. Keep feeding it; then close it. At most about a megabyte is held."""

    def __init__(self, redactor: Redactor) -> None:
        """Make one for a stream; `redactor` has learned what it will."""
        self._redactor = redactor
        self._multiline = redactor.longest_multiline_bytes
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; give what can be written now, redacted."""
        held = self._held + data
        cut, clean = self._cut(held)
        self._held = held[cut:]
        return held[:cut] if clean else self._redactor.data(held[:cut])

    def close(self) -> bytes:
        """Give the rest; the stream has ended."""
        rest, self._held = self._held, b""
        return self._redactor.data(rest)

    def _cut(self, held: bytes) -> tuple[int, bool]:
        """Choose how much can go: whole lines, up to the first secret that may go on; and tell whether all of it is clean."""
        end = max(0, len(held) - self._multiline)
        cut = max(held.rfind(b"\n", 0, end), held.rfind(b"\r", 0, end)) + 1
        if cut == 0 and len(held) > _HOLD_BYTES:
            cut = len(held) - self._redactor.longest_bytes
        if cut <= 0:
            return 0, True
        text = held.decode("utf-8", "surrogateescape")
        spans = self._redactor.secrets_in(text)
        if not spans:
            return cut, True
        at = _outside(spans, text, len(held[:cut].decode("utf-8", "surrogateescape")))
        if at == 0 and len(held) > _HOLD_LIMIT_BYTES:
            return len(held), False
        return len(text[:at].encode("utf-8", "surrogateescape")), False


def _outside(spans: list[Span], text: str, at: int) -> int:
    """Move a cut that falls into a secret back to the start of its line, so that what shows the secret stays with it."""
    for span in sorted(spans, reverse=True):
        if span.start < at < span.end or (span.label == _OPEN_ENDED and span.start < at == span.end):
            at = text.rfind("\n", 0, span.start) + 1
    return at
