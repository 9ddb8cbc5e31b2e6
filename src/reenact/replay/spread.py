"""How much a job's outputs vary from replay to replay, and the tightest policy that covers it. Pure.

The policy is text for `reenact.toml`; whether it holds is for the caller to try, with the same replays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reenact.compare.result import Comparison, PartComparison
from reenact.model.policy import Policy, Tolerance
from reenact.model.verdict import OutputJudgement

__all__ = ["MEASURES", "ColumnSpread", "Measure", "OutputSpread", "observe", "propose", "tightest", "warnings"]

Measure = Literal["relative", "absolute", "seconds", "ignored"]
MEASURES: Final[tuple[Measure, ...]] = ("relative", "absolute", "seconds", "ignored")
"""How a column can be covered, the tightest first. Times have differences too, but only `seconds` covers those."""

_BREAKING: Final = frozenset({"added", "removed", "type"})
"""Changes of a column that no policy covers."""
_NOISE: Final = 1e-9
"""Relative differences up to this are taken for what another order of floating-point operations does."""
_ROUNDING: Final = 1.06
"""Two digits can be 5 % below what they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpread:
    """What was seen of one column, over all replays that differ."""

    column: str
    replays: int
    """In how many it differed."""
    rows: int
    """In how many rows of one replay at most."""
    largest: float | None = None
    """Greatest difference of two numbers, or times in seconds; None where values are neither."""
    largest_relative: float | None = None
    magnitude: float | None = None
    """Greatest magnitude of the numbers that differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpread:
    """What was seen of one output."""

    name: str
    replays: int
    identical: int
    """Replays that made the same bytes."""
    levels: tuple[str, ...] = ()
    """In which ways the others were not the same, sorted."""
    columns: tuple[ColumnSpread, ...] = ()
    beyond: tuple[str, ...] = ()
    """Differences that no policy covers, in words: it was missing, had other columns, more rows, another mode."""


def observe(replays: Sequence[tuple[Sequence[OutputJudgement], Mapping[str, Comparison]]]) -> tuple[OutputSpread, ...]:
    """Sum up replays, each judged by content with every row where it may be.

    Args:
        replays: Judgements and comparisons of each.
    """
    names = sorted({j.name for judgements, _ in replays for j in judgements if j.decides})
    return tuple(_observe(name, replays) for name in names)


def _observe(name: str, replays: Sequence[tuple[Sequence[OutputJudgement], Mapping[str, Comparison]]]) -> OutputSpread:
    levels: set[str] = set()
    beyond: dict[str, None] = {}
    columns: dict[str, ColumnSpread] = {}
    identical = 0
    for judgements, comparisons in replays:
        found = next((j for j in judgements if j.name == name), None)
        if found is None:
            continue
        comparison = comparisons.get(name)
        identical += found.verdict == "identical"
        if found.verdict in {"identical", "equivalent"}:
            levels |= {found.equivalence} if found.equivalence else set()
            continue
        beyond |= dict.fromkeys(_beyond(found, comparison))
        if comparison is not None:
            levels.add(comparison.level)
            for part in comparison.parts:
                for column in part.columns:
                    if column.changed:
                        seen = columns.get(column.column, ColumnSpread(column=column.column, replays=0, rows=0))
                        columns[column.column] = ColumnSpread(
                            column=column.column,
                            replays=seen.replays + 1,
                            rows=max(seen.rows, column.changed),
                            largest=_greater(seen.largest, column.largest),
                            largest_relative=_greater(seen.largest_relative, column.largest_relative),
                            magnitude=_greater(seen.magnitude, column.magnitude),
                        )
    return OutputSpread(
        name=name,
        replays=len(replays),
        identical=identical,
        levels=tuple(sorted(levels)),
        columns=tuple(columns[column] for column in sorted(columns)),
        beyond=tuple(beyond),
    )


def _greater(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return max(known, default=None)


def _beyond(found: OutputJudgement, comparison: Comparison | None) -> Iterable[str]:
    """Say what no policy covers."""
    if found.verdict != "different":
        yield {"missing": "a replay did not make it", "extra": "only a replay made it"}[found.verdict]
        return
    yield from (word for word in found.differences if word.startswith(("mode:", "type:", "target:", "it was")))
    if comparison is None:
        yield "; ".join(found.differences) or "its content is not known"
        return
    for part in comparison.parts:
        if part.level == "different":
            yield from _beyond_part(part)


def _beyond_part(part: PartComparison) -> Iterable[str]:
    where = f"{part.part}: " if part.part else ""
    if part.presence != "both":
        yield f"{where}only in some"
    elif part.kind != "table":
        yield f"{where}the {part.kind} differs, and only tables have tolerances"
    else:
        if part.added or part.removed:
            yield f"{where}rows that are in one only: declare a key if they are the same rows with other values"
        yield from (f"{where}column {c.column} {c.change}" for c in part.schema if c.change in _BREAKING)


def propose(
    seen: OutputSpread, key: Sequence[str] = (), measures: Mapping[str, Measure] | None = None
) -> Policy | None:
    """Give the tightest policy that may cover what was seen; None where none is needed, or none can.

    Args:
        seen: The output.
        key: Columns that tell which row is which.
        measures: How to cover columns, where the tightest way was tried in vain.
    """
    if seen.beyond or seen.identical == seen.replays:
        return None
    tolerance: dict[str, Tolerance] = {}
    ignored = []
    for column in seen.columns:
        measure = (measures or {}).get(column.column) or tightest(column)
        if measure == "ignored":
            ignored.append(column.column)
        elif measure == "relative":
            tolerance[column.column] = Tolerance(relative=_above(column.largest_relative))
        elif measure == "absolute":
            tolerance[column.column] = Tolerance(absolute=_above(column.largest))
        else:
            tolerance[column.column] = Tolerance(seconds=_above(column.largest))
    moved = "order" in seen.levels
    return Policy(
        compare="rows" if moved else "content",
        pattern=seen.name,
        key=tuple(key) if seen.columns or moved else (),
        ignore_columns=tuple(ignored),
        tolerance=tolerance,
    )


def tightest(column: ColumnSpread) -> Measure:
    """Choose how to cover a column: floating-point noise is relative, but for sums that should be zero."""
    if column.largest is None or column.largest_relative is None:
        return "ignored"
    return "relative" if column.largest_relative <= _NOISE else "absolute"


def _above(amount: float | None) -> str:
    """Write a number with two digits, rounded up: what covers the observation has to be no less than it."""
    return f"{(amount or 0.0) * _ROUNDING:.2g}"


def warnings(seen: OutputSpread, policy: Policy) -> tuple[str, ...]:
    """Say where a policy hides more than noise."""
    found = [f"column {name} would not be compared at all" for name in policy.ignore_columns]
    for column in seen.columns:
        if column.column in policy.ignore_columns or column.largest is None:
            continue
        if policy.tolerance[column.column].seconds is not None:
            found.append(f"column {column.column}: times differ by up to {column.largest:g} s, which is no rounding")
        elif not _is_noise(column):
            share = f", {column.largest_relative:.1%} of the value" if column.largest_relative is not None else ""
            found.append(
                f"column {column.column}: values differ by up to {column.largest:g}{share}:"
                " more than rounding does; is there an unseeded random generator?"
            )
    if policy.compare == "rows":
        found.append("the order of rows would not be compared: say so only if nobody relies on it")
    if 0 < seen.identical < seen.replays:
        found.append(
            f"{seen.identical} of {seen.replays} replays were identical: it varies by chance, so more may be seen"
        )
    return tuple(found)


def _is_noise(column: ColumnSpread) -> bool:
    if column.largest_relative is not None and column.largest_relative <= _NOISE:
        return True
    # Sums that should be 0 have no relative error worth the name.
    return column.largest is not None and bool(column.magnitude) and column.largest <= _NOISE * (column.magnitude or 0)
