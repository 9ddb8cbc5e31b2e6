"""What a reader gives: a table that can be read again and again, in its own order, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reenact.compare.libraries import arrow
from reenact.compare.logical_digest import LogicalDigest, column_types, is_json, json_field
from reenact.digests import Digest

__all__ = ["BATCH_ROWS", "Table", "TableFacts", "batches_of", "facts_of", "json_table", "unique_names"]

BATCH_ROWS: Final = 1 << 16
"""Rows a reader gives at a time: a few MiB, and the cost of a call is spread over many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table in a file."""

    schema: Any
    """Arrow's."""
    batches: Callable[[], Iterator[Any]]
    """Begins to read from the first row; gives Arrow record batches with the schema."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """How it is written down: what may differ between two files of the same content."""
    parquet: str | None = None
    """The path, where it is a Parquet file: a database can then read only what it needs."""

    @property
    def names(self) -> list[str]:
        """Give the columns' names, in order."""
        return list(self.schema.names)

    def is_json(self, name: str) -> bool:
        """Tell whether a column holds JSON values, as text."""
        return is_json(self.schema.field(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What is known of a table when all of it was read."""

    rows: int
    columns: tuple[tuple[str, str], ...]
    digest: Digest


def facts_of(table: Table) -> TableFacts:
    """Read a table and count, type and digest it. About a second for a million rows of eight columns."""
    state = LogicalDigest(table.schema)
    for batch in table.batches():
        state.add(batch)
    return TableFacts(rows=state.rows, columns=column_types(table.schema), digest=state.result())


def batches_of(columns: Mapping[str, list[Any]], schema: Any) -> Any:  # noqa: ANN401 - an Arrow record batch
    """Make a batch of Python values."""
    pa = arrow()
    arrays = [pa.array(columns[name], schema.field(name).type) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def json_table(
    names: list[str], rows: Callable[[], Iterator[Mapping[str, str]]], facts: Mapping[str, str] | None = None
) -> Table:
    """Make a table of rows whose values are canonical JSON text; what a row does not have is a null."""
    schema = arrow().schema([json_field(name) for name in names])

    def batches() -> Iterator[Any]:
        columns: dict[str, list[str | None]] = {name: [] for name in names}
        count = 0
        for row in rows():
            for name, column in columns.items():
                column.append(row.get(name))
            count += 1
            if count == BATCH_ROWS:
                yield batches_of(columns, schema)
                columns, count = {name: [] for name in names}, 0
        if count:
            yield batches_of(columns, schema)

    return Table(schema=schema, batches=batches, facts=facts or {})


def unique_names(names: list[str]) -> list[str]:
    """Make names distinct and not empty, in an order-preserving way that depends on nothing else: ``a``, ``a (2)``."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for at, given in enumerate(names):
        name = given or f"column {at + 1}"
        seen[name] = seen.get(name, 0) + 1
        candidate = name if seen[name] == 1 else f"{name} ({seen[name]})"
        while candidate in found:
            candidate += "'"
        found.append(candidate)
    return found
