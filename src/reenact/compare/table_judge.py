"""Judging two tables: first in place, then, where that does not make them equal, by a key or by whole rows.

The first pass reads both tables once and is the only one for tables that are equal row by row. Only what it leaves open is given
to a database that may use the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from reenact.compare.cells import text_of
from reenact.compare.database import Database
from reenact.compare.libraries import arrow, arrow_compute
from reenact.compare.logical_digest import LogicalDigest, column_types
from reenact.compare.pairs import pair_rows
from reenact.compare.positional import Aligned, compare_in_place
from reenact.compare.result import Cell, Level, PartComparison, RowDifference, SchemaChange
from reenact.compare.tables import Table
from reenact.compare.tally import Tally
from reenact.model.policy import EVERY_COLUMN, Policy, Relaxation

__all__ = ["Bounds", "compare_tables"]

_PAIRED_ROWS: Final = 1000
"""So many rows of each table that the other does not have are looked at to see which of them is a changed form of which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a comparison may use, and how much it shows."""

    folder: str
    """For what does not fit into memory."""
    memory_bytes: int = 768 << 20
    examples: int = 10


def compare_tables(recorded: Table, got: Table, policy: Policy, bounds: Bounds) -> PartComparison:
    """Compare two tables under what a policy declares; the result says how they are equal, or in what they differ."""
    return _Judge(recorded, got, policy, bounds).result()


class _Judge:
    def __init__(self, recorded: Table, got: Table, policy: Policy, bounds: Bounds) -> None:
        self._recorded, self._got, self._policy, self._bounds = recorded, got, policy, bounds
        types = dict(column_types(recorded.schema)), dict(column_types(got.schema))
        self._schema = tuple(_schema_changes(recorded, got, policy.ignore_columns))
        self._shared = [name for name, kind in types[0].items() if types[1].get(name) == kind]
        self._ignored = [name for name in self._shared if name in policy.ignore_columns]
        self._compared = [name for name in self._shared if name not in policy.ignore_columns]
        self._breaks = any(change.change in {"added", "removed", "type"} for change in self._schema)
        self._missing_key = [name for name in policy.key if name not in self._compared]
        self._notes: list[str] = []
        self._unlike_in_place = 0
        if self._missing_key:
            words = "are not columns" if len(self._missing_key) > 1 else "is no column"
            self._notes.append(f"{', '.join(self._missing_key)} of the key {words} of both tables")

    def _tally(self, columns: Sequence[str]) -> Tally:
        ignored = [name for name in self._ignored if name in columns]
        return Tally(columns, ignored, self._policy.tolerance, self._bounds.examples)

    def result(self) -> PartComparison:
        tally = self._tally(self._shared)
        key = () if self._missing_key else self._policy.key
        aligned = compare_in_place(self._recorded, self._got, self._shared, tally, key)
        if not aligned.complete:
            return self._by_key()
        self._unlike_in_place = tally.unlike_rows
        same_length = aligned.recorded_rows == aligned.got_rows
        if same_length and not tally.changed_rows:
            level: Level = "tolerance" if tally.unlike_rows else "encoding"
            return self._made(level, aligned, tally, moved=False)
        if key:
            return self._by_key()
        if self._policy.tolerance:
            return self._by_exact_columns(aligned, tally)
        return self._by_whole_rows(aligned, tally)

    # --- the three ways

    def _by_key(self) -> PartComparison:
        key = list(self._policy.key)
        with self._database(self._shared) as database:
            rows = database.rows()
            aligned = Aligned(recorded_rows=rows[0], got_rows=rows[1])
            numbered = not database.is_key(key)
            found = self._joined(database, key, numbered=numbered)
            # Pairs are one to one exactly when each row of both tables is in one of them or has none.
            if not numbered and aligned.recorded_rows - found.removed != aligned.got_rows - found.added:
                numbered = True
                found = self._joined(database, key, numbered=True)
        if numbered:
            self._notes.append(f"the key {', '.join(key)} is not unique: rows with one key were paired in their order")
        return self._from_pairs(aligned, found, key)

    def _by_exact_columns(self, aligned: Aligned, in_place: Tally) -> PartComparison:
        """Without a key, rows in any order can still be paired by the columns that have to be equal."""
        types = dict(column_types(self._recorded.schema))
        floats = {name for name in self._compared if types[name] == "float"}
        loose = {*self._policy.tolerance, *(floats if EVERY_COLUMN in self._policy.tolerance else ())}
        exact = [name for name in self._compared if name not in loose]
        with self._database(self._compared) as database:
            found = self._joined(database, exact, numbered=True)
        if aligned.recorded_rows == aligned.got_rows and in_place.changed_rows <= found.worse:
            # In place they are nearer to each other: the order is the same, and some rows changed.
            return self._made("different", aligned, in_place, moved=False)
        return self._from_pairs(aligned, found, ())

    def _from_pairs(self, aligned: Aligned, found: _Pairs, key: Sequence[str]) -> PartComparison:
        if found.worse:
            level: Level = "different"
        else:
            level = "tolerance" if found.tally.unlike_rows else "order"
        return self._made(
            level,
            aligned,
            found.tally,
            moved=not found.worse,
            added=found.added,
            removed=found.removed,
            examples=found.examples,
            key=tuple(key),
        )

    def _by_whole_rows(self, aligned: Aligned, in_place: Tally) -> PartComparison:
        with self._database(self._compared) as database:
            removed, added = database.unmatched(self._compared)
            if not removed and not added:
                return self._in_other_order(aligned, in_place)
            if aligned.recorded_rows == aligned.got_rows and in_place.changed_rows == removed == added:
                return self._made("different", aligned, in_place, moved=False)
            first, second = database.apart_rows(_PAIRED_ROWS)
        return self._paired(aligned, removed, added, first, second)

    def _in_other_order(self, aligned: Aligned, in_place: Tally) -> PartComparison:
        """The database's hashes say so; the verdict rests on digests that nobody has seen collide."""
        digests = [_digest_of(table, self._compared) for table in (self._recorded, self._got)]
        if digests[0] != digests[1]:
            self._notes.append("rows differ, but it could not be told which")
            return self._made("different", aligned, in_place, moved=False)
        return self._made("order", aligned, self._tally(self._shared), moved=True)

    def _paired(
        self, aligned: Aligned, removed: int, added: int, first: list[int], second: list[int]
    ) -> PartComparison:
        """See which of the rows that only one table has are a changed form of which."""
        a, b = _picked(self._recorded, first, self._compared), _picked(self._got, second, self._compared)
        pairs, left, right = pair_rows(a, b, first, second)
        tally = self._tally(self._compared)
        if pairs:
            at_a, at_b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

            def place(number: int) -> RowDifference:
                return RowDifference(
                    kind="changed", recorded_row=first[at_a[number]] + 1, got_row=second[at_b[number]] + 1
                )

            tally.add(
                {name: a.column(name).take(arrow().array(at_a)) for name in self._compared},
                {name: b.column(name).take(arrow().array(at_b)) for name in self._compared},
                place,
            )
        if max(len(first), len(second)) < max(removed, added):
            self._notes.append("too many rows differ to see which changed into which: declare a key")
        examples = [_whole("removed", a, at, first[at]) for at in left]
        examples += [_whole("added", b, at, second[at]) for at in right]
        return self._made(
            "different",
            aligned,
            tally,
            moved=False,
            added=added - len(pairs),
            removed=removed - len(pairs),
            examples=examples,
        )

    # --- what they share

    def _database(self, columns: Sequence[str]) -> Database:
        # What reading left in Arrow's pool would come on top of what the database may use.
        arrow().default_memory_pool().release_unused()
        return Database(
            self._recorded, self._got, columns, folder=self._bounds.folder, memory_bytes=self._bounds.memory_bytes
        )

    def _joined(self, database: Database, key: Sequence[str], *, numbered: bool) -> _Pairs:
        tally = self._tally([name for name in database.columns if name not in key])
        pairs = _Pairs(database.columns, key, tally, self._bounds.examples)
        for batch in database.unlike_pairs(key, [n for n in database.columns if n not in key], numbered=numbered):
            pairs.add(batch)
        return pairs

    def _made(
        self,
        level: Level,
        aligned: Aligned,
        tally: Tally,
        *,
        moved: bool,
        added: int = 0,
        removed: int = 0,
        examples: Sequence[RowDifference] = (),
        key: tuple[str, ...] = (),
    ) -> PartComparison:
        columns_moved = [change for change in self._schema if change.change == "moved"]
        if self._breaks:
            level = "different"
        elif level == "encoding" and columns_moved:
            level = "order"
        relaxations = () if level == "different" else self._relaxations(level, tally, moved)
        return PartComparison(
            kind="table",
            level=level,
            recorded_rows=aligned.recorded_rows,
            got_rows=aligned.got_rows,
            changed=tally.changed_rows,
            added=added,
            removed=removed,
            key=key,
            schema=self._schema,
            columns=tally.columns(),
            examples=(*tally.examples, *self._first(examples)) if level == "different" else (),
            notes=tuple(self._notes),
            relaxations=tuple(relaxations),
        )

    def _first(self, alone: Sequence[RowDifference]) -> Iterator[RowDifference]:
        """Give the first of those that were removed, and of those that were added: neither hides the other."""
        for kind in ("removed", "added"):
            yield from [example for example in alone if example.kind == kind][: self._bounds.examples]

    def _relaxations(self, level: Level, tally: Tally, moved: bool) -> Iterator[Relaxation]:
        storage = [f"{c.column} stored as {c.recorded} → {c.got}" for c in self._schema if c.change == "storage"]
        facts = [
            f"{name}: {self._recorded.facts.get(name, '-')} → {self._got.facts.get(name, '-')}"
            for name in dict.fromkeys([*self._recorded.facts, *self._got.facts])
            if self._recorded.facts.get(name) != self._got.facts.get(name)
        ]
        if level == "encoding" or storage or facts:
            yield Relaxation(kind="encoding", detail="; ".join([*storage, *facts]) or "otherwise written down")
        if moved:
            yield Relaxation(kind="order", detail="rows in another order", values=self._unlike_in_place)
        if any(change.change == "moved" for change in self._schema):
            yield Relaxation(kind="order", detail="columns in another order")
        yield from tally.relaxations()
        shared = {*self._recorded.names} & {*self._got.names}
        for name in self._policy.ignore_columns:
            if name not in shared and name in {*self._recorded.names, *self._got.names}:
                side = "record" if name in self._recorded.names else "replay"
                yield Relaxation(kind="ignored", column=name, detail=f"the column is only in the {side}")


