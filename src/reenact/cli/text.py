"""Values as text for people: names without control characters, sizes, durations, ids, aligned columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["aligned", "count", "duration", "printable", "short_digest", "short_id", "size"]

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that move the cursor, colour, reorder or hide text: a recorded name must not be able to."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Write control and formatting characters as ``\x1b`` or ``\u202e``, but for those in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _UNSAFE else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 - what two hex digits can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - what four can


def size(number_of_bytes: int) -> str:
    """Write a size with a binary unit: ``1.5 MiB``."""
    amount = float(number_of_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004 - the step between units
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(seconds: float) -> str:
    """Write a duration: ``2.4 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 input``, ``3 inputs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def short_id(run_id: str) -> str:
    """Give the last part of a run id, which is random (its first part is the time) and accepted wherever a run is named."""
    return run_id.rpartition("-")[2]


def short_digest(digest: str | None) -> str:
    """Give the first 12 hex digits of a digest, or a dash."""
    return digest.partition(":")[2][:12] if digest else "-"


def aligned(rows: Sequence[Sequence[str]], *, indent: str = "", right: frozenset[int] = frozenset()) -> list[str]:
    """Lay rows out in columns two spaces apart; `right` are the columns of numbers. No trailing spaces."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(_padded(cell, widths[i], to_the_right=i in right) for i, cell in enumerate(row))).rstrip()
        for row in rows
    ]


def _padded(cell: str, width: int, *, to_the_right: bool) -> str:
    return cell.rjust(width) if to_the_right else cell.ljust(width)
