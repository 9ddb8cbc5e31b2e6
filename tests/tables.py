"""One table in every format that is read, each also otherwise written down: for tests of comparing."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.orc
import pyarrow.parquet

__all__ = ["FORMATS", "ROWS", "Write", "base", "changed", "csv_text", "shuffled", "without"]

ROWS = 60
Write = Callable[[Path, pa.Table, bool], None]
"""Writes a table to a path; True for the other way of writing it down."""


def base(rows: int = ROWS) -> pa.Table:
    """A table with an id, texts, numbers, times and nulls."""
    start = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - a column without a zone
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "name": pa.array([None if i % 7 == 3 else f"näme {i % 5}" for i in range(rows)], pa.string()),
            "price": pa.array([i / 7 for i in range(rows)], pa.float64()),
            "at": pa.array([start + dt.timedelta(hours=i) for i in range(rows)], pa.timestamp("us")),
            "flag": pa.array([i % 3 == 0 for i in range(rows)], pa.bool_()),
        }
    )


def changed(table: pa.Table, row: int, column: str, value: Any) -> pa.Table:
    """Put another value into one cell; rows from 0."""
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    return table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def shuffled(table: pa.Table) -> pa.Table:
    """Another order of the rows, always the same one."""
    rows = table.num_rows
    return table.take([(i * 37 + 11) % rows for i in range(rows)])


def without(table: pa.Table, row: int) -> pa.Table:
    """Take one row out."""
    return pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def _parquet(path: Path, table: pa.Table, other: bool) -> None:
    pa.parquet.write_table(
        table,
        path,
        compression="zstd" if other else "snappy",
        row_group_size=7 if other else ROWS,
        use_dictionary=not other,
    )


def _parquet_by_duckdb(path: Path, table: pa.Table, other: bool) -> None:
    if other:
        _copy(path, table)
    else:
        pa.parquet.write_table(table, path)


def _copy(path: Path, table: pa.Table) -> None:
    with duckdb.connect() as connection:
        connection.register("t", table)
        connection.execute(f"COPY (SELECT * FROM t) TO '{path}' (FORMAT parquet)")


def _parquet_by_polars(path: Path, table: pa.Table, other: bool) -> None:
    if other:
        pl.from_arrow(table).write_parquet(path)  # type: ignore[union-attr]
    else:
        pa.parquet.write_table(table, path)


def _arrow(path: Path, table: pa.Table, other: bool) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd" if other else None)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=9 if other else None)


def _stream(path: Path, table: pa.Table, other: bool) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=9 if other else None)


def _orc(path: Path, table: pa.Table, other: bool) -> None:
    pa.orc.write_table(table, str(path), compression="zstd" if other else "uncompressed")


def _rows(table: pa.Table) -> list[list[Any]]:
    return [list(row.values()) for row in table.to_pylist()]


def csv_text(table: pa.Table, *, delimiter: str = ",", end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """A table as delimited text."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(table.column_names)
    writer.writerows(_rows(table))
    return out.getvalue()


def _csv(path: Path, table: pa.Table, other: bool) -> None:
    text = csv_text(table, delimiter=";", end="\r\n", quoting=csv.QUOTE_ALL) if other else csv_text(table)
    path.write_bytes(text.encode("utf-8-sig" if other else "utf-8"))


def _tsv(path: Path, table: pa.Table, other: bool) -> None:
    path.write_bytes(csv_text(table, delimiter="\t").encode("utf-16" if other else "utf-8"))


def _packed_csv(path: Path, table: pa.Table, other: bool) -> None:
    with gzip.GzipFile(path, "wb", compresslevel=1 if other else 9, mtime=2 if other else 1) as file:
        file.write(csv_text(table).encode())


