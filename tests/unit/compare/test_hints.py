from __future__ import annotations

import tomllib

import pytest

from reenact.compare.hints import hint_for
from reenact.compare.judge import accepts
from reenact.compare.result import ColumnDifference, Comparison, Level, PartComparison, SchemaChange, summary, worst
from reenact.model.policy import BYTES, Policy, Relaxation

MOVED = Relaxation(kind="order", detail="rows in another order")


def of(*parts: PartComparison, policy: Policy = BYTES) -> Comparison:
    return Comparison(level=worst(*(p.level for p in parts)), accepted=False, policy=policy, parts=parts)


def noise(largest: float, relative: float, magnitude: float, **more: object) -> PartComparison:
    column = ColumnDifference(
        column='a "b"', changed=3, largest=largest, largest_relative=relative, magnitude=magnitude
    )
    return PartComparison(kind="table", level="different", changed=3, columns=(column,), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (of(PartComparison(level="encoding")), 'compare = "content"'),
        (of(PartComparison(level="order", relaxations=(MOVED,))), 'compare = "rows"'),
        (of(PartComparison(level="order", relaxations=(MOVED,)), policy=Policy(compare="content")), 'order = "any"'),
        (of(noise(1e-13, 3.04e-16, 1e3)), "relative = 3.2e-16"),
        (of(noise(1e-12, 0.8, 1e2)), "absolute = 1.1e-12"),
        (of(noise(1.0, 0.8, 1e2)), ""),
        (of(noise(1e-13, 3e-16, 1e3, added=1)), ""),
        (of(noise(1e-13, 3e-16, 1e3, schema=(SchemaChange(column="x", change="added"),))), ""),
        (of(noise(1e-13, 3e-16, 1e3), PartComparison(level="different", presence="got")), ""),
        (of(PartComparison(kind="text", level="different", changed=1)), ""),
    ],
)
def test_hints_say_what_would_cover_the_differences_and_nothing_else(comparison: Comparison, said: str) -> None:
    hint = hint_for(comparison)
    assert (said in hint) if said else hint == ""


def test_what_is_proposed_can_be_written_down_and_is_no_less_than_what_was_seen() -> None:
    for amount in (1.049e-15, 9.49e-13, 3e-16, 2.2e-16):
        hint = hint_for(of(noise(1e-12, amount, 1e3)))
        text = hint.partition(": ")[2].partition(" would")[0]
        [measures] = tomllib.loads(text)["tolerance"].values()
        assert measures["relative"] >= amount


@pytest.mark.parametrize("level", ["identical", "encoding", "order", "tolerance", "different"])
def test_bytes_accepts_nothing_but_bytes(level: Level) -> None:
    assert accepts(BYTES, level, []) is (level == "identical")


def test_another_order_has_to_be_declared_also_beside_a_tolerance() -> None:
    part = PartComparison(level="tolerance", relaxations=(MOVED,))
    assert not accepts(Policy(compare="content"), "tolerance", [part])
    assert accepts(Policy(compare="content", order="any"), "tolerance", [part])
    assert accepts(Policy(compare="rows"), "tolerance", [part])


def test_a_summary_has_counts_and_no_values() -> None:
    part = noise(
        0.5, 0.1, 5.0, part="t", schema=(SchemaChange(column="n", change="type", recorded="integer", got="text"),)
    )
    assert summary(of(part)) == (
        "t: column n: type integer → text",
        "t: 3 rows changed",
        't: column a "b": 3 changed, largest difference 0.5',
    )
