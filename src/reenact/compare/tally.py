"""Counting what differs between paired rows: per column, with the first examples. Memory does not grow with the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from reenact.compare.cells import Apart, compare_columns, text_of
from reenact.compare.libraries import arrow, arrow_compute
from reenact.compare.result import Cell, ColumnDifference, RowDifference
from reenact.model.policy import EVERY_COLUMN, Relaxation, Tolerance

__all__ = ["Tally"]

_SMALLEST_POWER: Final = -18
_LARGEST_POWER: Final = 18
Array = Any


@dataclass(slots=True)
class _Column:
    changed: int = 0
    within: int = 0
    ignored: int = 0
    largest: float | None = None
    largest_relative: float | None = None
    largest_within: float | None = None
    magnitude: float | None = None
    powers: dict[int, int] = field(default_factory=dict)


class Tally:
    """Takes pairs of rows, batch by batch."""

    def __init__(
        self, columns: Sequence[str], ignored: Sequence[str], tolerance: Mapping[str, Tolerance], examples: int
    ) -> None:
        """Set up.

        Args:
            columns: Those in both tables, with the same logical type in both.
            ignored: Those of them that do not count.
            tolerance: By column, as in a policy.
            examples: How many rows to keep.
        """
        self._columns = {name: _Column() for name in columns}
        self._ignored = frozenset(ignored)
        self._tolerance = {name: tolerance.get(name, tolerance.get(EVERY_COLUMN)) for name in columns}
        self._most = examples
        self._examples: list[tuple[int, RowDifference]] = []
        self.changed_rows = 0
        """Rows with a value that is not tolerated."""
        self.unlike_rows = 0
        """Rows with any value that counts and is not equal."""

    def add(
        self,
        recorded: Mapping[str, Array],
        got: Mapping[str, Array],
        place: Callable[[int], RowDifference],
        ranks: Array | None = None,
    ) -> None:
        """Compare rows that belong together.

        Args:
            recorded: Column name to array; all of one length.
            got: The same of the other side.
            place: Gives, for the number of a row in this call, a difference without cells that says which row it is.
            ranks: For each row its place among all rows, of which the first are kept as examples; None where batches come in
                that order.
        """
        pc = arrow_compute()
        found: dict[str, Apart] = {}
        for name, column in self._columns.items():
            apart = compare_columns(recorded[name], got[name], self._tolerance[name])
            if apart is not None:
                self._count(column, apart, ignored=name in self._ignored)
                if name not in self._ignored:
                    found[name] = apart
        if not found:
            return
        unlike = [apart.unlike for apart in found.values()]
        changed = [pc.replace_with_mask(a.unlike, a.unlike, pc.invert(a.tolerated)) for a in found.values()]
        rows = pc.indices_nonzero(reduce(pc.or_, changed))
        self.changed_rows += len(rows)
        self.unlike_rows += pc.sum(reduce(pc.or_, unlike)).as_py()
        if len(rows):
            self._keep_examples(rows, recorded, got, found, place, ranks)

    def _keep_examples(
        self,
        rows: Array,
        recorded: Mapping[str, Array],
        got: Mapping[str, Array],
        found: Mapping[str, Apart],
        place: Callable[[int], RowDifference],
        ranks: Array | None,
    ) -> None:
        pc = arrow_compute()
        if ranks is None:
            if len(self._examples) >= self._most:
                return
            base = self._examples[-1][0] + 1 if self._examples else 0
            first = rows.take(pc.array_sort_indices(rows)[: self._most]).to_pylist()
            pairs = [(base + at, number) for at, number in enumerate(first)]
        else:
            own = ranks.take(rows)
            first = pc.array_sort_indices(own)[: self._most]
            pairs = list(zip(own.take(first).to_pylist(), rows.take(first).to_pylist(), strict=True))
        if len(self._examples) >= self._most:
            pairs = [pair for pair in pairs if pair[0] < self._examples[-1][0]]
        self._examples += [(rank, _example(n, recorded, got, found, place(n))) for rank, n in pairs]
        self._examples.sort(key=lambda example: example[0])
        del self._examples[self._most :]

    @property
    def examples(self) -> list[RowDifference]:
        """Give the first rows that changed."""
        return [example for _, example in self._examples]

    def _count(self, column: _Column, apart: Apart, *, ignored: bool) -> None:
        pc = arrow_compute()
        if ignored:
            column.ignored += len(apart.rows)
            return
        within = pc.sum(apart.tolerated).as_py() or 0
        column.within += within
        column.changed += len(apart.rows) - within
        if apart.delta is None:
            return
        sizes = pc.abs(apart.delta)
        sizes = pc.if_else(pc.is_finite(sizes), sizes, None)
        column.largest = _greater(column.largest, pc.max(sizes).as_py())
        column.largest_within = _greater(column.largest_within, pc.max(pc.filter(sizes, apart.tolerated)).as_py())
        relative = pc.if_else(pc.is_finite(apart.relative), apart.relative, None)
        column.largest_relative = _greater(column.largest_relative, pc.max(relative).as_py())
        column.magnitude = _greater(column.magnitude, pc.max(apart.magnitude).as_py())
        powers = pc.floor(pc.log10(pc.if_else(pc.greater(sizes, 0), sizes, None)))
        for item in pc.value_counts(pc.drop_null(powers)):
            power = min(max(int(item["values"].as_py()), _SMALLEST_POWER), _LARGEST_POWER)
            column.powers[power] = column.powers.get(power, 0) + item["counts"].as_py()

    def columns(self) -> tuple[ColumnDifference, ...]:
        """Give what is known of every column with a value that differs."""
        return tuple(
            ColumnDifference(
                column=name,
                changed=column.changed,
                within=column.within,
                largest=column.largest,
                largest_relative=column.largest_relative,
                magnitude=column.magnitude,
                histogram=tuple((f"1e{power}", count) for power, count in sorted(column.powers.items())),
            )
            for name, column in self._columns.items()
            if column.changed or column.within
        )

    def relaxations(self) -> list[Relaxation]:
        """Give what tolerances and ignored columns let pass."""
        found = []
        for name, column in self._columns.items():
            if column.within:
                largest = "" if column.largest_within is None else repr(column.largest_within)
                found.append(
                    Relaxation(
                        kind="tolerance",
                        column=name,
                        values=column.within,
                        largest=largest,
                        detail="values differ by what is tolerated",
                    )
                )
            if column.ignored:
                found.append(
                    Relaxation(kind="ignored", column=name, values=column.ignored, detail="the column does not count")
                )
        return found


def _greater(first: float | None, second: float | None) -> float | None:
    if second is None or math.isnan(second):
        return first
    return second if first is None else max(first, second)


def _example(
    number: int,
    recorded: Mapping[str, Array],
    got: Mapping[str, Array],
    found: Mapping[str, Apart],
    place: RowDifference,
) -> RowDifference:
    cells = []
    for name, apart in found.items():
        at = arrow_compute().index(apart.rows, arrow().scalar(number, apart.rows.type)).as_py()
        if at < 0 or apart.tolerated[at].as_py():
            continue
        delta = None if apart.delta is None else apart.delta[at].as_py()
        cells.append(
            Cell(
                column=name,
                recorded=text_of(recorded[name][number]),
                got=text_of(got[name][number]),
                delta=delta if delta is not None and math.isfinite(delta) else None,
            )
        )
    return RowDifference(
        kind="changed", key=place.key, recorded_row=place.recorded_row, got_row=place.got_row, cells=tuple(cells)
    )
