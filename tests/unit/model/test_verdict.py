from __future__ import annotations

from typing import Any

import pytest

from reenact.model.verdict import OutputJudgement, overall


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
