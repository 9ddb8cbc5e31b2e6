r"""Paths as text. A Linux path is bytes; JSON is Unicode. This mapping loses nothing and leaves ordinary names as they are.

Inside the program a path is a ``str`` with undecodable bytes as lone surrogates (:func:`os.fsdecode`). In a bundle, a
backslash is written ``\\`` and a byte that is not valid UTF-8 ``\xNN``; everything else stands for itself.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["from_text", "relative_name", "to_text"]

_SPECIAL: Final = re.compile(r"[\\\udc80-\udcff]")
_ESCAPED: Final = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


def to_text(path: str) -> str:
    """Write a path (surrogate-escaped) as the text that stands in a bundle."""
    if path.isascii() and "\\" not in path:
        return path
    return _SPECIAL.sub(lambda m: "\\\\" if m[0] == "\\" else f"\\x{ord(m[0]) - 0xDC00:02x}", path)


def from_text(text: str) -> str:
    """Read the path (surrogate-escaped) a bundle's text stands for; the inverse of :func:`to_text`."""
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda m: chr(0xDC00 + int(m[1], 16)) if m[1] else "\\", text)


def relative_name(path: str, root: str) -> str:
    """Name a path: relative to the job's root when inside it, else the path itself."""
    if path == root:
        return "."
    prefix = root if root.endswith("/") else root + "/"
    return path.removeprefix(prefix)
