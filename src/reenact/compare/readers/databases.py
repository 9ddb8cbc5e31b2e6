"""SQLite and DuckDB files: every table of theirs, in the order it is stored in."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from reenact.compare.libraries import arrow, duck
from reenact.compare.logical_digest import json_field
from reenact.compare.readers.records import canonical_value
from reenact.compare.tables import BATCH_ROWS, Table, batches_of

if TYPE_CHECKING:
    import sqlite3

__all__ = ["read_duckdb", "read_sqlite", "reader_of"]

_STORED_AS: Final = {"integer": "int64", "real": "float64", "text": "string", "blob": "binary"}


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sqlite(path: str) -> sqlite3.Connection:
    import sqlite3  # noqa: PLC0415 - only for such files
    from urllib.parse import quote  # noqa: PLC0415 - same

    # immutable: neither locks nor a journal are looked for; what is in a journal beside it is not in the file.
    # Whoever takes the batches may do so from any thread, but from one at a time.
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def read_sqlite(path: str) -> dict[str, Table]:
    """Read a SQLite database. A column whose values are all of one storage class has that type; any other holds JSON."""
    with closing(_sqlite(path)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
            )
        ]
        return {name: _sqlite_table(path, name, connection) for name in names}


def _sqlite_table(path: str, name: str, connection: sqlite3.Connection) -> Table:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_identifier(name)})")]
    pa = arrow()
    fields, mixed = [], set()
    for column in columns:
        quoted = _identifier(column)
        query = f"SELECT DISTINCT typeof({quoted}) FROM {_identifier(name)} WHERE {quoted} IS NOT NULL"  # noqa: S608 - quoted
        classes = [kind for (kind,) in connection.execute(query)]
        if not classes:
            fields.append(pa.field(column, pa.null()))
        elif len(classes) == 1:
            fields.append(pa.field(column, getattr(pa, _STORED_AS[classes[0]])()))
        else:
            fields.append(json_field(column))
            mixed.add(column)
    schema = pa.schema(fields)

    def batches() -> Iterator[Any]:
        with closing(_sqlite(path)) as again:
            selected = ", ".join(map(_identifier, columns))
            cursor = again.execute(f"SELECT {selected} FROM {_identifier(name)}")  # noqa: S608 - quoted
            while rows := cursor.fetchmany(BATCH_ROWS):
                made: Mapping[str, list[Any]] = {
                    column: [_json_cell(row[at]) if column in mixed else row[at] for row in rows]
                    for at, column in enumerate(columns)
                }
                yield batches_of(made, schema)

    return Table(schema=schema, batches=batches)


def _json_cell(value: Any) -> str | None:  # noqa: ANN401 - what SQLite stores
    if value is None:
        return None
    if isinstance(value, bytes):
        return canonical_value({"base64": base64.b64encode(value).decode("ascii")})
    return canonical_value(value)


def reader_of(relation: Any) -> Any:  # noqa: ANN401 - duckdb's
    """Give a relation as a stream of Arrow batches; the call has another name in older versions."""
    if hasattr(relation, "to_arrow_reader"):
        return relation.to_arrow_reader(BATCH_ROWS)
    return relation.fetch_arrow_reader(BATCH_ROWS)


def read_duckdb(path: str) -> dict[str, Table]:
    """Read a DuckDB database."""
    with duck().connect(path, read_only=True) as connection:
        names = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1, 2"
        ).fetchall()
        found = {}
        for schema_name, name in names:
            label = name if schema_name == "main" else f"{schema_name}.{name}"
            found[label] = _duckdb_table(path, f"{_identifier(schema_name)}.{_identifier(name)}", connection)
        return found


def _duckdb_table(path: str, quoted: str, connection: Any) -> Table:  # noqa: ANN401 - duckdb's
    query = f"SELECT * FROM {quoted}"  # noqa: S608 - quoted
    schema = reader_of(connection.sql(f"{query} LIMIT 0")).schema.remove_metadata()

    def batches() -> Iterator[Any]:
        with duck().connect(path, read_only=True) as again:
            for batch in reader_of(again.sql(query)):
                yield arrow().RecordBatch.from_arrays(batch.columns, schema=schema)

    return Table(schema=schema, batches=batches)
