"""Excel workbooks: a table for each sheet, its first row naming the columns, its values as JSON.

Formulas are compared by the values that were saved with them; formats, widths and colours are no content.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from reenact.compare.libraries import excel
from reenact.compare.readers.records import canonical_value
from reenact.compare.tables import Table, json_table, unique_names

__all__ = ["read_excel"]


def read_excel(path: str) -> dict[str, Table]:
    """Read a workbook; give its sheets by name."""
    book = excel().load_workbook(path, read_only=True, data_only=True)
    try:
        names = [sheet.title for sheet in book.worksheets]
    finally:
        book.close()
    return {name: _sheet(path, name) for name in names}


def _rows(path: str, name: str) -> Iterator[tuple[Any, ...]]:
    book = excel().load_workbook(path, read_only=True, data_only=True)
    try:
        for row in book[name].iter_rows(values_only=True):
            if any(value is not None for value in row):
                yield row
    finally:
        book.close()


def _sheet(path: str, name: str) -> Table:
    header = next(_rows(path, name), ())
    columns = unique_names(["" if value is None else str(value) for value in header])

    def records() -> Iterator[Mapping[str, str]]:
        rows = _rows(path, name)
        next(rows, None)
        for row in rows:
            yield {c: _cell(value) for c, value in zip(columns, row, strict=False) if value is not None}

    return json_table(columns, records)


def _cell(value: Any) -> str:  # noqa: ANN401 - what a cell holds
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return canonical_value(value.isoformat())
    if isinstance(value, dt.timedelta):
        return canonical_value(value.total_seconds())
    return canonical_value(value if isinstance(value, bool | int | float) else str(value))
