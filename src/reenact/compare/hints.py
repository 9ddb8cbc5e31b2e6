"""What to declare so that an artifact that was not accepted counts as equal, where that would be honest. Pure."""

from __future__ import annotations

from typing import Final

from reenact.compare.policy import quoted
from reenact.compare.result import ColumnDifference, Comparison, PartComparison

__all__ = ["hint_for"]

_NOISE: Final = 1e-9
"""Relative differences up to this are taken for what another order of floating-point operations does."""
_ROUNDING: Final = 1.06
"""Two digits can be 5 % below what they stand for."""


def hint_for(comparison: Comparison) -> str:
    """Say which policy would cover the differences; empty where none should."""
    policy = comparison.policy
    if comparison.level == "different":
        return _for_noise(comparison.parts)
    moved = any(relaxation.kind == "order" for part in comparison.parts for relaxation in part.relaxations)
    if not moved:
        return 'the content is equal: compare = "content" would count it as equal'
    if policy.compare == "bytes":
        return 'the rows are equal but for their order: compare = "rows" would count them as equal'
    return 'the rows are equal but for their order: order = "any" would count them as equal'


def _for_noise(parts: tuple[PartComparison, ...]) -> str:
    unlike = [part for part in parts if part.level == "different"]
    columns = [column for part in unlike for column in part.columns if column.changed]
    plain = all(
        part.kind == "table" and not part.added and not part.removed and part.presence == "both" and not _breaks(part)
        for part in unlike
    )
    amounts = [_tolerance(column) for column in columns]
    if not plain or not columns or not all(amounts):
        return ""
    named = ", ".join(f"tolerance.{quoted(c.column)} = {{ {said} }}" for c, said in zip(columns, amounts, strict=True))
    return f"the numbers differ as if calculated in another order: {named} would count them as equal"


def _tolerance(column: ColumnDifference) -> str:
    """Give the tolerance that just covers a column's noise; empty where it is more than noise."""
    if column.largest is None or column.largest_relative is None or not column.magnitude:
        return ""
    if column.largest_relative <= _NOISE:
        return f"relative = {_above(column.largest_relative)}"
    # Sums that should be 0 have no relative error worth the name.
    return f"absolute = {_above(column.largest)}" if column.largest <= _NOISE * column.magnitude else ""


def _breaks(part: PartComparison) -> bool:
    return any(change.change in {"added", "removed", "type"} for change in part.schema)


def _above(amount: float) -> str:
    """Write a number with two digits, rounded up: what covers the observation has to be no less than it."""
    return f"{amount * _ROUNDING:.2g}"
