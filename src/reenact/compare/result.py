"""What a comparison finds: values that are printed, and summed up in a verdict. Pure.

These hold values of the data. They are shown to whoever asked for the comparison; a signed verdict has only the summary.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reenact.model.policy import BYTES, Equivalence, Policy, Relaxation

__all__ = [
    "Cell",
    "ColumnDifference",
    "Comparison",
    "Level",
    "PartComparison",
    "RowDifference",
    "SchemaChange",
    "level_of",
    "summary",
    "worst",
]

Level = Literal["identical", "encoding", "order", "tolerance", "different"]

_RANK: dict[Level, int] = {"identical": 0, "encoding": 1, "order": 2, "tolerance": 3, "different": 4}


def worst(*levels: Level) -> Level:
    """Give the one that says the least; `identical` of none."""
    return max(levels, key=_RANK.__getitem__, default="identical")


class SchemaChange(msgspec.Struct, frozen=True, kw_only=True):
    """One column that is not there in both tables, or not the same in both."""

    column: str
    change: Literal["added", "removed", "type", "storage", "moved"]
    """`storage`: only the physical type differs (32 or 64 bits, a time zone's name); it is a matter of encoding."""
    recorded: str | None = None
    got: str | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One value that differs; values as text for people."""

    column: str
    recorded: str | None = None
    """None for a null."""
    got: str | None = None
    delta: float | None = None
    """How much more it is now, for numbers and times (in seconds)."""


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs."""

    kind: Literal["changed", "added", "removed"]
    key: tuple[tuple[str, str | None], ...] = ()
    """Column and value, where rows are paired by a key."""
    recorded_row: int | None = None
    """Counted from 1, in the recorded table."""
    got_row: int | None = None
    cells: tuple[Cell, ...] = ()
    """For a changed row the cells that differ, else all."""


class ColumnDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How much one column differs, over the rows that are in both."""

    column: str
    changed: int = 0
    """Values that differ by more than is tolerated."""
    within: int = 0
    """Values that differ by what is tolerated."""
    largest: float | None = None
    """The largest difference of two numbers or (in seconds) times, tolerated or not."""
    largest_relative: float | None = None
    magnitude: float | None = None
    """The greatest magnitude of the numbers that differ."""
    histogram: tuple[tuple[str, int], ...] = ()
    """Number of differences by size: powers of ten, ascending."""


class PartComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one part of an artifact: a table, a document, a text, or bytes."""

    part: str = ""
    """Its name inside the artifact; empty where that has only one."""
    kind: Literal["table", "document", "text", "bytes"] = "bytes"
    format: str = ""
    level: Level = "identical"
    """The best that is true under the tolerances and ignored columns of the policy, whatever it lets pass."""
    presence: Literal["both", "recorded", "got"] = "both"
    recorded_rows: int | None = None
    got_rows: int | None = None
    changed: int = 0
    """Rows (or lines, or values of a document) that differ."""
    added: int = 0
    removed: int = 0
    key: tuple[str, ...] = ()
    """By which columns rows were paired; none when it was by position, or by whole rows."""
    schema: tuple[SchemaChange, ...] = ()
    columns: tuple[ColumnDifference, ...] = ()
    examples: tuple[RowDifference, ...] = ()
    lines: tuple[str, ...] = ()
    """Of a text or document: differences in words, the first ones."""
    notes: tuple[str, ...] = ()
    """How the encoding differs; why it was not read as what it seems to be."""
    relaxations: tuple[Relaxation, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one artifact."""

    level: Level
    accepted: bool
    """Whether the policy counts that as equal."""
    policy: Policy = BYTES
    parts: tuple[PartComparison, ...] = ()
    hint: str = ""
    """What policy would accept it, where one would."""

    @property
    def relaxations(self) -> tuple[Relaxation, ...]:
        """All that was let pass; nothing where it is not accepted."""
        return tuple(r for part in self.parts for r in part.relaxations) if self.accepted else ()


def level_of(comparison: Comparison) -> tuple[Literal["identical", "equivalent", "different"], Equivalence | None]:
    """Give the level in a verdict, and in which way it is, or could be, equivalent."""
    if comparison.level == "identical":
        return "identical", None
    way = None if comparison.level == "different" else comparison.level
    return ("equivalent" if comparison.accepted else "different"), way


def summary(comparison: Comparison) -> tuple[str, ...]:
    """Say in words what differs, without any value of the data."""
    return tuple(line for part in comparison.parts for line in _part_summary(part))


def _part_summary(part: PartComparison) -> list[str]:
    where = f"{part.part}: " if part.part else ""
    if part.presence != "both":
        return [f"{where}only in the {'record' if part.presence == 'recorded' else 'replay'}"]
    found = [f"{where}{_schema_words(change)}" for change in part.schema]
    noun = {"table": "row", "text": "line", "document": "value", "bytes": "byte"}[part.kind]
    counts = [
        f"{number:,} {noun if number == 1 else noun + 's'} {what}"
        for number, what in ((part.changed, "changed"), (part.added, "added"), (part.removed, "removed"))
        if number
    ]
    if counts:
        found.append(where + ", ".join(counts))
    touched = [column for column in part.columns if column.changed or column.within]
    found += [f"{where}column {column.column}: {_column_words(column)}" for column in touched]
    found += [where + note for note in part.notes]
    return found


def _schema_words(change: SchemaChange) -> str:
    if change.change in {"added", "removed"}:
        return f"column {change.column} {change.change}"
    word = {"type": "type", "storage": "stored as", "moved": "position"}[change.change]
    return f"column {change.column}: {word} {change.recorded} → {change.got}"


def _column_words(column: ColumnDifference) -> str:
    words = []
    if column.changed:
        words.append(f"{column.changed:,} changed")
    if column.within:
        words.append(f"{column.within:,} within tolerance")
    if column.largest is not None:
        words.append(f"largest difference {column.largest:.6g}")
    return ", ".join(words)
