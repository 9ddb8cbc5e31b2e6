"""Comparing tables: reflexive, symmetric, and in agreement with the plainest way of telling the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reenact.compare.table_judge import Bounds, compare_tables
from reenact.compare.tables import Table
from reenact.model.policy import Policy, Tolerance

SCHEMA = pa.schema([("k", pa.int8()), ("s", pa.string()), ("x", pa.float64())])
Row = tuple[int | None, str | None, float | None]
rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 4),
        st.sampled_from([None, "", "a", "b"]),
        st.sampled_from([None, 0.0, -0.0, 1.0, 1.25, float("nan")]),
    ),
    max_size=7,
)
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def table(given_rows: list[Row], batch_rows: int = 3) -> Table:
    made = pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in given_rows], schema=SCHEMA)

    def batches() -> Iterator[Any]:
        yield from made.to_batches(max_chunksize=batch_rows)

    return Table(schema=SCHEMA, batches=batches)


def plain(row: Row) -> tuple[Any, ...]:
    """A row so that Python's equality is ours: one NaN, one zero."""
    return tuple("NaN" if isinstance(value, float) and math.isnan(value) else value for value in row)


@pytest.fixture
def bounds(tmp_path: Any) -> Bounds:
    return Bounds(folder=str(tmp_path), memory_bytes=64 << 20, examples=100)


@quick
@given(first=rows)
def test_reflexive(bounds: Bounds, first: list[Row]) -> None:
    found = compare_tables(table(first), table(first, 2), Policy(compare="rows", key=("k",)), bounds)
    assert (found.level, found.changed, found.added, found.removed) == ("encoding", 0, 0, 0)


@pytest.mark.slow
@quick
@given(first=rows, second=rows)
def test_equal_rows_are_what_counting_says(bounds: Bounds, first: list[Row], second: list[Row]) -> None:
    found = compare_tables(table(first), table(second), Policy(compare="rows"), bounds)
    counts = Counter(map(plain, first)), Counter(map(plain, second))
    expected = (
        "encoding"
        if list(map(plain, first)) == list(map(plain, second))
        else "order"
        if counts[0] == counts[1]
        else "different"
    )
    assert found.level == expected
    gone, new = (counts[0] - counts[1]).total(), (counts[1] - counts[0]).total()
    if expected == "different":
        assert (found.removed + found.changed, found.added + found.changed) == (gone, new)
        assert len(found.examples) == found.changed + found.added + found.removed


@pytest.mark.slow
@quick
@given(first=rows, second=rows, key=st.sampled_from([(), ("k",), ("k", "s")]), tolerant=st.booleans())
def test_symmetric(bounds: Bounds, first: list[Row], second: list[Row], key: tuple[str, ...], tolerant: bool) -> None:
    policy = Policy(compare="rows", key=key, tolerance={"x": Tolerance(absolute="0.3")} if tolerant else {})
    there, back = (compare_tables(table(a), table(b), policy, bounds) for a, b in ((first, second), (second, first)))
    assert there.level == back.level
    assert (there.added - there.removed) == (back.removed - back.added)
    if key or not tolerant:
        assert (there.changed, there.added, there.removed) == (back.changed, back.removed, back.added)


@pytest.mark.slow
@quick
@given(
    first=st.dictionaries(st.integers(0, 9), st.floats(0, 10)),
    second=st.dictionaries(st.integers(0, 9), st.floats(0, 10)),
)
def test_a_unique_key_pairs_as_a_dictionary_does(
    bounds: Bounds, first: dict[int, float], second: dict[int, float]
) -> None:
    policy = Policy(compare="rows", key=("k",), tolerance={"x": Tolerance(absolute="1")})
    sides = [table([(k, "a", x) for k, x in side.items()]) for side in (first, second)]
    found = compare_tables(sides[0], sides[1], policy, bounds)
    both = first.keys() & second.keys()
    apart = {k: abs(first[k] - second[k]) for k in both if first[k] != second[k]}
    changed = sorted(k for k, by in apart.items() if by > 1)
    assert (found.changed, found.added, found.removed) == (
        len(changed),
        len(second.keys() - both),
        len(first.keys() - both),
    )
    named = sorted(int(e.key[0][1] or "") for e in found.examples if e.kind == "changed")
    assert named == changed
    if found.level == "different" and apart:
        [column] = found.columns
        assert column.largest == pytest.approx(max(apart.values()))
        assert column.within == len(apart) - len(changed)
