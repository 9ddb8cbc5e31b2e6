from __future__ import annotations

import pytest

from reenact.errors import RunNotFound
from reenact.ids import RunId
from reenact.model.reference import resolve
from tests.bundles import run_id

RUNS = [RunId(run_id(n)) for n in range(1, 6)]
JOBS = dict(zip(RUNS, ["etl", "other", "etl", "etl", "abcd"], strict=True))


def found(reference: str) -> int:
    return RUNS.index(resolve(reference, RUNS, JOBS.__getitem__)) + 1


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        (RUNS[1], 2), (RUNS[1][:13], 2), (RUNS[1][-12:], 2), (RUNS[1][-4:], 2),
        ("latest", 5), ("latest~1", 4), ("latest~4", 1),
        ("etl", 4), ("etl~0", 4), ("etl~2", 1), ("other", 2), ("abcd", 5),
    ],
)  # fmt: skip
def test_references(reference: str, number: int) -> None:
    assert found(reference) == number


@pytest.mark.parametrize("reference", ["", "nothing", "latest~5", "other~1", RUNS[0][-3:], run_id(9), "~1", "etl~x"])
def test_what_names_no_run_is_refused(reference: str) -> None:
    with pytest.raises(RunNotFound):
        found(reference)


def test_what_names_several_gives_them_all() -> None:
    with pytest.raises(RunNotFound) as caught:
        found(RUNS[0][:8])
    assert caught.value.candidates == tuple(RUNS)


def test_how_far_back_one_can_go_is_said() -> None:
    with pytest.raises(RunNotFound) as caught:
        found("etl~7")
    assert "furthest back is etl~2" in caught.value.hint()


def test_a_whole_id_needs_no_look_at_any_job() -> None:
    def refuse(_: RunId) -> str:
        raise AssertionError

    assert resolve(RUNS[2], RUNS, refuse) == RUNS[2]
