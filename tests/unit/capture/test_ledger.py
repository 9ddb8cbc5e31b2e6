"""The ledger: what was looked for in vain, and what such a look says of the time before the run."""

from __future__ import annotations

from typing import Any

import pytest

from reenact.capture.ledger import Ledger
from tests.model_tree import ModelTree


class Nothing:
    """Keeps no bytes."""

    def keep(self, path: str, found: object, *, needed: int, name_only: bool) -> tuple[str, str]:
        raise AssertionError(path, found, needed, name_only)

    def drop(self, where: str) -> None:
        raise AssertionError(where)


@pytest.fixture
def records() -> list[list[Any]]:
    return []


@pytest.fixture
def ledger(records: list[list[Any]]) -> Ledger:
    def emit(record: list[Any]) -> int:
        records.append(record)
        return len(records)

    return Ledger(ModelTree(), Nothing(), emit)


def test_what_is_looked_for_in_vain_is_told_once(ledger: Ledger, records: list[list[Any]]) -> None:
    ledger.missing("/a/b")
    ledger.missing("/a/b")
    assert records == [["o", "/a/b"]]


def test_what_is_not_in_a_folder_of_the_runs_says_nothing_of_before(ledger: Ledger, records: list[list[Any]]) -> None:
    """Its name was perhaps drawn by chance: told, it would make equal runs unequal, and be missed by a replay."""
    ledger.make("1", "/tmp/x7")
    records.clear()
    ledger.missing("/tmp/x7/a")
    ledger.missing("/tmp/x7/deep/down")
    ledger.missing("/tmp/x7")
    assert records == []
    ledger.missing("/tmp/x71")
    assert records == [["o", "/tmp/x71"]]
