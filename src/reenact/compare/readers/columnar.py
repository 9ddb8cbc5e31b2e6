"""Parquet, Arrow (files, streams, Feather) and ORC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reenact.compare.libraries import arrow
from reenact.compare.tables import BATCH_ROWS, Table

__all__ = ["read_arrow_file", "read_arrow_stream", "read_feather", "read_orc", "read_parquet"]


def read_parquet(path: str) -> Table:
    """Read a Parquet file, row group by row group."""
    parquet = arrow("parquet")
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow.remove_metadata()
        facts = _parquet_facts(file.metadata)

    def batches() -> Iterator[Any]:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield batch.cast(schema) if batch.schema != schema else batch

    return Table(schema=schema, batches=batches, facts=facts, parquet=path)


def _parquet_facts(metadata: Any) -> dict[str, str]:  # noqa: ANN401 - pyarrow's
    """Say what of the footer may differ for the same rows."""
    codecs = sorted(
        {
            metadata.row_group(group).column(column).compression
            for group in range(min(metadata.num_row_groups, 1))
            for column in range(metadata.num_columns)
        }
    )
    return {
        "written by": metadata.created_by or "nobody said",
        "compression": ", ".join(codecs) or "none",
        "row groups": str(metadata.num_row_groups),
        "format version": str(metadata.format_version),
    }


def read_arrow_file(path: str) -> Table:
    """Read an Arrow file (Feather version 2)."""
    pa = arrow()
    with pa.memory_map(path) as source, pa.ipc.open_file(source) as file:
        schema, count = file.schema.remove_metadata(), file.num_record_batches

    def batches() -> Iterator[Any]:
        with pa.memory_map(path) as source, pa.ipc.open_file(source) as file:
            for number in range(count):
                yield from _cut(file.get_batch(number), schema)

    return Table(schema=schema, batches=batches, facts={"batches": str(count)})


def read_arrow_stream(path: str) -> Table:
    """Read an Arrow stream."""
    pa = arrow()
    with pa.memory_map(path) as source, pa.ipc.open_stream(source) as stream:
        schema = stream.schema.remove_metadata()

    def batches() -> Iterator[Any]:
        with pa.memory_map(path) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                yield from _cut(batch, schema)

    return Table(schema=schema, batches=batches)


def read_feather(path: str) -> Table:
    """Read a Feather file of version 1, which is read whole."""
    table = arrow("feather").read_table(path)
    schema = table.schema.remove_metadata()
    return Table(schema=schema, batches=lambda: (b for batch in table.to_batches() for b in _cut(batch, schema)))


def read_orc(path: str) -> Table:
    """Read an ORC file, stripe by stripe."""
    orc = arrow("orc")
    file = orc.ORCFile(path)
    schema, count = file.schema.remove_metadata(), file.nstripes
    facts = {"written by": f"{file.writer} {file.software_version}", "compression": str(file.compression)}

    def batches() -> Iterator[Any]:
        again = orc.ORCFile(path)
        for number in range(count):
            yield from _cut(again.read_stripe(number), schema)

    return Table(schema=schema, batches=batches, facts={**facts, "stripes": str(count)})


def _cut(batch: Any, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - Arrow's
    """Give a batch in pieces of the usual size."""
    for start in range(0, batch.num_rows, BATCH_ROWS):
        piece = batch.slice(start, BATCH_ROWS)
        yield arrow().RecordBatch.from_arrays(piece.columns, schema=schema)
