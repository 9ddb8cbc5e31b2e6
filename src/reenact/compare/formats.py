"""What format a file has, by its content; its name decides only where the content fits several. Pure but for reading the file."""

from __future__ import annotations

import csv
import json
import os
import re
from typing import Final

from reenact.compare.media import media_type

__all__ = ["HEAD_BYTES", "PACKED", "TABLES", "delimiter_of", "format_of", "head_of", "text_encoding", "without_suffix"]

HEAD_BYTES: Final = 1 << 16
"""So much of a file's start tells its format."""

_BY_MEDIA: Final = {
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.arrow.stream": "arrow-stream",
    "application/x-feather": "feather",
    "application/vnd.apache.orc": "orc",
    "application/vnd.apache.avro": "avro",
    "application/vnd.sqlite3": "sqlite",
    "application/vnd.duckdb": "duckdb",
    "application/gzip": "gzip",
    "application/zstd": "zstd",
    "application/x-bzip2": "bzip2",
    "application/x-xz": "xz",
    "application/x-tar": "tar",
    "application/zip": "zip",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "excel",
}

TABLES: Final = frozenset(
    {
        "arrow",
        "arrow-stream",
        "avro",
        "csv",
        "duckdb",
        "excel",
        "feather",
        "json-lines",
        "json-records",
        "orc",
        "parquet",
        "sqlite",
    }
)
PACKED: Final = {"gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2", "xz": ".xz"}
"""Formats around one other file, and what they add to its name."""

_DELIMITERS: Final = ",\t;|"
_DELIMITED: Final = frozenset({"csv", "tsv", "tab", "psv"})
_MAYBE_DELIMITED: Final = _DELIMITED | {"", "txt", "dat", "data", "out"}
_LINES_SHOWN: Final = 20
_STREAM_MARK: Final = b"\xff\xff\xff\xff"
"""An Arrow stream begins with this and the length of its first message."""


def head_of(path: str) -> bytes:
    """Read the start of a file."""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def without_suffix(name: str, suffix: str) -> str:
    """Take a packed file's ending off its name; ``.tgz`` becomes ``.tar``."""
    if name.lower().endswith(".tgz"):
        return name[:-4] + ".tar"
    return name.removesuffix(suffix)


def format_of(head: bytes, name: str) -> str:
    """Name the format: one of `TABLES` or `PACKED`, ``tar``, ``zip``, ``json``, ``text``, ``image``, ``bytes``.

    Args:
        head: The first `HEAD_BYTES` of the file.
        name: Its name.
    """
    found = media_type(name, head[:512])
    if found in _BY_MEDIA and head:
        return _BY_MEDIA[found]
    if head.startswith(_STREAM_MARK) and len(head) > 8:  # noqa: PLR2004 - mark and length
        return "arrow-stream"
    if found.startswith("image/") and found != "image/svg+xml":
        return "image"
    encoding = text_encoding(head)
    if encoding is None:
        return "bytes"
    return _text_format(head.decode(encoding, "replace").removeprefix("\ufeff"), name)


def text_encoding(head: bytes) -> str | None:
    """Tell how text is written: by its mark, else UTF-8, else Latin-1; None for what is no text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\x00" in head[:200]:
        return "utf-16"
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return None
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The head may end inside a character.
        cut = error.start >= len(head) - 3 and len(head) == HEAD_BYTES
        return "utf-8" if cut else "latin-1"
    return "utf-8"


def _text_format(text: str, name: str) -> str:
    extension = os.path.splitext(name)[1].lower().removeprefix(".")
    if text.lstrip()[:1] in {"{", "["} and extension not in _DELIMITED and (found := _json_format(text, extension)):
        return found
    if extension in _DELIMITED or (extension in _MAYBE_DELIMITED and delimiter_of(text) is not None):
        return "csv"
    return "text"


def _json_format(text: str, extension: str) -> str:
    """Tell lines of objects from an array of objects from any other document; empty for what is no JSON."""
    start = text.lstrip()
    first, newline, rest = start.partition("\n")
    if start[0] == "{":
        if _is_json(first):
            several = bool(newline and rest.strip())
            return "json-lines" if several or extension in {"jsonl", "ndjson"} else "json"
    elif re.match(r"\[\s*\{", start):
        return "json-records"
    return "json" if re.match(r'\{\s*["}]|\[\s*["\[\]\-0-9tfn]', start) else ""


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        # A line may be longer than what was read.
        return len(line) > HEAD_BYTES // 2
    return True


def delimiter_of(text: str) -> str | None:
    """Find the character between fields: the one that cuts the first lines into most, and always the same number of, fields.

    None where there is none: then it is a table of one column, or none at all.
    """
    lines = text.splitlines()
    whole = lines[:_LINES_SHOWN] if len(lines) > _LINES_SHOWN or len(text) < HEAD_BYTES // 2 else lines[:-1]
    found: tuple[int, str | None] = (1, None)
    for delimiter in _DELIMITERS:
        try:
            widths = {len(row) for row in csv.reader(whole, delimiter=delimiter) if row}
        except csv.Error:
            continue
        if len(widths) == 1 and len(whole) > 1 and (width := widths.pop()) > found[0]:
            found = (width, delimiter)
    if found[1] is None and lines:
        # Fields may hold line breaks, or there is only a header: then it must do by itself.
        counts = {delimiter: lines[0].count(delimiter) for delimiter in _DELIMITERS}
        best = max(_DELIMITERS, key=counts.__getitem__)
        if counts[best] and (len(whole) == 1 or '"' in text):
            return best
    return found[1]
