"""Comparing texts, line by line; and bytes. Line ends, a byte order mark, the encoding and a last line's end are no content."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import itertools
import os
from collections.abc import Iterator
from typing import Final

from reenact.compare.formats import head_of, text_encoding
from reenact.compare.result import PartComparison
from reenact.model.policy import Relaxation

__all__ = ["compare_bytes", "compare_texts"]

_ALIGNED_BYTES: Final = 4 << 20
"""Texts up to this size are aligned as `diff` does; in longer ones each line is compared with the one at its place."""
_ALIGNED_LINES: Final = 20_000
_SHOWN: Final = 300
_LONGEST_LINE: Final = 1 << 20
"""Characters that are taken for one line."""
_BLOCK_BYTES: Final = 1 << 20
_HASH_BITS: Final = 256


def _lines(path: str, encoding: str) -> Iterator[str]:
    used = "utf-8-sig" if encoding == "utf-8" else encoding
    with open(path, encoding=used, errors="surrogateescape", newline=None) as file:
        # A longer line comes in pieces: a file may be one line, and as large as the disk.
        while line := file.readline(_LONGEST_LINE):
            yield line.removesuffix("\n")


def _style(path: str) -> dict[str, str]:
    head = head_of(path)
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        last = file.read(1)
    marked = head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return {
        "encoding": text_encoding(head) or "latin-1",
        "line ends": "CR LF" if b"\r\n" in head else "CR" if b"\r" in head and b"\n" not in head else "LF",
        "byte order mark": "yes" if marked else "no",
        "end of the last line": "yes" if last in {b"\n", b"\r", b""} else "no",
    }


def compare_texts(recorded: str, got: str, most: int) -> PartComparison:
    """Compare the lines of two files, in bounded memory."""
    styles = _style(recorded), _style(got)
    encodings = styles[0]["encoding"], styles[1]["encoding"]
    sides = [_lines(path, encoding) for path, encoding in zip((recorded, got), encodings, strict=True)]
    if all(a == b for a, b in itertools.zip_longest(*sides)):
        unlike = [
            f"{name}: {styles[0][name]} → {styles[1][name]}" for name in styles[0] if styles[0][name] != styles[1][name]
        ]
        detail = "; ".join(unlike) or "otherwise written down"
        return PartComparison(kind="text", level="encoding", relaxations=(Relaxation(kind="encoding", detail=detail),))
    paths = list(zip((recorded, got), encodings, strict=True))
    if _multiset(*paths[0]) == _multiset(*paths[1]):
        moved = Relaxation(kind="order", detail="lines in another order")
        return PartComparison(kind="text", level="order", relaxations=(moved,))
    if max(os.path.getsize(recorded), os.path.getsize(got)) <= _ALIGNED_BYTES:
        first, second = (list(_lines(path, encoding)) for path, encoding in paths)
        if max(len(first), len(second)) <= _ALIGNED_LINES:
            return _aligned(first, second, most)
    return _in_place(paths, most)


def _multiset(path: str, encoding: str) -> tuple[int, int]:
    """Give what two texts with the same lines in any order share: their number, and the sum of their hashes."""
    count = total = 0
    for line in _lines(path, encoding):
        count += 1
        total += int.from_bytes(hashlib.sha256(line.encode("utf-8", "surrogateescape")).digest(), "little")
    return count, total % (1 << _HASH_BITS)


def _aligned(first: list[str], second: list[str], most: int) -> PartComparison:
    counts = dict.fromkeys(("changed", "added", "removed"), 0)
    shown: list[str] = []
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            continue
        paired = min(a1 - a0, b1 - b0)
        counts["changed"] += paired
        counts["removed"] += a1 - a0 - paired
        counts["added"] += b1 - b0 - paired
        if len(shown) < most:
            shown += [f"line {a0 + at + 1}: - {first[a0 + at][:_SHOWN]}" for at in range(min(a1 - a0, most))]
            shown += [f"line {b0 + at + 1}: + {second[b0 + at][:_SHOWN]}" for at in range(min(b1 - b0, most))]
    return PartComparison(
        kind="text",
        level="different",
        changed=counts["changed"],
        added=counts["added"],
        removed=counts["removed"],
        lines=tuple(shown[: 2 * most]),
    )


def _in_place(paths: list[tuple[str, str]], most: int) -> PartComparison:
    counts = dict.fromkeys(("changed", "added", "removed"), 0)
    shown: list[str] = []
    pairs = itertools.zip_longest(*(_lines(path, encoding) for path, encoding in paths))
    for number, (a, b) in enumerate(pairs, 1):
        if a == b:
            continue
        counts["added" if a is None else "removed" if b is None else "changed"] += 1
        if len(shown) < 2 * most:
            shown += [
                f"line {number}: {sign} {line[:_SHOWN]}" for sign, line in (("-", a), ("+", b)) if line is not None
            ]
    return PartComparison(
        kind="text",
        level="different",
        changed=counts["changed"],
        added=counts["added"],
        removed=counts["removed"],
        lines=tuple(shown[: 2 * most]),
    )


def compare_bytes(recorded: str, got: str) -> PartComparison:
    """Compare two files byte by byte: where they begin to differ, and in how many places."""
    first: int | None = None
    differing = offset = 0
    with open(recorded, "rb") as one, open(got, "rb") as other:
        while True:
            a, b = one.read(_BLOCK_BYTES), other.read(_BLOCK_BYTES)
            if not a and not b:
                break
            if a != b:
                common = min(len(a), len(b))
                differing += sum(x != y for x, y in zip(a, b, strict=False))
                if first is None:
                    first = offset + next((at for at in range(common) if a[at] != b[at]), common)
            offset += len(a)
    sizes = os.path.getsize(recorded), os.path.getsize(got)
    if first is None:
        return PartComparison(kind="bytes", level="identical")
    return PartComparison(
        kind="bytes",
        level="different",
        changed=differing,
        added=max(0, sizes[1] - sizes[0]),
        removed=max(0, sizes[0] - sizes[1]),
        notes=(f"the first byte that differs is at {first}",),
    )
