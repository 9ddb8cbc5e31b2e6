"""Avro object container files. fastavro reads records one by one, about 0.25 million a second; there is no faster reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from reenact.compare.libraries import arrow, avro
from reenact.compare.logical import NotATable
from reenact.compare.tables import BATCH_ROWS, Table, batches_of

__all__ = ["read_avro"]


def read_avro(path: str) -> Table:
    """Read an Avro file whose records are objects.

    Raises:
        NotATable: its records are no objects, or it has a type that no table column has.
    """
    with open(path, "rb") as file:
        reader = avro().reader(file)
        written, codec = reader.writer_schema, str(reader.codec)
    if not isinstance(written, dict) or written.get("type") != "record":
        raise NotATable("its records are no objects")
    pa = arrow()
    schema = pa.schema([pa.field(f["name"], _Types().of(f["type"])) for f in written["fields"]])

    def batches() -> Iterator[Any]:
        with open(path, "rb") as file:
            reader = avro().reader(file)
            while records := list(islice(reader, BATCH_ROWS)):
                yield batches_of({name: [record[name] for record in records] for name in schema.names}, schema)

    return Table(schema=schema, batches=batches, facts={"compression": codec})


class _Types:
    """Arrow types of Avro's; named types are remembered, as Avro refers to them by name."""

    _SIMPLE: Final[dict[str, str]] = {
        "null": "null",
        "boolean": "bool_",
        "int": "int32",
        "long": "int64",
        "float": "float32",
        "double": "float64",
        "bytes": "binary",
        "string": "string",
    }

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}

    def of(self, kind: Any) -> Any:  # noqa: ANN401 - Avro's types are JSON
        """Give the Arrow type."""
        if isinstance(kind, list):
            return self._union(kind)
        if isinstance(kind, str):
            if kind in self._named:
                return self._named[kind]
            if kind not in self._SIMPLE:
                raise NotATable(f"values of Avro type {kind} cannot be compared")
            return getattr(arrow(), self._SIMPLE[kind])()
        return self._logical(kind) or self._complex(kind)

    def _union(self, kinds: list[Any]) -> Any:  # noqa: ANN401 - see above
        others = [kind for kind in kinds if kind != "null"]
        if len(others) > 1:
            raise NotATable("an Avro union of several types cannot be compared")
        return self.of(others[0] if others else "null")

    def _logical(self, kind: dict[str, Any]) -> Any:  # noqa: ANN401 - see above
        pa = arrow()
        word = kind.get("logicalType")
        makers: dict[str, Callable[[], Any]] = {
            "date": pa.date32,
            "time-millis": lambda: pa.time32("ms"),
            "time-micros": lambda: pa.time64("us"),
            "uuid": pa.string,
            "decimal": lambda: pa.decimal256(kind["precision"], kind.get("scale", 0)),
        }
        for unit, short in (("millis", "ms"), ("micros", "us"), ("nanos", "ns")):
            makers[f"timestamp-{unit}"] = lambda short=short: pa.timestamp(short, "UTC")  # type: ignore[misc]
            makers[f"local-timestamp-{unit}"] = lambda short=short: pa.timestamp(short)  # type: ignore[misc]
        return makers[word]() if word in makers else None

    def _complex(self, kind: dict[str, Any]) -> Any:  # noqa: ANN401 - see above
        pa, word = arrow(), kind["type"]
        if word == "array":
            return pa.list_(self.of(kind["items"]))
        if word == "map":
            return pa.map_(pa.string(), self.of(kind["values"]))
        if word == "record":
            made = pa.struct([pa.field(f["name"], self.of(f["type"])) for f in kind["fields"]])
        elif word == "enum":
            made = pa.string()
        elif word == "fixed":
            made = pa.binary(kind["size"])
        else:
            return self.of(word)
        for name in (kind.get("name"), f"{kind.get('namespace', '')}.{kind.get('name')}"):
            self._named[str(name)] = made
        return made