class _Pairs:
    """What joining two tables gave."""

    def __init__(self, columns: Sequence[str], key: Sequence[str], tally: Tally, most: int) -> None:
        self._columns, self._key, self.tally, self._most = columns, key, tally, most
        self.added = self.removed = 0
        self._alone: list[RowDifference] = []

    @property
    def worse(self) -> int:
        """Rows that make the tables different."""
        return self.tally.changed_rows + self.added + self.removed

    @property
    def examples(self) -> list[RowDifference]:
        return self._alone

    def add(self, batch: Any) -> None:  # noqa: ANN401 - an Arrow batch
        if not batch.column(0).null_count and not batch.column(1).null_count:
            self._add_pairs(batch)
            return
        pc = arrow_compute()
        no_a, no_b = batch.column(0).is_null(), batch.column(1).is_null()
        both = batch.filter(pc.invert(pc.or_(no_a, no_b)))
        if both.num_rows:
            self._add_pairs(both)
        for mask, side in ((no_b, "a"), (no_a, "b")):
            alone = batch.filter(mask)
            if side == "a":
                self.removed += alone.num_rows
            else:
                self.added += alone.num_rows
            self._add_alone(alone, side)

    def _add_pairs(self, batch: Any) -> None:  # noqa: ANN401 - an Arrow batch
        sides = [{name: batch.column(f"{s}{at}") for at, name in enumerate(self._columns)} for s in "ab"]

        def place(number: int) -> RowDifference:
            return RowDifference(
                kind="changed",
                key=tuple((name, text_of(sides[0][name][number])) for name in self._key),
                recorded_row=batch.column(0)[number].as_py() + 1,
                got_row=batch.column(1)[number].as_py() + 1,
            )

        self.tally.add(sides[0], sides[1], place, batch.column(0))

    def _add_alone(self, batch: Any, side: str) -> None:  # noqa: ANN401 - an Arrow batch
        """Keep the first ones, of each side."""
        pc = arrow_compute()
        own = batch.column(0 if side == "a" else 1)
        for number in pc.array_sort_indices(own)[: self._most].to_pylist():
            cells = {name: batch.column(f"{side}{at}")[number] for at, name in enumerate(self._columns)}
            row = own[number].as_py() + 1
            self._alone.append(
                RowDifference(
                    kind="removed" if side == "a" else "added",
                    key=tuple((name, text_of(cells[name])) for name in self._key),
                    recorded_row=row if side == "a" else None,
                    got_row=row if side == "b" else None,
                    cells=tuple(_cell(name, value, side == "a") for name, value in cells.items()),
                )
            )
        kinds = [[e for e in self._alone if e.kind == kind] for kind in ("removed", "added")]
        self._alone = [e for kept in kinds for e in sorted(kept, key=_row_of)[: self._most]]


