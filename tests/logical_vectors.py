"""The golden vectors of the logical digest: tables, made anew; as a program it prints their digests as JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from reenact.compare.logical_digest import LogicalDigest, json_field

__all__ = ["VECTORS", "digest_of"]


def digest_of(table: Any, batch_rows: int | None = None) -> str:
    """Digest an Arrow table."""
    state = LogicalDigest(table.schema)
    for batch in table.to_batches(max_chunksize=batch_rows):
        state.add(batch)
    if not table.column_names:
        state.rows = table.num_rows
    return state.result()


def _one(kind: Any, *values: Any) -> Callable[[], Any]:
    return lambda: pa.table({"x": pa.array(values, kind)})


def _mixed() -> Any:
    return pa.table(
        {
            "id": pa.array([3, 1, 2, None], pa.int32()),
            "näme": pa.array(["", "a", "日本", None]),
            "price": pa.array([-0.0, math.nan, 1e300, None], pa.float64()),
            "at": pa.array([0, -1, 1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
        }
    )


VECTORS: dict[str, Callable[[], Any]] = {
    "no rows": lambda: pa.table({"x": pa.array([], pa.int64())}),
    "nulls": lambda: pa.table({"x": pa.nulls(2)}),
    "bool": _one(pa.bool_(), True, False, None),
    "integer": _one(pa.int64(), 0, -1, 2**63 - 1, -(2**63), None),
    "large unsigned": _one(pa.uint64(), 2**63, 2**64 - 1),
    "float": _one(pa.float64(), 0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, None),
    "single float": _one(pa.float32(), 0.1),
    "decimal": _one(pa.decimal128(20, 4), Decimal("1.5"), Decimal("-0.0001"), None),
    "text": _one(pa.string(), "", "a", "\x00", "日本", None),
    "binary": _one(pa.binary(), b"", b"a", b"\x00\xff", None),
    "date": _one(pa.date32(), dt.date(1970, 1, 1), dt.date(1969, 12, 31), dt.date(9999, 12, 31), None),
    "time": _one(pa.time64("ns"), 0, 86_399_999_999_999, None),
    "timestamp": _one(pa.timestamp("us"), 0, -1, 253_402_300_799_999_999, None),
    "instant": _one(pa.timestamp("ms", "UTC"), 0, -1, None),
    "duration": _one(pa.duration("ns"), 0, -1, None),
    "interval": _one(pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3]), None),
    "list": _one(pa.list_(pa.int64()), [], [1, None], None, [2]),
    "list of lists": _one(pa.list_(pa.list_(pa.string())), [["a"], None, []], None),
    "struct": _one(pa.struct([("a", pa.int64()), ("b", pa.string())]), {"a": 1, "b": None}, None, {"a": None, "b": ""}),
    "empty struct": _one(pa.struct([]), {}, None),
    "map": _one(pa.map_(pa.string(), pa.int64()), [("b", 1), ("a", None)], [], None),
    "json": lambda: pa.table([pa.array(['{"a":1}', None])], schema=pa.schema([json_field("x")])),
    "duplicates": _one(pa.int64(), 7, 7, 7),
    "mixed": _mixed,
}


if __name__ == "__main__":
    json.dump({name: digest_of(make()) for name, make in VECTORS.items()}, sys.stdout, indent=1)
