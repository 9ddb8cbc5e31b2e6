from __future__ import annotations

from typing import Any

import pytest

from reenact.digests import Digest
from reenact.model.verdict import (
    OutputJudgement,
    OutputLevel,
    Verdict,
    following,
    overall,
    overall_varied,
    varied_sentence,
)


def judged(*levels: Any, decides: bool = True) -> tuple[OutputJudgement, ...]:
    return tuple(OutputJudgement(name=str(n), verdict=level, decides=decides) for n, level in enumerate(levels))


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ((), "reproduced"),
        (("identical",), "reproduced"),
        (("identical", "equivalent"), "equivalent"),
        (("equivalent", "different"), "diverged"),
        (("identical", "missing"), "diverged"),
        (("identical", "extra"), "diverged"),
    ],
)
def test_the_worst_of_what_decides_is_the_verdict(levels: tuple[str, ...], verdict: str) -> None:
    assert overall(judged(*levels), ()) == verdict
    assert overall(judged(*levels[::-1]), ()) == verdict


@pytest.mark.parametrize("level", ["different", "missing", "extra", "equivalent"])
def test_what_does_not_decide_is_only_reported(level: str) -> None:
    assert overall((*judged("identical"), *judged(level, decides=False)), ()) == "reproduced"


def test_anything_unrecorded_is_a_divergence_however_equal_the_outputs() -> None:
    assert overall(judged("identical"), ("/etc/x: read",)) == "diverged"


def output(name: str, verdict: OutputLevel, *differences: str, decides: bool = True) -> OutputJudgement:
    return OutputJudgement(name=name, verdict=verdict, differences=differences, decides=decides)


def test_a_varied_replay_never_reads_as_a_reproduction() -> None:
    same = (output("a", "identical"), output("stderr", "different", decides=False))
    assert overall_varied(same, ()) == "unchanged"
    assert overall_varied((*same, output("b", "extra")), ()) == "changed"
    assert overall_varied(same, ("x: read, but the record does not have it",)) == "unsure"


def test_a_varied_replay_says_in_a_line_what_it_showed() -> None:
    judgements = (
        output("a.csv", "identical"),
        output("b.csv", "equivalent"),
        output("daily.parquet", "different", "14 rows"),
        output("new.csv", "extra"),
        output("exit-code", "different", "recorded 0, got 1"),
        output("stderr", "different", "bytes", decides=False),
    )
    assert varied_sentence({"code": "."}, judgements) == (
        "with code from .: 2 of 3 outputs unchanged, daily.parquet differs (14 rows), new.csv is new,"
        " exit-code differs (recorded 0, got 1)"
    )


def test_a_varied_replay_names_everything_that_was_changed() -> None:
    changes = {"variable TZ": "not set", "environment": "current", "input raw.csv": "sha256:0", "parameter day": "2"}
    assert varied_sentence(changes, (output("a", "missing"),)) == (
        "with today's environment, another input raw.csv, parameter day = 2 and variable TZ not set:"
        " 0 of 1 output unchanged, a is missing"
    )


@pytest.mark.parametrize(
    ("variations", "levels", "expected"),
    [
        ({}, ("identical",), "reproduced"),
        ({"code": "."}, ("identical",), "unchanged"),
        ({"code": "."}, ("missing",), "changed"),
    ],
)
def test_what_a_verdict_must_be_follows_from_what_is_in_it(
    variations: dict[str, str], levels: tuple[str, ...], expected: str
) -> None:
    verdict = Verdict(
        schema_version="1.0",
        run_id="a",
        replay_run_id="b",
        verdict="reproduced",
        rung="world",
        not_isolated=(),
        judged_at="",
        outputs=judged(*levels),
        bundle_digest=Digest("sha256:" + "0" * 64),
        variations=variations,
    )
    assert following(verdict) == expected
