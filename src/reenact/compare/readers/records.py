"""JSON lines and JSON arrays of objects: a table whose values are JSON, in canonical form.

A column for every key that any record has, sorted: the order of keys is no content. Nested values stay one value.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from reenact.compare.logical import NotATable
from reenact.compare.tables import Table, json_table

__all__ = ["canonical_value", "parse", "read_json_lines", "read_json_records"]

WHOLE_MAX_BYTES: Final = 512 << 20
"""A document larger than this is not parsed as a whole, which takes several times its size in memory."""
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_SAFE: Final = 2**53


def parse(data: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Read JSON: integers exactly at any size, other numbers as 64-bit floating point.

    Raises:
        NotATable: it is no JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as first:
        try:
            # The standard library also reads NaN and Infinity, which writers in Python put there.
            return json.loads(data)
        except (ValueError, RecursionError):
            raise NotATable(f"not JSON: {first}") from first


def canonical_value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Write a value as one text for equal values: keys sorted, no spaces, 1.0 as 1."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, float) and value.is_integer() and abs(value) < _SAFE:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _cells(record: object) -> Mapping[str, str]:
    if not isinstance(record, dict):
        raise NotATable("a record is no object")
    return {name: canonical_value(value) for name, value in record.items()}


def read_json_lines(path: str) -> Table:
    """Read a file with one JSON object a line; empty lines are none."""

    def records() -> Iterator[dict[str, Any]]:
        with open(path, "rb") as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            while line := file.readline(WHOLE_MAX_BYTES):
                if len(line) == WHOLE_MAX_BYTES:
                    raise NotATable(f"a line of more than {WHOLE_MAX_BYTES} bytes is not read as a whole")
                if line.strip():
                    record = parse(line)
                    if not isinstance(record, dict):
                        raise NotATable("a record is no object")
                    yield record

    names = {name for record in records() for name in record}
    return json_table(sorted(names), lambda: map(_cells, records()))


def read_json_records(path: str) -> Table:
    """Read a JSON array of objects, which is read whole.

    Raises:
        NotATable: it is no such array, or too large.
    """
    with open(path, "rb") as file:
        data = file.read(WHOLE_MAX_BYTES + 1)
    if len(data) > WHOLE_MAX_BYTES:
        raise NotATable(f"a JSON document of more than {WHOLE_MAX_BYTES} bytes is not read as a whole")
    records = parse(data.removeprefix(codecs.BOM_UTF8))
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise NotATable("not an array of objects")
    names = {name for record in records for name in record}
    return json_table(sorted(names), lambda: map(_cells, records))
