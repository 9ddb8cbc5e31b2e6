"""Two tables in a database that puts on disk what does not fit into memory, and what it is asked about them.

DuckDB's own hash of rows is used inside one connection only: it is not the same from version to version.
"""

from __future__ import annotations

import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from reenact.compare.encoding import encoded, plain_array
from reenact.compare.libraries import arrow, arrow_compute, duck
from reenact.compare.logical import logical_type, plain
from reenact.compare.readers.databases import reader_of
from reenact.compare.tables import Table

__all__ = ["Database"]

_DECIMAL_DIGITS: Final = 38
"""The widest decimals that the database calculates with."""
_NANOSECONDS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_FINER: Final = ("s", "ms", "us", "ns")
_LEAST_BYTES: Final = 64 << 20


class Database:
    """Holds the recorded table as `a` and the other as `b`, their columns as ``c0`` …, and each row's number, from 0, as `r`.

    Columns are called by numbers because the database does not tell ``id`` from ``ID``.
    """

    def __init__(self, recorded: Table, got: Table, columns: Sequence[str], *, folder: str, memory_bytes: int) -> None:
        """Open it.

        Args:
            recorded: One table.
            got: The other.
            columns: Those of both, with one logical type in both.
            folder: Where to put what does not fit into memory.
            memory_bytes: What the database may use; the process itself needs some 200 MiB beside it.
        """
        self.columns = list(columns)
        self._recorded = recorded
        self._types = [_common(recorded.schema.field(name).type, got.schema.field(name).type) for name in columns]
        # Rows of parallel scans would not be in the order of the file, but every row carries its number.
        self._connection = duck().connect(
            config={
                "memory_limit": f"{max(memory_bytes, _LEAST_BYTES) >> 20}MiB",
                "temp_directory": folder,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        for name, table in (("a", recorded), ("b", got)):
            self._add(name, table, direct=self._is_direct(recorded, got))

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection; what it put on disk goes with it."""
        self._connection.close()

    def _is_direct(self, recorded: Table, got: Table) -> bool:
        """Tell whether the database can read both files itself, which it does on all processors."""
        if recorded.parquet is None or got.parquet is None:
            return False
        if len({name.lower() for name in [*recorded.names, *got.names]}) != len({*recorded.names, *got.names}):
            return False
        types = [(recorded.schema.field(n).type, got.schema.field(n).type) for n in self.columns]
        return all(first == second and _is_plain(first) for first, second in types)

    def _add(self, name: str, table: Table, *, direct: bool) -> None:
        if direct and table.parquet is not None:
            selected = ", ".join(f"{_identifier(column)} AS c{at}" for at, column in enumerate(self.columns))
            path = table.parquet.replace("'", "''").replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
            self._connection.execute(
                f"CREATE TEMP VIEW {name} AS SELECT {selected}, file_row_number AS r"  # noqa: S608 - quoted
                f" FROM read_parquet('{path}', file_row_number = true, hive_partitioning = false)"
            )
            return
        pa = arrow()
        fields = [pa.field(f"c{at}", _stored(kind)) for at, kind in enumerate(self._types)]
        schema = pa.schema([*fields, pa.field("r", pa.int64())])
        reader = pa.RecordBatchReader.from_batches(schema, self._batches(table, schema))
        self._connection.register("incoming", reader)
        self._connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM incoming")  # noqa: S608 - one of two
        self._connection.unregister("incoming")

    def _batches(self, table: Table, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - Arrow's
        pa = arrow()
        at = [table.names.index(name) for name in self.columns]
        row = 0
        for batch in table.batches():
            arrays = [_put(batch.column(place), kind) for place, kind in zip(at, self._types, strict=True)]
            numbers = _counted(row, batch.num_rows)
            row += batch.num_rows
            yield pa.RecordBatch.from_arrays([*arrays, numbers], schema=schema)

    def rows(self) -> tuple[int, int]:
        """Count the rows of both."""
        [[first], [second]] = self._connection.execute(
            "SELECT count(*) FROM a UNION ALL SELECT count(*) FROM b"
        ).fetchall()
        return int(first), int(second)

    def is_key(self, key: Sequence[str]) -> bool:
        """Tell whether no two rows of the recorded table agree in these columns."""
        if self._ascends(key):
            return True
        columns = self._listed(key)
        query = f"SELECT 1 FROM a GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"  # noqa: S608 - numbers
        return not self._connection.execute(query).fetchall()

    def _ascends(self, key: Sequence[str]) -> bool:
        """Tell whether the only column of a key grows from row to row, as it often does: that is seen in one cheap pass."""
        path = self._recorded.parquet
        if path is None or len(key) != 1 or not arrow().types.is_integer(self._recorded.schema.field(key[0]).type):
            return False
        pc = arrow_compute()
        last: int | None = None
        with arrow("parquet").ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[key[0]]):
                column = batch.column(0)
                if not len(column):
                    continue
                if column.null_count or (last is not None and last >= column[0].as_py()):
                    return False
                if not pc.all(pc.less(column[:-1], column[1:])).as_py():
                    return False
                last = column[-1].as_py()
        return True

    def _listed(self, names: Sequence[str], prefix: str = "") -> str:
        return ", ".join(f"{prefix}c{self.columns.index(name)}" for name in names)

    def unlike_pairs(self, key: Sequence[str], compared: Sequence[str], *, numbered: bool) -> Iterator[Any]:
        """Pair rows by a key; give the pairs that are not equal in the compared columns, and the rows without a partner.

        Args:
            key: Columns; nulls are equal to nulls.
            compared: Columns; those of the key need not be among them.
            numbered: The key is not unique: rows with one key are paired in the order of their other columns.

        Yields:
            Arrow batches with columns ``ar`` and ``br`` (row numbers from 0, null for no partner), and ``a0``, ``b0``, … for
            each of the database's columns, as they were in the tables; but outside the key both are null where they are equal.
        """
        on = [f"a.c{self.columns.index(name)} IS NOT DISTINCT FROM b.c{self.columns.index(name)}" for name in key]
        if numbered:
            on.append("a.n = b.n")
        unlike = [f"a.c{self.columns.index(name)} IS DISTINCT FROM b.c{self.columns.index(name)}" for name in compared]
        cells = [self._pair_of(at, is_key=name in key) for at, name in enumerate(self.columns)]
        query = (
            f"SELECT a.r AS ar, b.r AS br, {', '.join(cells)} FROM {self._side('a', key, numbered)}"  # noqa: S608 - numbers
            f" FULL JOIN {self._side('b', key, numbered)} ON {' AND '.join(on) or 'true'}"
            f" WHERE {' OR '.join(['a.r IS NULL', 'b.r IS NULL', *unlike])}"
        )
        for batch in reader_of(self._connection.sql(query)):
            yield self._restored(batch)

    @staticmethod
    def _pair_of(at: int, *, is_key: bool) -> str:
        """Select a column of both. Values that are equal are left out, as handing texts on takes longer than joining."""
        if is_key:
            return f"a.c{at} AS a{at}, b.c{at} AS b{at}"
        unlike = f"CASE WHEN a.c{at} IS DISTINCT FROM b.c{at} THEN"
        return f"{unlike} a.c{at} END AS a{at}, {unlike} b.c{at} END AS b{at}"

    def _side(self, name: str, key: Sequence[str], numbered: bool) -> str:
        if not numbered:
            return name
        others = [column for column in self.columns if column not in key]
        order = self._listed(others) + ", r" if others else "r"
        partition = f"PARTITION BY {self._listed(key)} " if key else ""
        number = f"row_number() OVER ({partition}ORDER BY {order}) AS n"
        return f"(SELECT *, {number} FROM {name}) AS {name}"  # noqa: S608 - numbers

    def _restored(self, batch: Any) -> Any:  # noqa: ANN401 - an Arrow batch
        arrays, names = [batch.column(0), batch.column(1)], ["ar", "br"]
        for at, kind in enumerate(self._types):
            for number, side in enumerate("ab"):
                arrays.append(_taken(batch.column(2 + 2 * at + number), kind))
                names.append(f"{side}{at}")
        return arrow().RecordBatch.from_arrays(arrays, names=names)

    def unmatched(self, compared: Sequence[str]) -> tuple[int, int]:
        """Take away from both tables every row that the other has too, one for one; give how many rows are left of each."""
        columns = self._listed(compared) or "0"
        sides = [f"SELECT hash({columns}) AS h, r, {b} AS s FROM {n}" for n, b in (("a", "false"), ("b", "true"))]  # noqa: S608 - numbers
        self._connection.execute(f"CREATE TEMP TABLE hashes AS {' UNION ALL '.join(sides)}")
        self._connection.execute(
            "CREATE TEMP TABLE apart AS WITH d AS (SELECT h, count(*) FILTER (NOT s) AS ca, count(*) FILTER (s) AS cb"
            " FROM hashes GROUP BY h HAVING ca <> cb),"
            " n AS (SELECT s, r, row_number() OVER (PARTITION BY h, s ORDER BY r) AS i, least(ca, cb) AS m"
            " FROM hashes JOIN d USING (h)) SELECT s, r FROM n WHERE i > m"
        )
        self._connection.execute("DROP TABLE hashes")
        query = "SELECT count(*) FILTER (NOT s), count(*) FILTER (s) FROM apart"
        [found] = self._connection.execute(query).fetchall()
        return int(found[0]), int(found[1])

    def apart_rows(self, most: int) -> tuple[list[int], list[int]]:
        """Give the numbers of the rows that `unmatched` left, the first ones of each table."""
        query = "SELECT r FROM apart WHERE s = ? ORDER BY r LIMIT ?"
        first, second = (self._connection.execute(query, [side, most]).fetchall() for side in (False, True))
        return [row for (row,) in first], [row for (row,) in second]


def _counted(start: int, count: int) -> Any:  # noqa: ANN401 - an Arrow array
    """Give `count` integers from `start` on."""
    buffer = arrow().py_buffer(array.array("q", range(start, start + count)))
    return arrow().Array.from_buffers(arrow().int64(), count, [None, buffer])


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_plain(kind: Any) -> bool:  # noqa: ANN401 - an Arrow type
    """Tell the types that the database reads from Parquet, compares and gives back without any change."""
    types = arrow().types
    if types.is_timestamp(kind):
        return kind.tz is None and kind.unit == "us"
    if types.is_decimal128(kind):
        return True
    tests = (types.is_integer, types.is_float32, types.is_float64, types.is_boolean, types.is_date32, types.is_string)
    return any(test(kind) for test in tests)


def _common(first: Any, second: Any) -> Any:  # noqa: ANN401 - Arrow types
    """Give a type that holds the values of both, and can be compared; None for canonical bytes."""
    pa = arrow()
    first, second = plain(first), plain(second)
    types, word = pa.types, logical_type(first)
    if word == "integer":
        unsigned = [types.is_uint64(kind) for kind in (first, second)]
        return pa.uint64() if all(unsigned) else pa.decimal128(20, 0) if any(unsigned) else pa.int64()
    if word == "float":
        return first if first == second and not types.is_float16(first) else pa.float64()
    if word.startswith("decimal"):
        wide = max(first.precision, second.precision) > _DECIMAL_DIGITS
        return pa.decimal256(76, first.scale) if wide else pa.decimal128(_DECIMAL_DIGITS, first.scale)
    if word in {"timestamp", "instant"}:
        unit = max(first.unit, second.unit, key=_FINER.index)
        return pa.timestamp(unit, "UTC" if word == "instant" else None)
    simple = {
        "bool": pa.bool_(),
        "text": pa.string(),
        "date": pa.date32(),
        "time": pa.time64("ns"),
        "duration": pa.duration("ns"),
        "null": pa.null(),
    }
    return simple.get(word)


def _stored(kind: Any) -> Any:  # noqa: ANN401 - an Arrow type
    """Give the type in which the database is given values."""
    pa = arrow()
    if kind is None:
        return pa.binary()
    if pa.types.is_decimal256(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return pa.int64()
    return kind


def _put(column: Any, kind: Any) -> Any:  # noqa: ANN401 - Arrow's
    pa, pc = arrow(), arrow_compute()
    if kind is None:
        return encoded(column)
    column = plain_array(column)
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        width = pa.int32() if column.type.bit_width == 32 else pa.int64()  # noqa: PLR2004 - time32
        ticks = column.view(width).cast(pa.int64())
        return pc.multiply_checked(ticks, pa.scalar(_NANOSECONDS[column.type.unit], pa.int64()))
    if pa.types.is_decimal128(kind) and pa.types.is_integer(column.type):
        return column.cast(kind)
    return column.cast(kind).cast(_stored(kind))


def _taken(column: Any, kind: Any) -> Any:  # noqa: ANN401 - Arrow's
    """Give values back in the type they had."""
    return column if kind is None or column.type == kind else column.cast(kind)
