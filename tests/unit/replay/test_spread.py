"""Policies that are proposed are the tightest that cover what was seen, and say where they hide more than noise."""

from __future__ import annotations

from typing import Any

import pytest

from reenact.compare.result import ColumnDifference, Comparison, PartComparison, SchemaChange
from reenact.model.policy import Policy, Tolerance
from reenact.model.verdict import OutputJudgement
from reenact.replay.spread import OutputSpread, observe, propose, warnings

Replay = tuple[list[OutputJudgement], dict[str, Comparison]]


def same(name: str = "out.csv", equivalence: Any = None) -> Replay:
    verdict: Any = "equivalent" if equivalence else "identical"
    return [OutputJudgement(name=name, verdict=verdict, equivalence=equivalence)], {}


def unlike(*columns: ColumnDifference, differences: tuple[str, ...] = ("bytes: other",), **part: Any) -> Replay:
    given = {"kind": "table", "level": "different", "changed": 1, "columns": columns, **part}
    comparison = Comparison(level="different", accepted=False, parts=(PartComparison(**given),))
    judgement = OutputJudgement(name="out.csv", verdict="different", recorded="a", got="b", differences=differences)
    return [judgement], {"out.csv": comparison}


def number(name: str, largest: float, relative: float, changed: int = 1) -> ColumnDifference:
    magnitude = largest / relative
    return ColumnDifference(
        column=name, changed=changed, largest=largest, largest_relative=relative, magnitude=magnitude
    )


def seen(*replays: Replay) -> OutputSpread:
    [found] = observe(replays)
    return found


def test_what_is_always_the_same_needs_nothing() -> None:
    assert propose(seen(same(), same())) is None


def test_the_largest_of_all_replays_counts() -> None:
    found = seen(unlike(number("x", 2e-15, 1e-16, 7)), unlike(number("x", 1e-15, 3e-16, 2)), same())
    assert (found.identical, found.columns[0].replays, found.columns[0].rows) == (1, 2, 7)
    policy = propose(found)
    assert policy == Policy(compare="content", pattern="out.csv", tolerance={"x": Tolerance(relative="3.2e-16")})
    assert warnings(found, policy) == ("1 of 3 replays were identical: it varies by chance, so more may be seen",)


def test_sums_that_should_be_zero_are_noise_by_their_size() -> None:
    found = seen(unlike(ColumnDifference(column="x", changed=1, largest=1e-15, largest_relative=2.0, magnitude=1e-3)))
    policy = propose(found)
    assert policy is not None
    assert policy.tolerance == {"x": Tolerance(absolute="1.1e-15")}
    assert warnings(found, policy) == ()


def test_more_than_noise_is_covered_with_a_warning() -> None:
    found = seen(unlike(number("x", 3.0, 0.25)))
    policy = propose(found)
    assert policy is not None
    assert policy.tolerance == {"x": Tolerance(absolute="3.2")}
    [said] = warnings(found, policy)
    assert "25.0% of the value: more than rounding" in said


def test_what_is_no_number_can_only_be_left_out() -> None:
    found = seen(unlike(ColumnDifference(column="id", changed=3)))
    policy = propose(found)
    assert policy is not None
    assert policy.ignore_columns == ("id",)
    assert warnings(found, policy) == ("column id would not be compared at all",)


def test_a_measure_that_was_found_to_be_needed_is_taken() -> None:
    found = seen(unlike(number("at", 60.0, 1e-8)))
    policy = propose(found, measures={"at": "seconds"})
    assert policy is not None
    assert policy.tolerance == {"at": Tolerance(seconds="64")}
    assert "which is no rounding" in warnings(found, policy)[0]


@pytest.mark.parametrize(
    ("equivalence", "compare"), [("encoding", "content"), ("order", "rows"), ("tolerance", "content")]
)
def test_other_encodings_and_orders_need_no_tolerance(equivalence: str, compare: str) -> None:
    policy = propose(seen(same(equivalence=equivalence), same()))
    assert policy is not None
    assert (policy.compare, policy.tolerance) == (compare, {})


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        (unlike(number("x", 1.0, 1.0), added=1), "rows that are in one only"),
        (unlike(schema=(SchemaChange(column="y", change="added"),)), "column y added"),
        (unlike(kind="text"), "the text differs"),
        (unlike(presence="got"), "only in some"),
        (unlike(differences=("bytes: other", "mode: recorded 0644, got 0600")), "mode: recorded"),
        (([OutputJudgement(name="out.csv", verdict="missing")], {}), "did not make it"),
        (([OutputJudgement(name="out.csv", verdict="extra")], {}), "only a replay made it"),
        (([OutputJudgement(name="out.csv", verdict="different", differences=("bytes: x",))], {}), "bytes: x"),
    ],
)
def test_what_no_policy_covers_is_named(replay: Replay, said: str) -> None:
    found = seen(same(), replay)
    assert any(said in line for line in found.beyond), found.beyond
    assert propose(found) is None


def test_what_does_not_decide_is_left_out() -> None:
    assert observe([([OutputJudgement(name="stderr", verdict="different", decides=False)], {})]) == ()
