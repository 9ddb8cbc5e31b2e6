"""Pairs of files with one planted difference each: the level that is found, and the row and column that are named.

Every pair is judged under `bytes`, `content` and `rows`: a policy changes what counts as equal, never what is found.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet
import pytest
from msgspec.structs import replace

from reenact.compare import documents, texts
from reenact.compare.judge import Limits, compare_files
from reenact.compare.readers import records
from reenact.compare.result import Comparison, Level
from reenact.model.policy import BYTES, Policy, Tolerance
from tests.tables import FORMATS, ROWS, base, changed, csv_text, shuffled, without

CONTENT = Policy(compare="content", pattern="*")
ANY_ROWS = Policy(compare="rows", pattern="*")
ACCEPTS: dict[Level, tuple[bool, bool]] = {
    "identical": (True, True),
    "encoding": (True, True),
    "order": (False, True),
    "tolerance": (True, True),
    "different": (False, False),
}
"""By level whether `content` and `rows` count it as equal."""


def judged(first: Path, second: Path, policy: Policy, folder: Path) -> Comparison:
    return compare_files(str(first), str(second), first.name, policy, Limits(folder=str(folder)))


def judged_everywhere(first: Path, second: Path, folder: Path, expected: Level) -> Comparison:
    """Judge under the three policies; give what `content` found."""
    strict = judged(first, second, BYTES, folder)
    content, rows = (judged(first, second, policy, folder) for policy in (CONTENT, ANY_ROWS))
    assert [c.level for c in (strict, content, rows)] == [expected] * 3, [c.parts for c in (content, rows)]
    assert strict.accepted is (expected == "identical")
    assert (content.accepted, rows.accepted) == ACCEPTS[expected]
    assert not [note for part in content.parts for note in part.notes if "cannot be" in note]
    for comparison in (strict, content, rows):
        assert bool(comparison.relaxations) is (comparison.accepted and expected != "identical")
        assert bool(comparison.hint) is (not comparison.accepted and expected in {"encoding", "order"})
    return content


def named(comparison: Comparison) -> list[tuple[str, int | None, int | None, tuple[str, ...]]]:
    """Kind, rows, and for changed rows the columns."""
    return [
        (e.kind, e.recorded_row, e.got_row, tuple(c.column for c in e.cells) if e.kind == "changed" else ())
        for part in comparison.parts
        for e in part.examples
    ]


ANOTHER_WAY = {"parquet by duckdb", "parquet by polars", "tsv", "zip", "arrow stream", "json records"}
"""Formats that only their other way of writing sets apart from one of the others."""


@pytest.fixture(params=[name for name in FORMATS if name not in ANOTHER_WAY])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    name, write = FORMATS[request.param]

    def make(second: pa.Table, *, other: bool = False) -> tuple[Path, Path]:
        paths = []
        for folder, table, way in (("a", base(), False), ("b", second, other)):
            (tmp_path / folder).mkdir()
            paths.append(tmp_path / folder / name)
            write(paths[-1], table, way)
        return paths[0], paths[1]

    return make


@pytest.mark.parametrize("pair", FORMATS, indirect=True)
def test_otherwise_written_down(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    judged_everywhere(*pair(base(), other=True), tmp_path, "encoding")


def test_rows_in_another_order(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    judged_everywhere(*pair(shuffled(base())), tmp_path, "order")


def test_one_changed_cell(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    found = judged_everywhere(*pair(changed(base(), 41, "price", 99.5)), tmp_path, "different")
    assert named(found) == [("changed", 42, 42, ("price",))]
    [cell] = [c for part in found.parts for e in part.examples for c in e.cells]
    assert (float(cell.recorded or ""), float(cell.got or "")) == (41 / 7, 99.5)
    assert cell.delta == pytest.approx(99.5 - 41 / 7)


def test_one_changed_cell_among_shuffled_rows(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    table = shuffled(changed(base(), 41, "name", "other"))
    at = table["id"].to_pylist().index(41) + 1
    found = judged_everywhere(*pair(table), tmp_path, "different")
    assert named(found) == [("changed", 42, at, ("name",))]


def test_a_removed_row(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    found = judged_everywhere(*pair(without(base(), 20)), tmp_path, "different")
    assert named(found) == [("removed", 21, None, ())]


def test_a_row_that_is_there_twice(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    table = base()
    found = judged_everywhere(*pair(pa.concat_tables([table, table.slice(5, 1)])), tmp_path, "different")
    assert named(found) == [("added", None, ROWS + 1, ())]


def test_no_rows_left(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    first, second = pair(base().slice(0, 0))
    found = judged(first, second, CONTENT, tmp_path)
    assert found.level == "different"
    assert all(example.kind == "removed" for part in found.parts for example in part.examples)


def test_a_null_is_no_other_value(pair: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    found = judged_everywhere(*pair(changed(base(), 3, "name", "filled")), tmp_path, "different")
    assert named(found) == [("changed", 4, 4, ("name",))]


# --- differences of Parquet alone


def parquet(path: Path, table: pa.Table, **options: Any) -> Path:
    pa.parquet.write_table(table, path, **options)
    return path


def cast(table: pa.Table, column: str, kind: Any) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, table[column].cast(kind))


@dataclass(frozen=True, kw_only=True)
class Planted:
    make: Callable[[pa.Table], pa.Table]
    level: Level
    column: str = ""
    change: str = ""
    """In the schema."""
    rows: tuple[int, ...] = ()
    """Changed ones, from 1."""
    base: Callable[[], pa.Table] = base


def floats(*values: float | None) -> pa.Table:
    return pa.table({"id": range(len(values)), "x": pa.array(values, pa.float64())})


def moments(kind: Any, *ticks: int) -> pa.Table:
    return pa.table({"id": range(len(ticks)), "t": pa.array(ticks, kind)})


TABLES = {
    "narrower integers": Planted(
        make=lambda t: cast(t, "id", pa.int16()), level="encoding", column="id", change="storage"
    ),
    "unsigned integers": Planted(
        make=lambda t: cast(t, "id", pa.uint64()), level="encoding", column="id", change="storage"
    ),
    "coarser times": Planted(
        make=lambda t: cast(t, "at", pa.timestamp("ms")), level="encoding", column="at", change="storage"
    ),
    "a dictionary": Planted(make=lambda t: cast(t, "name", pa.dictionary(pa.int32(), pa.string())), level="encoding"),
    "other columns' order": Planted(
        make=lambda t: t.select(["name", "id", "price", "at", "flag"]), level="order", column="id", change="moved"
    ),
    "an integer that became a float": Planted(
        make=lambda t: cast(t, "id", pa.float64()), level="different", column="id", change="type"
    ),
    "an integer that became text": Planted(
        make=lambda t: cast(t, "id", pa.string()), level="different", column="id", change="type"
    ),
    "a time without a zone that got one": Planted(
        make=lambda t: cast(t, "at", pa.timestamp("us", "UTC")), level="different", column="at", change="type"
    ),
    "an added column": Planted(
        make=lambda t: t.append_column("new", t["id"]), level="different", column="new", change="added"
    ),
    "a removed column": Planted(
        make=lambda t: t.drop_columns(["flag"]), level="different", column="flag", change="removed"
    ),
    "a renamed column": Planted(
        make=lambda t: t.rename_columns(["id", "Name", "price", "at", "flag"]),
        level="different",
        column="Name",
        change="added",
    ),
    "NaN for null": Planted(
        base=lambda: floats(1.0, None, 3.0),
        make=lambda _: floats(1.0, math.nan, 3.0),
        level="different",
        column="x",
        rows=(2,),
    ),
    "-0 for 0": Planted(base=lambda: floats(0.0, 1.0), make=lambda _: floats(-0.0, 1.0), level="encoding"),
    "NaN for NaN": Planted(base=lambda: floats(math.nan, 1.0), make=lambda _: floats(-math.nan, 1.0), level="encoding"),
    "infinity's sign": Planted(
        base=lambda: floats(math.inf, 1.0),
        make=lambda _: floats(-math.inf, 1.0),
        level="different",
        column="x",
        rows=(1,),
    ),
    "the last bit of a float": Planted(
        base=lambda: floats(0.1, 0.3),
        make=lambda _: floats(0.1, 0.1 + 0.2),
        level="different",
        column="x",
        rows=(2,),
    ),
    "floats of half the width": Planted(
        base=lambda: floats(0.5, 0.25), make=lambda t: cast(t, "x", pa.float32()), level="encoding"
    ),
    "floats that do not fit half the width": Planted(
        base=lambda: floats(0.5, 0.1),
        make=lambda t: cast(t, "x", pa.float32()),
        level="different",
        column="x",
        rows=(2,),
    ),
    "the same instant in another zone": Planted(
        base=lambda: moments(pa.timestamp("us", "UTC"), 0, 1),
        make=lambda _: moments(pa.timestamp("us", "Europe/Berlin"), 0, 1),
        level="encoding",
        column="t",
        change="storage",
    ),
    "an hour's shift": Planted(
        base=lambda: moments(pa.timestamp("us", "UTC"), 0, 1),
        make=lambda _: moments(pa.timestamp("us", "UTC"), 0, 3_600_000_001),
        level="different",
        column="t",
        rows=(2,),
    ),
    "a nanosecond": Planted(
        base=lambda: moments(pa.timestamp("ns"), 10, 1_700_000_000_000_000_000),
        make=lambda _: moments(pa.timestamp("ns"), 10, 1_700_000_000_000_000_001),
        level="different",
        column="t",
        rows=(2,),
    ),
    "the largest unsigned integer": Planted(
        base=lambda: moments(pa.uint64(), 1, 2**64 - 1),
        make=lambda _: moments(pa.uint64(), 1, 2**64 - 2),
        level="different",
        column="t",
        rows=(2,),
    ),
    "large integers that are one float": Planted(
        base=lambda: moments(pa.int64(), 1, 2**62),
        make=lambda _: moments(pa.int64(), 1, 2**62 + 1),
        level="different",
        column="t",
        rows=(2,),
    ),
    "an element of a list": Planted(
        base=lambda: pa.table({"l": [[1, 2], None, [], [3]]}),
        make=lambda _: pa.table({"l": [[1, 2], None, [], [4]]}),
        level="different",
        column="l",
        rows=(4,),
    ),
    "an empty list for null": Planted(
        base=lambda: pa.table({"l": [[1], None]}),
        make=lambda _: pa.table({"l": [[1], []]}),
        level="different",
        column="l",
        rows=(2,),
    ),
    "a field of a struct": Planted(
        base=lambda: pa.table({"s": [{"x": 1, "y": "a"}, {"x": 2, "y": None}]}),
        make=lambda _: pa.table({"s": [{"x": 1, "y": "a"}, {"x": 2, "y": ""}]}),
        level="different",
        column="s",
        rows=(2,),
    ),
    "composed and decomposed characters": Planted(
        base=lambda: pa.table({"s": ["é", "x"]}),
        make=lambda _: pa.table({"s": ["e\u0301", "x"]}),
        level="different",
        column="s",
        rows=(1,),
    ),
    "removed duplicates": Planted(
        base=lambda: pa.table({"x": [1, 1, 2, 2, 2]}), make=lambda _: pa.table({"x": [1, 2]}), level="different"
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_planted_in_parquet(case: str, tmp_path: Path) -> None:
    planted = TABLES[case]
    first = parquet(tmp_path / "a.parquet", planted.base())
    # Another codec, so that the bytes are never the same.
    second = parquet(tmp_path / "b.parquet", planted.make(planted.base()), compression="zstd")
    found = judged(first, second, CONTENT, tmp_path)
    assert (found.level, found.accepted) == (planted.level, ACCEPTS[planted.level][0]), found.parts
    assert not found.parts[0].notes
    assert judged(first, second, ANY_ROWS, tmp_path).accepted is ACCEPTS[planted.level][1]
    assert not judged(first, second, BYTES, tmp_path).accepted
    if planted.change:
        assert (planted.column, planted.change) in [(c.column, c.change) for c in found.parts[0].schema]
    if planted.rows:
        assert [(e.recorded_row, [c.column for c in e.cells]) for e in found.parts[0].examples] == [
            (row, [planted.column]) for row in planted.rows
        ]


@pytest.mark.parametrize(
    ("tolerance", "level"),
    [
        ({"price": Tolerance(absolute="1e-9")}, "tolerance"),
        ({"*": Tolerance(relative="1e-15")}, "tolerance"),
        ({"price": Tolerance(ulp=1)}, "tolerance"),
        ({"price": Tolerance(ulp=0)}, "different"),
        ({"price": Tolerance(absolute="1e-18")}, "different"),
        ({"id": Tolerance(absolute="1")}, "different"),
        ({"price": Tolerance(seconds="1000")}, "different"),
        ({}, "different"),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_noise_in_the_last_bit(tolerance: dict[str, Tolerance], level: Level, moved: bool, tmp_path: Path) -> None:
    table = base()
    noisy = [math.nextafter(x, math.inf) if i % 2 else x for i, x in enumerate(table["price"].to_pylist())]
    second = table.set_column(2, "price", pa.array(noisy))
    paths = parquet(tmp_path / "a", table), parquet(tmp_path / "b", shuffled(second) if moved else second)
    found = judged(*paths, replace(ANY_ROWS, tolerance=tolerance), tmp_path)
    assert found.level == level, found.parts
    if level == "tolerance":
        [used] = [r for r in found.relaxations if r.kind == "tolerance"]
        assert (used.column, used.values) == ("price", ROWS // 2)
        assert 0 < float(used.largest) < 1e-14
        in_order = judged(*paths, replace(CONTENT, tolerance=tolerance), tmp_path)
        assert in_order.accepted is not moved


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.duration("ms"), pa.time64("us")])
def test_times_within_seconds(kind: Any, tmp_path: Path) -> None:
    per_second = {"us": 10**6, "ns": 10**9, "ms": 10**3}[kind.unit]
    first = parquet(tmp_path / "a", moments(kind, 0, 5 * per_second))
    second = parquet(tmp_path / "b", moments(kind, 0, 7 * per_second))
    near = judged(first, second, replace(CONTENT, tolerance={"t": Tolerance(seconds="2")}), tmp_path)
    assert near.level == "tolerance", near.parts
    assert near.relaxations[-1].largest == "2.0"
    assert (
        judged(first, second, replace(CONTENT, tolerance={"t": Tolerance(seconds="1.9")}), tmp_path).level
        == "different"
    )


def test_a_key_pairs_rows_and_names_them(tmp_path: Path) -> None:
    table = base()
    second = changed(changed(table, 3, "price", 0.25), 50, "name", None)
    second = pa.concat_tables([without(second, 20), table.slice(1, 1).set_column(0, "id", pa.array([900]))])
    paths = parquet(tmp_path / "a", table), parquet(tmp_path / "b", shuffled(second))
    [part] = judged(*paths, replace(ANY_ROWS, key=("id",)), tmp_path).parts
    assert (part.changed, part.added, part.removed) == (2, 1, 1)
    assert [(e.kind, e.key) for e in part.examples] == [
        ("changed", (("id", "3"),)),
        ("changed", (("id", "50"),)),
        ("removed", (("id", "20"),)),
        ("added", (("id", "900"),)),
    ]
    assert {c.column: c.changed for c in part.columns} == {"price": 1, "name": 1}


@pytest.mark.parametrize("key", ["name", "flag"])
def test_a_key_that_is_not_unique_is_said_and_still_pairs_equal_rows(key: str, tmp_path: Path) -> None:
    paths = parquet(tmp_path / "a", base()), parquet(tmp_path / "b", shuffled(base()))
    found = judged(*paths, replace(ANY_ROWS, key=(key,)), tmp_path)
    assert (found.level, found.accepted) == ("order", True)
    assert any("is not unique" in note for note in found.parts[0].notes)


@pytest.mark.parametrize(
    ("name", "first", "second", "tolerance", "level"),
    [
        ("t.csv", b"id,x\n1,0.30\n2,2\n", b"id,x\n1,0.3000001\n2,2.0\n", Tolerance(absolute="1e-6"), "tolerance"),
        ("t.csv", b"id,x\n1,0.3\n2,2\n", b"id,x\n1,0.4\n2,2\n", Tolerance(absolute="1e-6"), "different"),
        ("t.csv", b"id,x\n1,n/a\n2,2\n", b"id,x\n1,0.4\n2,2\n", Tolerance(absolute="9"), "different"),
        ("t.csv", b"id,x\n1,1.5\n2,2\n", b"id,x\n1,\n2,2\n", Tolerance(absolute="9"), "different"),
        (
            "t.jsonl",
            b'{"id":1,"x":0.3}\n{"id":2}\n',
            b'{"x":0.3000001,"id":1}\n{"id":2}\n',
            Tolerance(relative="1e-6"),
            "tolerance",
        ),
        (
            "t.jsonl",
            b'{"id":1,"x":0.3}\n{"id":2}\n',
            b'{"id":1,"x":0.3}\n{"id":2,"x":0}\n',
            Tolerance(absolute="9"),
            "different",
        ),
        (
            "t.csv",
            b"id,x\n1,2024-01-01 00:00:01\n",
            b"id,x\n1,2024-01-01T00:00:02.5\n",
            Tolerance(seconds="2"),
            "tolerance",
        ),
        ("t.csv", b"id,x\n1,2024-01-01\n", b"id,x\n1,2024-01-02\n", Tolerance(seconds="2"), "different"),
        (
            "t.jsonl",
            b'{"x":"2024-01-01T00:00:01Z"}\n{}\n',
            b'{"x":"2024-01-01T00:00:02Z"}\n{}\n',
            Tolerance(seconds="1"),
            "tolerance",
        ),
        ("t.json", b'{"x": 0.3, "y": 1}', b'{"x": 0.3000001, "y": 1}', Tolerance(relative="1e-6"), "tolerance"),
        ("t.json", b'{"x": 1, "y": 1}', b'{"x": 1, "y": 2}', Tolerance(relative="1"), "different"),
    ],
)
def test_tolerances_for_numbers_and_times_that_are_written_as_text(
    name: str, first: bytes, second: bytes, tolerance: Tolerance, level: Level, tmp_path: Path
) -> None:
    policy = replace(CONTENT, tolerance={"x": tolerance})
    found = judged(*files(tmp_path, name, first, second), policy, tmp_path)
    assert (found.level, found.accepted) == (level, level == "tolerance"), found.parts


def test_columns_that_differ_only_by_case_and_names_that_are_patterns(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "ID": [4, 5, 6], 'a "b"': ["x", "y", "z"]})
    folder = tmp_path / "it's [a] *"
    folder.mkdir()
    first = parquet(folder / "a?.parquet", table)
    for key in ("id", "ID"):
        second = parquet(folder / "b[1].parquet", changed(table, 1, 'a "b"', "new").take([2, 1, 0]))
        found = judged(first, second, replace(ANY_ROWS, key=(key,)), tmp_path)
        assert [(e.key, [c.column for c in e.cells]) for e in found.parts[0].examples] == [
            (((key, str(table[key][1])),), ['a "b"'])
        ]
    plain = table.select(["id", 'a "b"'])
    first, second = parquet(folder / "c*.parquet", plain), parquet(folder / "d'.parquet", plain.take([2, 0, 1]))
    assert judged(first, second, replace(ANY_ROWS, key=("id",)), tmp_path).level == "order"


def test_a_key_of_several_columns_with_nulls(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 1, None, None], "b": ["x", None, "x", None], "v": [1, 2, 3, 4]})
    second = changed(table, 3, "v", 9).take([3, 2, 1, 0])
    paths = parquet(tmp_path / "a", table), parquet(tmp_path / "b", second)
    [part] = judged(*paths, replace(ANY_ROWS, key=("a", "b")), tmp_path).parts
    assert [(e.key, e.recorded_row, e.got_row) for e in part.examples] == [((("a", None), ("b", None)), 4, 1)]
    assert not part.notes


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], None, []]),
        pa.array([{"x": 1}, None, {"x": None}]),
        pa.array([1, 2, 3], pa.duration("us")),
        pa.array([1, 2, 3], pa.time64("ns")),
        pa.array([1, 2, 3], pa.timestamp("ns", "UTC")),
        pa.array([2**64 - 1, 1, 0], pa.uint64()),
        pa.array([Decimal(1), None, Decimal(3)], pa.decimal256(60, 2)),
        pa.array([0.5, 1.5, None], pa.float16()),
        pa.array([b"a", b"", None], pa.large_binary()),
        pa.array(["a", "b", None]).dictionary_encode(),
        pa.nulls(3),
        pa.array([pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([1, 2, 4])]),
    ],
    ids=lambda column: str(column.type),
)
def test_every_type_is_paired_by_a_key_and_as_whole_rows(column: pa.Array, tmp_path: Path) -> None:
    """Types that a database or a file format does not have go there as something that is equal where they are."""
    paths = []
    for name, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        paths.append(tmp_path / f"{name}.arrow")
        table = pa.table({"id": [1, 2, 3], "v": column}).take(order)
        with pa.OSFile(str(paths[-1]), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    for policy in (ANY_ROWS, replace(ANY_ROWS, key=("id",))):
        found = judged(paths[0], paths[1], policy, tmp_path)
        assert (found.level, found.parts[0].notes) == ("order", ()), found.parts


def test_a_key_that_is_no_column_is_said(tmp_path: Path) -> None:
    paths = parquet(tmp_path / "a", base()), parquet(tmp_path / "b", changed(base(), 3, "price", 0.25))
    found = judged(*paths, replace(ANY_ROWS, key=("no",)), tmp_path)
    assert named(found) == [("changed", 4, 4, ("price",))]
    assert found.parts[0].notes == ("no of the key is no column of both tables",)


def test_an_ignored_column_does_not_count_and_what_it_hid_is_said(tmp_path: Path) -> None:
    table = base()
    policy = replace(CONTENT, ignore_columns=("price", "gone"))
    second = table.set_column(2, "price", pa.array([0.5] * ROWS))
    first = parquet(tmp_path / "a", table.append_column("gone", table["id"]))
    found = judged(first, parquet(tmp_path / "b", second), policy, tmp_path)
    assert (found.level, found.accepted) == ("encoding", True)
    ignored = {r.column: (r.values, r.detail) for r in found.relaxations if r.kind == "ignored"}
    assert ignored == {
        "price": (ROWS, "the column does not count"),
        "gone": (0, "the column is only in the record"),
    }


def test_an_unordered_group_by_is_equal_only_where_that_is_declared(tmp_path: Path) -> None:
    """As polars and other engines group: the groups in any order, their sums added up in any order."""
    values = [((i * 7919) % 1000) / 7 for i in range(3000)]
    groups = [f"g{(i * 31) % 40}" for i in range(3000)]
    paths = []
    for name, order in (("a", range(3000)), ("b", sorted(range(3000), key=lambda i: (i * 104729) % 3001))):
        frame = pl.DataFrame({"g": [groups[i] for i in order], "x": [values[i] for i in order]})
        summed = frame.group_by("g", maintain_order=True).agg(pl.col("x").sum())
        paths.append(tmp_path / f"{name}.parquet")
        summed.write_parquet(paths[-1])
    assert not judged(paths[0], paths[1], BYTES, tmp_path).accepted
    assert not judged(paths[0], paths[1], ANY_ROWS, tmp_path).accepted
    keyed = judged(paths[0], paths[1], replace(ANY_ROWS, key=("g",)), tmp_path)
    assert not keyed.accepted
    assert "tolerance" in keyed.hint
    tolerant = replace(ANY_ROWS, key=("g",), tolerance={"x": Tolerance(relative="1e-12")})
    found = judged(paths[0], paths[1], tolerant, tmp_path)
    assert (found.level, found.accepted) == ("tolerance", True)
    assert {r.kind for r in found.relaxations} == {"order", "tolerance"}
    # Without a key the groups' names, which have to be equal, pair the rows.
    assert judged(paths[0], paths[1], replace(tolerant, key=()), tmp_path).accepted


# --- texts, documents, bytes


def files(tmp_path: Path, name: str, first: bytes, second: bytes) -> tuple[Path, Path]:
    for folder, content in (("a", first), ("b", second)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(content)
    return tmp_path / "a" / name, tmp_path / "b" / name


CSV = csv_text(base())
CONTENTS: dict[str, tuple[str, bytes, bytes, Level, str]] = {
    "csv with a byte order mark": ("t.csv", CSV.encode(), CSV.encode("utf-8-sig"), "encoding", "byte order mark"),
    "csv with other line ends": ("t.csv", CSV.encode(), CSV.replace("\n", "\r\n").encode(), "encoding", "line ends"),
    "csv in another encoding": ("t.csv", CSV.encode(), CSV.encode("latin-1"), "encoding", "latin-1"),
    "csv with every field quoted": (
        "t.csv",
        CSV.encode(),
        csv_text(base(), quoting=csv.QUOTE_ALL).encode(),
        "encoding",
        "quotes",
    ),
    "csv with semicolons": ("t.csv", CSV.encode(), csv_text(base(), delimiter=";").encode(), "encoding", "semicolon"),
    "csv with a decimal comma": ("t.csv", b"a;x\n1;1.5\n2;2.5\n", b"a;x\n1;1,5\n2;2.5\n", "different", "x"),
    "csv with one more digit": ("t.csv", b"a,x\n1,1.5\n2,2\n", b"a,x\n1,1.50\n2,2\n", "different", "x"),
    "csv with the last newline": ("t.csv", b"a,x\n1,2", b"a,x\n1,2\n", "encoding", ""),
    "one column": ("t.csv", b"a\n1\n2\n", b"a\n1\n3\n", "different", "a"),
    "text with other line ends": ("t.txt", b"one\ntwo\n", b"one\r\ntwo\r\n", "encoding", "CR LF"),
    "text without the last newline": ("t.txt", b"one\ntwo\n", b"one\ntwo", "encoding", "end of the last line"),
    "text in another order": ("t.txt", b"one\ntwo\n", b"two\none\n", "order", "lines"),
    "one line of a text": ("t.txt", b"one\ntwo\nthree\n", b"one\n2\nthree\n", "different", "line 2: + 2"),
    "one flipped byte of an image": (
        "t.png",
        b"\x89PNG\r\n\x1a\n" + b"x" * 9,
        b"\x89PNG\r\n\x1a\n" + b"x" * 8 + b"y",
        "different",
        "16",
    ),
    "one flipped byte of anything": ("t.bin", b"\x00\x01\x02\x03", b"\x00\x01\x03\x03", "different", "2"),
    "a longer file": ("t.bin", b"\x00\x01", b"\x00\x01\x02", "different", "2"),
    "json with other spaces and keys' order": (
        "t.json",
        b'{"a": 1, "b": [1.0, {"c": null}]}',
        b'{"b":[1,{"c":null}],\n"a":1}',
        "encoding",
        "",
    ),
    "one value of a json document": (
        "t.json",
        b'{"a": {"b": [1, 2]}}',
        b'{"a": {"b": [1, 3]}}',
        "different",
        "$.a.b[1]",
    ),
    "null for a key that is not there": ("t.json", b'{"a": null, "b": 1}', b'{"b": 1}', "different", "$.a"),
    "an empty file": ("t.csv", b"a,x\n1,2\n", b"", "different", ""),
    "a packed empty file": ("t.txt.gz", gzip.compress(b"x\n"), gzip.compress(b""), "different", ""),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_planted_in_text_and_bytes(case: str, tmp_path: Path) -> None:
    name, first, second, level, word = CONTENTS[case]
    paths = files(tmp_path, name, first, second)
    found = judged(*paths, CONTENT, tmp_path)
    assert (found.level, found.accepted) == (level, ACCEPTS[level][0]), found.parts
    assert judged(*paths, ANY_ROWS, tmp_path).accepted is ACCEPTS[level][1]
    assert not judged(*paths, BYTES, tmp_path).accepted
    assert word in str(found.parts)


def test_one_flipped_byte_in_the_data_of_a_parquet_file(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([5, 6, 7], pa.int64())})
    first = parquet(tmp_path / "a.parquet", table, compression="none", use_dictionary=False)
    data = first.read_bytes()
    at = data.index((6).to_bytes(8, "little"))
    second = tmp_path / "b.parquet"
    second.write_bytes(data[:at] + b"\x07" + data[at + 1 :])
    assert named(judged(first, second, CONTENT, tmp_path)) == [("changed", 2, 2, ("x",))]


def test_a_damaged_table_is_compared_by_its_bytes_and_that_is_said(tmp_path: Path) -> None:
    first = parquet(tmp_path / "a.parquet", base())
    second = tmp_path / "b.parquet"
    second.write_bytes(first.read_bytes()[:-30] + b"?" * 26 + b"PAR1")
    found = judged(first, second, ANY_ROWS, tmp_path)
    assert (found.level, found.accepted) == ("different", False)
    assert "cannot be read as parquet" in str(found.parts[0].notes)


def test_rows_of_unequal_length_are_compared_as_text(tmp_path: Path) -> None:
    paths = files(tmp_path, "t.csv", b"a,b\n1,2\n1,2,3\n", b"a,b\n1,2\n1,2,4\n")
    [part] = judged(*paths, CONTENT, tmp_path).parts
    assert (part.kind, part.level) == ("text", "different")
    assert part.lines == ("line 3: - 1,2,3", "line 3: + 1,2,4")


def test_a_file_that_unpacks_to_too_much_is_compared_by_its_bytes(tmp_path: Path) -> None:
    paths = files(tmp_path, "t.txt.gz", gzip.compress(b"x" * 10_000, 1), gzip.compress(b"x" * 10_000, 9))
    limits = Limits(folder=str(tmp_path), unpacked_max_bytes=5000)
    found = compare_files(str(paths[0]), str(paths[1]), "t.txt.gz", ANY_ROWS, limits)
    assert found.level == "different"
    assert "unpacks to more than 5000 bytes" in str(found.parts[0].notes)


def test_a_workbook_that_unpacks_to_too_much_is_not_opened(tmp_path: Path) -> None:
    name, write = FORMATS["excel"]
    paths = files(tmp_path, name, b"", b"")
    write(paths[0], base(), False)
    write(paths[1], base(), True)
    found = compare_files(
        str(paths[0]), str(paths[1]), name, ANY_ROWS, Limits(folder=str(tmp_path), unpacked_max_bytes=999)
    )
    assert found.level == "different"
    assert "unpacks to more than 999 bytes" in str(found.parts[0].notes)


def test_a_line_without_an_end_is_compared_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_LONGEST_LINE", 10)
    paths = files(tmp_path, "t.txt", b"a" * 95, b"a" * 42 + b"b" + b"a" * 52)
    [part] = judged(*paths, CONTENT, tmp_path).parts
    assert (part.level, part.changed, part.lines[0]) == ("different", 1, "line 5: - aaaaaaaaaa")


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_document_too_large_to_be_read_whole_is_compared_as_text(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (documents, records):
        monkeypatch.setattr(module, "WHOLE_MAX_BYTES", 20)
    paths = files(tmp_path, name, b'{"a": [1, 2, 3, 4, 5, 6]}\n' * 2, b'{"a": [1, 2, 3, 4, 5, 7]}\n' * 2)
    found = judged(*paths, CONTENT, tmp_path)
    assert found.level == "different"
    assert "more than 20 bytes" in str(found.parts[0].notes)


def test_a_member_that_only_one_archive_has_is_named(tmp_path: Path) -> None:
    paths = tmp_path / "a.zip", tmp_path / "b.zip"
    for path, names in zip(paths, (("x.txt", "y.txt"), ("x.txt",)), strict=True):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "same")
    found = judged(*paths, ANY_ROWS, tmp_path)
    assert [(p.part, p.level, p.presence) for p in found.parts] == [
        ("x.txt", "identical", "both"),
        ("y.txt", "different", "recorded"),
    ]


def test_a_file_is_equal_to_itself_under_any_policy(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", base())
    for policy in (BYTES, CONTENT, ANY_ROWS):
        found = judged(path, path, policy, tmp_path)
        assert (found.level, found.accepted, found.parts) == ("identical", True, ())


ONE_IN_MANY = """
import json, sys
from reenact.compare import documents, texts
from reenact.compare.judge import Limits, compare_files
from reenact.compare.readers import records
first, second, folder = sys.argv[1:]
found = compare_files(first, second, "t.parquet", limits=Limits(folder=folder, memory_bytes=256 << 20))
[example] = found.parts[0].examples
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([found.level, found.parts[0].changed, example.recorded_row, example.cells[0].column, peak // 1024]))
"""


@pytest.mark.slow
def test_one_changed_cell_in_ten_million_is_named_in_bounded_memory(tmp_path: Path) -> None:
    rows, at = 10_000_000, 7_654_321
    ids = pa.array(range(rows), pa.int64())
    numbers = pa.compute.multiply(ids.cast(pa.float64()), 0.1)
    first = parquet(tmp_path / "a.parquet", pa.table({"id": ids, "x": numbers}))
    changed_at = pa.compute.equal(ids, at)
    second = parquet(
        tmp_path / "b.parquet",
        pa.table({"id": ids, "x": pa.compute.if_else(changed_at, pa.scalar(0.5), numbers)}),
    )
    done = subprocess.run(
        [sys.executable, "-c", ONE_IN_MANY, str(first), str(second), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, peak_mib = json.loads(done.stdout.splitlines()[-1])
    assert found == ["different", 1, at + 1, "x"]
    assert peak_mib < 900
