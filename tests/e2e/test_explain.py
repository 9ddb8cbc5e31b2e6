"""`reenact explain` names the true cause of a difference, and never another one without saying that it is unsure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.desk import Desk
from tests.e2e.planted import CASES, FEW, Planted


def explained(desk: Desk) -> tuple[Any, set[str]]:
    done = desk.reenact("explain", "planted~1", "planted", "--json")
    found = done.json()
    names = {f["name"] if f["kind"] in {"stdin", "file-times"} else f"{f['kind']} {f['name']}" for f in found["cause"]}
    assert done.exit_code == {"explained": 0, "unsure": 1}[found["answer"]]
    return found, names


@pytest.mark.parametrize("case", FEW, ids=str)
def test_a_planted_cause_is_named(my_desk: Desk, case: Planted) -> None:
    case.record(my_desk)
    before = my_desk.runs()
    planned = my_desk.reenact("explain", "planted~1", "planted", "--json", "--dry-run").json()
    assert (planned["answer"], planned["replays"], planned["cause"]) == ("planned", 0, [])
    found, names = explained(my_desk)
    assert (found["answer"], names) == ("explained", case.expected), found["reasons"]
    assert my_desk.runs() == before


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in FEW], ids=str)
def test_every_planted_cause_is_named(my_desk: Desk, case: Planted) -> None:
    case.record(my_desk)
    found, names = explained(my_desk)
    assert (found["answer"], names) == ("explained", case.expected), found["reasons"]


def record_twice(desk: Desk, script: str, *, redirect: str = "") -> None:
    """Record a job before and after its file ``in.txt`` changed."""
    desk.write("job.sh", script)
    for content in ("1\n", "2\n"):
        desk.write("in.txt", content)
        words = f"exec {desk.person.reenact} run --job planted -- sh job.sh {redirect}"
        assert desk.execute(["sh", "-c", words]).exit_code == 0


def test_a_job_that_is_not_the_same_twice_is_not_explained(my_desk: Desk) -> None:
    record_twice(my_desk, "od -An -N8 -tx8 /dev/urandom > chance.txt\n")
    found, names = explained(my_desk)
    assert (found["answer"], names, found["noisy"], found["replays"]) == ("unsure", set(), ["chance.txt"], 2)
    assert "chance" in found["reasons"][0]


@pytest.mark.slow
def test_outputs_that_vary_are_left_out_and_named(my_desk: Desk) -> None:
    record_twice(my_desk, "od -An -N8 -tx8 /dev/urandom > chance.txt; cat in.txt > out.txt\n")
    found, names = explained(my_desk)
    assert (found["answer"], names, found["outputs"]) == ("explained", {"input in.txt"}, ["out.txt"])
    assert found["noisy"] == ["chance.txt"]


@pytest.mark.slow
def test_a_log_that_runs_are_added_to_is_no_output_to_explain(my_desk: Desk) -> None:
    record_twice(my_desk, "cat in.txt | tee out.txt\n", redirect=">> log.txt 2>&1")
    found, names = explained(my_desk)
    assert (found["answer"], names, found["outputs"]) == ("explained", {"input in.txt"}, ["out.txt"])


@pytest.mark.slow
def test_two_sufficient_causes_are_not_passed_off_as_one(my_desk: Desk) -> None:
    my_desk.write("job.sh", "cat a.txt b.txt | sort -u | tail -n 1 > out.txt\n")
    for content in ("1\n", "2\n"):
        my_desk.write("a.txt", content)
        my_desk.write("b.txt", content)
        assert my_desk.record("sh", "job.sh", options=("--job", "planted")).exit_code == 0
    found, names = explained(my_desk)
    assert (found["answer"], names) == ("unsure", {"input a.txt"})
    assert "more than one sufficient cause" in found["reasons"][0]


@pytest.mark.slow
def test_the_same_outputs_need_no_replay_and_missing_bytes_are_named(my_desk: Desk) -> None:
    record_twice(my_desk, "cat in.txt > /dev/null; echo same > out.txt\n")
    done = my_desk.reenact("explain", "planted~1", "planted", "--json")
    assert (done.exit_code, done.json()["answer"], done.json()["replays"]) == (0, "same", 0)
    for pack in (my_desk.store / "packs").iterdir():
        pack.unlink()
    done = my_desk.reenact("explain", "planted~1", "planted", "--json")
    assert (done.exit_code, done.json()["answer"]) == (3, "unreplayable")
    assert done.json()["reasons"]