def _records(table: pa.Table) -> list[dict[str, Any]]:
    return [
        {k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in table.to_pylist()
    ]


def _json_lines(path: Path, table: pa.Table, other: bool) -> None:
    records = _records(table)
    if other:  # the first record decides the order of columns
        records = records[:1] + [dict(sorted(record.items())) for record in records[1:]]
    text = "".join(
        json.dumps(r, ensure_ascii=other, separators=(", ", " : ") if other else None) + "\n" for r in records
    )
    path.write_text(text, encoding="utf-8")


def _json_records(path: Path, table: pa.Table, other: bool) -> None:
    path.write_text(json.dumps(_records(table), indent=2 if other else None), encoding="utf-8")


def _avro(path: Path, table: pa.Table, other: bool) -> None:
    kinds = {"int64": "long", "string": "string", "double": "double", "bool": "boolean"}
    moment = {"type": "long", "logicalType": "local-timestamp-micros"}
    fields = [{"name": f.name, "type": ["null", kinds.get(str(f.type), moment)]} for f in table.schema]
    with path.open("wb") as file:
        fastavro.writer(
            file,
            {"type": "record", "name": "row", "fields": fields},
            table.to_pylist(),
            codec="deflate" if other else "null",
            sync_marker=(b"2" if other else b"1") * 16,
        )


def _excel(path: Path, table: pa.Table, other: bool) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "rows"
    sheet.append(table.column_names)
    for row in _rows(table):
        sheet.append(row)
    if other:
        sheet.column_dimensions["A"].width = 40
    book.save(path)


def _sqlite(path: Path, table: pa.Table, other: bool) -> None:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    if other:
        connection.execute("PRAGMA page_size = 8192")
    connection.execute("CREATE TABLE rows (id INTEGER, name TEXT, price REAL, at TEXT, flag INTEGER)")
    rows = [[v.isoformat() if isinstance(v, dt.datetime) else v for v in row] for row in _rows(table)]
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows)
    if other:
        connection.execute("CREATE INDEX by_id ON rows (id)")
    connection.commit()
    connection.close()


def _duckdb(path: Path, table: pa.Table, other: bool) -> None:
    path.unlink(missing_ok=True)
    with duckdb.connect(path) as connection:
        if other:
            connection.execute("CREATE TABLE extra AS SELECT 1 AS x")
        connection.register("t", table)
        connection.execute("CREATE TABLE rows AS SELECT * FROM t")
        if other:
            connection.execute("DROP TABLE extra")


def _zip(path: Path, table: pa.Table, other: bool) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        names = ["note.txt", "in/rows.csv"] if other else ["in/rows.csv", "note.txt"]
        for name in names:
            info = zipfile.ZipInfo(name, (2024 if other else 2023, 1, 1, 0, 0, 0))
            archive.writestr(info, csv_text(table) if name.endswith("csv") else "same\n")


def _tar(path: Path, table: pa.Table, other: bool) -> None:
    with tarfile.open(path, "w") as archive:
        content = csv_text(table).encode()
        info = tarfile.TarInfo("in/rows.csv")
        info.size, info.mtime = len(content), 2 if other else 1
        archive.addfile(info, io.BytesIO(content))


FORMATS: dict[str, tuple[str, Write]] = {
    "parquet": ("rows.parquet", _parquet),
    "parquet by duckdb": ("rows.parquet", _parquet_by_duckdb),
    "parquet by polars": ("rows.parquet", _parquet_by_polars),
    "arrow": ("rows.arrow", _arrow),
    "arrow stream": ("rows.arrows", _stream),
    "orc": ("rows.orc", _orc),
    "csv": ("rows.csv", _csv),
    "tsv": ("rows.tsv", _tsv),
    "csv in gzip": ("rows.csv.gz", _packed_csv),
    "json lines": ("rows.jsonl", _json_lines),
    "json records": ("rows.json", _json_records),
    "avro": ("rows.avro", _avro),
    "excel": ("rows.xlsx", _excel),
    "sqlite": ("rows.db", _sqlite),
    "duckdb": ("rows.duckdb", _duckdb),
    "zip": ("rows.zip", _zip),
    "tar": ("rows.tar", _tar),
}
"""Name of the format to a file name and what writes it."""
