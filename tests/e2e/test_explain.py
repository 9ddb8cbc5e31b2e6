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
    found, names = explained(my_desk)
    assert (found["answer"], names) == ("explained", case.expected), found["reasons"]
    assert my_desk.runs() == before


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in FEW], ids=str)
def test_every_planted_cause_is_named(my_desk: Desk, case: Planted) -> None:
    case.record(my_desk)
    found, names = explained(my_desk)
    assert (found["answer"], names) == ("explained", case.expected), found["reasons"]
