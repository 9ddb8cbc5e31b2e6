"""The sections ``[outputs."PATTERN"]``: what counts as equal for outputs, as a person wrote it down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["RULE_KEYS", "OutputRule", "read_rules"]

_MEASURES: Final = ("absolute", "relative", "ulp", "seconds")


class OutputRule(NamedTuple):
    """One section."""

    pattern: str
    compare: str = "bytes"
    key: tuple[str, ...] = ()
    ignore_columns: tuple[str, ...] = ()
    order: str = "same"
    tolerance: Mapping[str, Mapping[str, str]] = {}
    """Column to measure to decimal text."""


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(f"one of {', '.join(words)}")

    return read


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value:
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError("a list of column names")


def _tolerances(value: object) -> dict[str, dict[str, str]]:
    if not isinstance(value, dict):
        raise ValueError("a table: column = { absolute = 1e-9 }")  # noqa: TRY004 - all are reported as one kind
    return {column: _tolerance(column, measures) for column, measures in value.items()}


def _tolerance(column: str, measures: object) -> dict[str, str]:
    if not isinstance(measures, dict):
        measures = {"absolute": measures}
    if not measures or (unknown := measures.keys() - set(_MEASURES)):
        named = f", not {', '.join(sorted(unknown))}" if measures else ""
        raise ValueError(f"for {column} one of {', '.join(_MEASURES)}{named}")
    return {name: _amount(column, name, amount) for name, amount in measures.items()}


def _amount(column: str, name: str, value: object) -> str:
    whole = name == "ulp"
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:  # noqa: SIM102 - two questions
        if not whole or value == int(value):
            return str(int(value)) if whole else repr(value)
    raise ValueError(f"for {column}.{name} a {'whole ' if whole else ''}number, 0 or more")


RULE_KEYS: Final[dict[str, tuple[Callable[[object], Any], str, str]]] = {
    "compare": (
        _one_of("bytes", "content", "rows"),
        "`bytes` \\| `content` \\| `rows`",
        (
            "`bytes`: only the same bytes are equal. `content`: the same content counts, however it is encoded. `rows`: the same"
            " rows count, in any order. The default is `bytes`, and `content` where any of the following is said."
        ),
    ),
    "key": (_names, "list of texts", "The columns that tell which row is which; rows are paired by them."),
    "ignore_columns": (_names, "list of texts", "Columns that do not count."),
    "order": (_one_of("same", "any"), "`same` \\| `any`", "Whether rows, and columns, may come in another order."),
    "tolerance": (
        _tolerances,
        "table",
        (
            'By column (`"*"`: every other one) how far values may be apart: `absolute`, `relative` (of the greater magnitude),'
            " `ulp` (steps between neighbouring floating-point numbers of the column's own width), `seconds` (for times). A plain number is `absolute`. Where several are given, each"
            " allows what it allows."
        ),
    ),
}
"""What a section may say: how it is read, its kind and what it is for; the latter two for the reference page."""


def read_rules(tables: object) -> tuple[OutputRule, ...]:
    """Read all sections, in the order they are written down.

    Raises:
        ValueError: with the dotted key, what it is, and what was expected.
    """
    if not isinstance(tables, dict):
        raise ValueError(f'outputs is {tables!r}, expected tables: [outputs."PATTERN"]')  # noqa: TRY004 - see above
    return tuple(_rule(pattern, table) for pattern, table in tables.items())


def _rule(pattern: str, table: object) -> OutputRule:
    at = f'outputs."{pattern}"'
    if not pattern or not isinstance(table, dict):
        raise ValueError(f"{at} is {table!r}, expected a table with any of {', '.join(RULE_KEYS)}")
    values = {}
    for name, value in table.items():
        if name not in RULE_KEYS:
            raise ValueError(f"there is no setting {at}.{name}, only {', '.join(RULE_KEYS)}")
        try:
            values[name] = RULE_KEYS[name][0](value)
        except ValueError as error:
            raise ValueError(f"{at}.{name} is {value!r}, expected {error}") from error
    values.setdefault("compare", "content" if table else "bytes")
    if values["compare"] == "bytes" and len(values) > 1:
        others = ", ".join(name for name in values if name != "compare")
        raise ValueError(f"{at}: with compare = 'bytes' there is nothing that {others} could say")
    return OutputRule(pattern, **values)
