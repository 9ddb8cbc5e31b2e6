"""Logical types: what a column holds, whatever its file format and width. See docs/spec/logical-digest.md §2. Pure."""

from __future__ import annotations

from typing import Any

from reenact.compare.libraries import arrow
from reenact.errors import ReenactError

__all__ = ["NotATable", "logical_type", "plain"]


class NotATable(ReenactError):
    """Something is not, or not in every part, a table that can be read; the message says why."""

    code = "not-a-table"


def plain(kind: Any) -> Any:  # noqa: ANN401 - an Arrow type
    """Look through what is only another way of storing the same values: dictionaries, runs, extensions."""
    types = arrow().types
    while True:
        if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, arrow().BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def logical_type(kind: Any) -> str:  # noqa: ANN401 - an Arrow type
    """Name the logical type of an Arrow type.

    Raises:
        NotATable: there is none (a union).
    """
    kind = plain(kind)
    return _simple(kind) or _nested(kind)


def _simple(kind: Any) -> str:  # noqa: ANN401 - an Arrow type
    types = arrow().types
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "instant"
    if types.is_decimal(kind):
        return f"decimal({kind.scale})"
    for word, tests in (
        ("null", (types.is_null,)),
        ("bool", (types.is_boolean,)),
        ("integer", (types.is_integer,)),
        ("float", (types.is_floating,)),
        ("text", (types.is_string, types.is_large_string, types.is_string_view)),
        ("binary", (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)),
        ("date", (types.is_date,)),
        ("time", (types.is_time,)),
        ("duration", (types.is_duration,)),
        ("interval", (types.is_interval,)),
    ):
        if any(test(kind) for test in tests):
            return word
    return ""


def _nested(kind: Any) -> str:  # noqa: ANN401 - an Arrow type
    types = arrow().types
    if types.is_map(kind):
        return f"map<{logical_type(kind.key_type)},{logical_type(kind.item_type)}>"
    if types.is_struct(kind):
        fields = ",".join(f"{_quoted(field.name)}:{logical_type(field.type)}" for field in kind)
        return f"struct<{fields}>"
    if is_list(kind):
        return f"list<{logical_type(kind.value_type)}>"
    raise NotATable(f"values of type {kind} cannot be compared")


def is_list(kind: Any) -> bool:  # noqa: ANN401 - an Arrow type
    """Tell whether it is a list of any layout; a map is none."""
    types = arrow().types
    tests = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_list_view,
        types.is_large_list_view,
    )
    return any(test(kind) for test in tests)


def _quoted(name: str) -> str:
    """Write a field's name so that no name can look like two."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
