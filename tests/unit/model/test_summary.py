from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.model.bundle import Determinism, Hazard
from reenact.model.code import Code
from reenact.model.summary import code_name, replayable, seconds, summary_line
from tests.bundles import RUN_ID, artifact, bundle


def test_the_line_says_what_was_recorded() -> None:
    made = bundle(code=Code(commit="a1b2c3d4e5f6", uncommitted=("x",), untracked=("y",)))
    line = f"● recorded {RUN_ID} etl · 2.4 s · 1 input, 1 output · code a1b2c3d+2 · replayable: exact"
    assert summary_line(made) == line


def test_code_that_is_not_versioned_is_left_out_and_a_failure_is_said() -> None:
    made = bundle(status="failed", exit_code=3, outputs=())
    assert summary_line(made) == f"● recorded {RUN_ID} etl · 2.4 s · exit 3 · 1 input, 0 outputs · replayable: exact"


def test_a_signal_is_named() -> None:
    assert " · signal 9 · " in summary_line(bundle(status="killed", exit_code=-9))


def test_only_data_whose_bytes_were_used_counts() -> None:
    inputs = (
        artifact("a", b"a", "read"),
        artifact("b", b"b", "probed", need="stat"),
        artifact("d", None, "listed"),
        artifact("u", b"u", "updated"),
    )
    outputs = (artifact("out", b"1", "created"), artifact("tmp", b"2", "created", temporary=True))
    assert " · 2 inputs, 1 output · " in summary_line(bundle(inputs=inputs, outputs=outputs))


def hazard(code: str, *, exact: bool = False) -> Hazard:
    return Hazard(code=code, message="why", exact=exact)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "exact"),
        ({"determinism": Determinism(hazards=(hazard("note", exact=True),))}, "exact"),
        ({"determinism": Determinism(hazards=(hazard("network"), hazard("network")))}, "not certain (network)"),
        (
            {"determinism": Determinism(hazards=tuple(hazard(c) for c in "abcde"))},
            "not certain (a, b, c, and 2 more)",
        ),
        ({"status": "incomplete"}, "no (the recording was cut off)"),
        ({"environment": replace(bundle().environment, mode="described")}, "no (the environment was only described)"),
    ],
)
def test_replayable_names_what_stands_in_the_way(changes: dict[str, Any], text: str) -> None:
    assert replayable(bundle(**changes)) == text


def test_a_name_cannot_act_on_the_terminal() -> None:
    assert r"\x1b[31m\x0a" in summary_line(bundle(job="\x1b[31m\n"))
    assert summary_line(bundle(job="\x1b[31m\n")).isprintable()


def test_durations() -> None:
    assert seconds(bundle()) == 2.4
    assert seconds(bundle(ended_at=None)) is None
    assert seconds(bundle(ended_at="2026-01-31T05:00:00.000000Z")) == 0


def test_code_name_without_changes_is_the_commit() -> None:
    assert code_name(bundle(code=Code(commit="a1b2c3d4"))) == "a1b2c3d"
    assert code_name(bundle()) is None