def _row_of(example: RowDifference) -> int:
    return example.recorded_row or example.got_row or 0


def _cell(name: str, value: Any, is_recorded: bool) -> Cell:  # noqa: ANN401 - an Arrow scalar
    text = text_of(value)
    return Cell(column=name, recorded=text) if is_recorded else Cell(column=name, got=text)


def _whole(kind: Any, table: Any, at: int, row: int) -> RowDifference:  # noqa: ANN401 - a literal, an Arrow table
    is_recorded = kind == "removed"
    cells = tuple(_cell(name, table.column(name)[at], is_recorded) for name in table.column_names)
    example = RowDifference(kind=kind, cells=cells)
    return replace(example, **{"recorded_row" if is_recorded else "got_row": row + 1})


def _picked(table: Table, rows: Sequence[int], columns: Sequence[str]) -> Any:  # noqa: ANN401 - an Arrow table
    """Give some rows, by number from 0, ascending; reads the table up to the last of them."""
    pa = arrow()
    schema = pa.schema([table.schema.field(name) for name in columns])
    at = [table.names.index(name) for name in columns]
    found, base, wanted = [], 0, list(rows)
    for batch in table.batches() if wanted else ():
        end = base + batch.num_rows
        here = [row - base for row in wanted if base <= row < end]
        if here:
            taken = batch.take(pa.array(here))
            found.append(pa.RecordBatch.from_arrays([taken.column(place) for place in at], schema=schema))
        base = end
        if base > wanted[-1]:
            break
    return pa.Table.from_batches(found, schema=schema)


