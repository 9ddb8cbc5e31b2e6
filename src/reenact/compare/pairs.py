"""Which of the rows that only one table has is a changed form of which in the other: by place, then by likeness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from reenact.compare.encoding import encoded

__all__ = ["pair_rows"]

_LEAST_SHARED: Final = 0.5
"""A row with fewer of its values equal is another row, not a changed one."""
_MOST_COMPARED: Final = 200
"""Rows of each side whose likeness is worked out: every one of them with every other."""

Pair = tuple[int, int]


def pair_rows(
    first: Any,  # noqa: ANN401 - an Arrow table
    second: Any,  # noqa: ANN401 - same
    first_rows: Sequence[int],
    second_rows: Sequence[int],
) -> tuple[list[Pair], list[int], list[int]]:
    """Pair rows.

    Args:
        first: Rows of one table.
        second: Rows of the other, with the same columns.
        first_rows: Where the rows of `first` stood in it.
        second_rows: The same of `second`.

    Returns:
        Pairs of indices into `first` and `second`, ascending; the indices of rows without a partner in each.
    """
    values = [_values(table) for table in (first, second)]
    columns = max(len(first.column_names), 1)
    places = {row: at for at, row in enumerate(second_rows)}
    pairs: list[Pair] = []
    for at, row in enumerate(first_rows):
        other = places.get(row)
        if other is not None and _shared(values[0][at], values[1][other]) >= _LEAST_SHARED * columns:
            pairs.append((at, other))
    left = sorted(set(range(len(first_rows))) - {a for a, _ in pairs})
    right = sorted(set(range(len(second_rows))) - {b for _, b in pairs})
    if len(left) <= _MOST_COMPARED and len(right) <= _MOST_COMPARED:
        more = _alike(values, left, right, columns)
        pairs += more
        left = sorted(set(left) - {a for a, _ in more})
        right = sorted(set(right) - {b for _, b in more})
    return sorted(pairs), left, right


def _values(table: Any) -> list[tuple[bytes, ...]]:  # noqa: ANN401 - an Arrow table
    columns = [encoded(column).to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else [()] * table.num_rows


def _shared(first: tuple[bytes, ...], second: tuple[bytes, ...]) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))


def _alike(values: list[list[tuple[bytes, ...]]], left: list[int], right: list[int], columns: int) -> list[Pair]:
    """Take the most alike first; of equally alike ones the earlier."""
    scored = [(-_shared(values[0][a], values[1][b]), a, b) for a in left for b in right]
    taken: list[Pair] = []
    free_left, free_right = set(left), set(right)
    for score, a, b in sorted(scored):
        if -score < _LEAST_SHARED * columns:
            break
        if a in free_left and b in free_right:
            taken.append((a, b))
            free_left.discard(a)
            free_right.discard(b)
    return taken
