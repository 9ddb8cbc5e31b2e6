"""Comparing two tables row by row, each with the one at the same place; in bounded memory, reading both once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reenact.compare.cells import compare_columns
from reenact.compare.result import RowDifference
from reenact.compare.tables import Table
from reenact.compare.tally import Tally

__all__ = ["Aligned", "compare_in_place", "side_by_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """What the first pass found."""

    recorded_rows: int
    got_rows: int
    """Where one table is longer, its other rows were only counted."""
    complete: bool = True
    """False where it was given up, as rows at equal places have other keys; then nothing was counted to the end."""


def side_by_side(first: Iterator[Any], second: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Cut two streams of batches so that each pair has as many rows; at the end of one, the other's rest comes with None."""
    a: Any = None
    b: Any = None
    while True:
        a = a if a is not None and a.num_rows else next((batch for batch in first if batch.num_rows), None)
        b = b if b is not None and b.num_rows else next((batch for batch in second if batch.num_rows), None)
        if a is None and b is None:
            return
        if a is None or b is None:
            yield a, b
            a = b = None
            continue
        rows = min(a.num_rows, b.num_rows)
        yield a.slice(0, rows), b.slice(0, rows)
        a, b = a.slice(rows), b.slice(rows)


def compare_in_place(
    recorded: Table, got: Table, columns: Sequence[str], tally: Tally, key: Sequence[str] = ()
) -> Aligned:
    """Compare the rows at equal places, in some columns that both tables have; with a key, until those are not one row."""
    rows = [0, 0]
    for a, b in side_by_side(recorded.batches(), got.batches()):
        if a is not None and b is not None:
            if _unlike(_arrays(a, recorded, key), _arrays(b, got, key)):
                return Aligned(recorded_rows=rows[0], got_rows=rows[1], complete=False)
            base = rows[0]

            def place(number: int, base: int = base) -> RowDifference:
                at = base + number + 1
                return RowDifference(kind="changed", recorded_row=at, got_row=at)

            tally.add(_arrays(a, recorded, columns), _arrays(b, got, columns), place)
        rows[0] += 0 if a is None else a.num_rows
        rows[1] += 0 if b is None else b.num_rows
    return Aligned(recorded_rows=rows[0], got_rows=rows[1])


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return any(compare_columns(first[name], second[name], None) is not None for name in first)


def _arrays(batch: Any, table: Table, columns: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401 - an Arrow batch
    return {name: batch.column(table.names.index(name)) for name in columns}