def _digest_of(table: Table, columns: Sequence[str]) -> tuple[int, str]:
    pa = arrow()
    at = [table.names.index(name) for name in columns]
    state = LogicalDigest(pa.schema([table.schema.field(place) for place in at]))
    for batch in table.batches():
        arrays = [batch.column(place) for place in at]
        state.add(pa.RecordBatch.from_arrays(arrays, names=list(columns)) if at else batch)
    return state.rows, state.result()


def _schema_changes(recorded: Table, got: Table, ignored: Sequence[str]) -> Iterator[SchemaChange]:
    types = dict(column_types(recorded.schema)), dict(column_types(got.schema))
    for name in types[0]:
        if name in ignored:
            continue
        if name not in types[1]:
            yield SchemaChange(column=name, change="removed", recorded=types[0][name])
        elif types[0][name] != types[1][name]:
            yield SchemaChange(column=name, change="type", recorded=types[0][name], got=types[1][name])
        else:
            stored = [str(table.schema.field(name).type) for table in (recorded, got)]
            if stored[0] != stored[1]:
                yield SchemaChange(column=name, change="storage", recorded=stored[0], got=stored[1])
    for name in types[1]:
        if name not in types[0] and name not in ignored:
            yield SchemaChange(column=name, change="added", got=types[1][name])
    both = [[n for n in names if n in types[0] and n in types[1] and n not in ignored] for names in types]
    moved = [(n, both[0].index(n), both[1].index(n)) for n in both[0] if both[0].index(n) != both[1].index(n)]
    yield from (
        SchemaChange(column=n, change="moved", recorded=str(old + 1), got=str(new + 1)) for n, old, new in moved
    )
