"""The logical digest: what it does not depend on, what it does, and the vectors that keep it what it is."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reenact.compare.judge import compare_files
from reenact.compare.logical import NotATable, logical_type
from reenact.compare.logical_digest import LogicalDigest
from reenact.compare.parts import open_parts
from reenact.compare.scratch import Scratch
from reenact.compare.tables import facts_of
from reenact.model.policy import BYTES, Policy
from tests.logical_vectors import VECTORS, digest_of
from tests.tables import FORMATS, base, shuffled

GOLDEN = Path(__file__).parents[2] / "golden" / "logical-v1" / "vectors.json"


def test_the_vectors_are_what_they_ever_were() -> None:
    assert {name: digest_of(make()) for name, make in VECTORS.items()} == json.loads(GOLDEN.read_text())


def test_no_two_vectors_of_different_tables_have_one_digest() -> None:
    digests = [digest_of(make()) for make in VECTORS.values()]
    assert len(set(digests)) == len(digests)


def test_one_digest_by_hand() -> None:
    """As the specification says it, with nothing but hashlib."""
    table = pa.table({"b": pa.array([1, None], pa.int8()), "a": ["x", "yz"]})
    header = hashlib.sha256(b'["reenact-logical-digest-v1",[["a","text"],["b","integer"]]]').digest()
    rows = [
        b"\x01" + (1).to_bytes(8, "little") + b"x" + b"\x01" + (1).to_bytes(8, "little"),
        b"\x01" + (2).to_bytes(8, "little") + b"yz" + b"\x00",
    ]
    total = sum(int.from_bytes(hashlib.sha256(row).digest(), "little") for row in rows) % 2**256
    expected = hashlib.sha256(header + (2).to_bytes(8, "little") + total.to_bytes(32, "little")).hexdigest()
    assert digest_of(table) == f"sha256:{expected}"


@pytest.mark.parametrize("name", [n for n in FORMATS if n.startswith(("parquet", "arrow", "orc", "duckdb", "avro"))])
@pytest.mark.parametrize("other", [False, True])
def test_every_typed_format_gives_one_digest(name: str, other: bool, tmp_path: Path) -> None:
    file, write = FORMATS[name]
    write(tmp_path / file, shuffled(base()), other)
    [part] = open_parts(str(tmp_path / file), file, Scratch(str(tmp_path), 1 << 20)).parts.values()
    assert part.table is not None
    facts = facts_of(part.table)
    assert (facts.rows, facts.digest) == (60, digest_of(base()))


SAME = {
    "integers of any width": [pa.array([1, 2], kind) for kind in (pa.int8(), pa.uint16(), pa.int64(), pa.uint64())],
    "floats of any width": [pa.array([0.5, None], kind) for kind in (pa.float16(), pa.float32(), pa.float64())],
    "text of any layout": [
        pa.array(["a", "", None]).cast(kind)
        for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
    ],
    "bytes of any layout": [
        pa.array([b"ab", b"cd"]).cast(kind) for kind in (pa.binary(), pa.large_binary(), pa.binary(2))
    ],
    "zeros": [pa.array([0.0]), pa.array([-0.0])],
    "NaNs": [pa.array([math.nan]), pa.array([-math.nan])],
    "times of any unit": [
        pa.array([1, -1], pa.timestamp("s")).cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")
    ],
    "instants in any zone": [pa.array([1], pa.timestamp("us", zone)) for zone in ("UTC", "Asia/Tokyo", "+02:00")],
    "durations of any unit": [
        pa.array([-3], pa.duration("s")).cast(pa.duration(unit)) for unit in ("s", "ms", "us", "ns")
    ],
    "dates": [pa.array([dt.date(1969, 7, 20)], kind) for kind in (pa.date32(), pa.date64())],
    "times of day": [
        pa.array([dt.time(1, 2, 3)], kind)
        for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    ],
    "decimals of any precision": [
        pa.array([Decimal("-1.50")], kind(p, 2)) for kind, p in ((pa.decimal128, 5), (pa.decimal256, 50))
    ],
    "lists of any layout": [
        pa.array([[1, None], [3, 4]], kind)
        for kind in (pa.list_(pa.int64()), pa.large_list(pa.int8()), pa.list_(pa.int64(), 2))
    ],
    "runs": [pa.array([5, 5, 6]), pa.RunEndEncodedArray.from_arrays([2, 3], [5, 6])],
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_values_otherwise_stored(case: str) -> None:
    assert len({digest_of(pa.table({"x": column})) for column in SAME[case]}) == 1


DIFFERENT = {
    "an integer and a float": [pa.array([1]), pa.array([1.0])],
    "a null and anything": [pa.array([None], pa.int64()), pa.array([0])],
    "nulls of two types": [pa.array([None], pa.int64()), pa.nulls(1)],
    "text and bytes": [pa.array(["a"]), pa.array([b"a"])],
    "a local time and an instant": [pa.array([1], pa.timestamp("us")), pa.array([1], pa.timestamp("us", "UTC"))],
    "scales": [pa.array([Decimal("1.5")], pa.decimal128(9, 1)), pa.array([Decimal("1.5")], pa.decimal128(9, 2))],
    "no list and an empty one": [pa.array([None], pa.list_(pa.int8())), pa.array([[]], pa.list_(pa.int8()))],
    "where lists end": [pa.array([[[1], [2]]]), pa.array([[[1, 2]]])],
    "duplicates": [pa.array([1]), pa.array([1, 1])],
    "a large unsigned integer and its signed twin": [pa.array([2**64 - 1], pa.uint64()), pa.array([-1], pa.int64())],
    "nanoseconds": [pa.array([1], pa.timestamp("ns")), pa.array([2], pa.timestamp("ns"))],
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_values_have_different_digests(case: str) -> None:
    digests = {digest_of(pa.table({"x": column})) for column in DIFFERENT[case]}
    assert len(digests) == len(DIFFERENT[case])


def test_fields_cannot_run_into_each_other() -> None:
    first = pa.table({"a": ["x"], "b": ["yz"]})
    assert digest_of(first) != digest_of(pa.table({"a": ["xy"], "b": ["z"]}))
    assert digest_of(first) != digest_of(pa.table({"a": ["yz"], "b": ["x"]}))


def test_names_count_and_their_order_does_not() -> None:
    table = base()
    assert digest_of(table) == digest_of(table.select(["flag", "at", "price", "name", "id"]))
    assert digest_of(table) != digest_of(table.rename_columns(["id", "name", "price", "at", "flags"]))


def test_a_table_without_columns_counts_its_rows() -> None:
    assert digest_of(pa.table({})) != digest_of(pa.table({"a": pa.array([], pa.int64())}))


def test_a_union_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(NotATable, match="cannot be compared"):
        LogicalDigest(pa.schema([("u", union.type)]))


@pytest.mark.parametrize(
    ("kind", "word"),
    [(pa.map_(pa.string(), pa.int8()), "map<text,integer>"), (pa.struct([('a"', pa.date32())]), 'struct<"a\\"":date>')],
)
def test_nested_types_are_named(kind: Any, word: str) -> None:
    assert logical_type(kind) == word


# --- properties

SIMPLE: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float": (pa.float64(), st.floats(allow_nan=False).map(lambda x: x + 0.0)),
    "text": (pa.string(), st.text(max_size=6)),
    "bytes": (pa.binary(), st.binary(max_size=6)),
    "bool": (pa.bool_(), st.booleans()),
    "when": (pa.timestamp("us"), st.integers(-(10**16), 10**17)),
    "decimal": (pa.decimal128(9, 3), st.decimals(-99999, 99999, places=3)),
    "list": (pa.list_(pa.int16()), st.lists(st.none() | st.integers(-9, 9), max_size=3)),
    "struct": (
        pa.struct([("x", pa.int8()), ("y", pa.string())]),
        st.fixed_dictionaries({"x": st.none() | st.integers(0, 9), "y": st.none() | st.text(max_size=2)}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int8()),
        st.lists(st.tuples(st.text(max_size=2), st.none() | st.integers(0, 9)), max_size=2),
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(sorted(SIMPLE)), min_size=1, max_size=4))
    rows = draw(st.integers(1, 9))
    columns = {}
    for at, kind in enumerate(kinds):
        values = draw(st.lists(st.none() | SIMPLE[kind][1], min_size=rows, max_size=rows))
        columns[f"c{at} {kind}"] = pa.array(values, SIMPLE[kind][0])
    return pa.table(columns)


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(table=tables(), data=st.data())
def test_it_does_not_depend_on_order_or_batches(table: pa.Table, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(table.num_rows)))
    names = data.draw(st.permutations(table.column_names))
    cut = data.draw(st.integers(1, table.num_rows))
    again = table.take(pa.array(order)).select(names)
    assert digest_of(again, batch_rows=cut) == digest_of(table)
    # A slice in the middle of larger buffers.
    padded = pa.concat_tables([table, table, table]).combine_chunks()
    assert digest_of(padded.slice(table.num_rows, table.num_rows)) == digest_of(table)


@quick
@given(table=tables(), data=st.data())
def test_it_depends_on_every_cell(table: pa.Table, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(table.column_names))
    kind = name.partition(" ")[2]
    row = data.draw(st.integers(0, table.num_rows - 1))
    values = table[name].to_pylist()
    other = data.draw((st.none() | SIMPLE[kind][1]).filter(lambda v: _plain(v, kind) != _plain(values[row], kind)))
    values[row] = other
    at = table.column_names.index(name)
    assert digest_of(table.set_column(at, name, pa.array(values, SIMPLE[kind][0]))) != digest_of(table)


def _plain(value: Any, kind: str) -> Any:
    """As Arrow gives it back."""
    return pa.array([value], SIMPLE[kind][0]).to_pylist()[0]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["18.*"])
def test_another_generation_of_the_reader_gives_the_same(version: str, tmp_path: Path) -> None:
    """The oldest pyarrow that is supported, in an environment of its own."""
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(tmp_path / "venv")], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    python = str(tmp_path / "venv/bin/python")
    words = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        f"pyarrow=={version}",
        "msgspec",
        "rfc8785",
    ]
    got = subprocess.run(words, capture_output=True, text=True, check=False)
    if got.returncode:
        pytest.skip(f"pyarrow {version} cannot be had here: {got.stderr.strip().splitlines()[-1]}")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [python, str(root / "tests/logical_vectors.py")],
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())
    # And a file that it wrote has the same content as one of today's, as far as that is declared to count.
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pa.parquet.write_table(base(), first)
    words = [python, "-c", "import sys, pyarrow.parquet as p; p.write_table(p.read_table(sys.argv[1]), sys.argv[2])"]
    subprocess.run([*words, str(first), str(second)], check=True)
    for policy, accepted in ((BYTES, False), (Policy(compare="content", pattern="*"), True)):
        found = compare_files(str(first), str(second), "t.parquet", policy)
        assert (found.level, found.accepted) == ("encoding", accepted)
    assert "written by: parquet-cpp-arrow version" in found.relaxations[0].detail
