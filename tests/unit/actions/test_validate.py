"""Validation: policies, limits, and bytes that are not there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from reenact.actions.baseline import set_baseline
from reenact.actions.validate import Limit, validate, within
from reenact.compare.result import Comparison, PartComparison, SchemaChange
from reenact.errors import RunNotFound, UnreplayableError, UsageError
from reenact.settings import OutputRule, Settings
from reenact.store.opening import Store
from tests.bundles import artifact, run_id
from tests.records import KEPT, add_run

TABLE = b"id,x\n1,a\n2,b\n3,c\n4,d\n"
OTHER = b"id,x\n1,a\n2,z\n3,c\n4,d\n"


def runs(store: Store, *contents: bytes, kept: bool = True) -> None:
    for number, content in enumerate(contents, start=1):
        bytes_kept = (*KEPT, content) if kept else KEPT
        add_run(store, number, kept=bytes_kept, outputs=(artifact("out.csv", content, "created"),))


def test_the_same_outputs_are_valid(settings: Settings, store: Store) -> None:
    runs(store, TABLE, TABLE)
    set_baseline(settings, "etl", run_id(1))
    found = validate(settings, "etl", None, Limit())
    assert (found.valid, found.run_id, found.baseline) == (True, run_id(2), run_id(1))
    assert found.chosen.startswith("set 20")


@pytest.mark.parametrize(
    ("limit", "valid"),
    [
        (Limit(), False),
        (Limit(rows=0), False),
        (Limit(rows=2), True),
        (Limit(percent=Decimal(24)), False),
        (Limit(percent=Decimal(50)), True),
        (Limit(rows=2, percent=Decimal(10)), False),
    ],
)
def test_a_limit_allows_so_many_rows(settings: Settings, store: Store, limit: Limit, valid: bool) -> None:
    runs(store, TABLE, OTHER)
    found = validate(settings, "etl", run_id(1), limit)
    assert found.valid is valid
    assert list(found.allowed) == (["out.csv"] if valid else [])
    assert {output.verdict for output in found.outputs if output.name == "out.csv"} == {"different"}


def test_what_is_declared_counts(settings: Settings, store: Store) -> None:
    runs(store, TABLE, b"id,x\n4,d\n3,c\n2,b\n1,a\n")
    assert not validate(settings, "etl", run_id(1), Limit()).valid
    declared = settings._replace(outputs=(OutputRule(pattern="*.csv", compare="rows"),))
    assert validate(declared, "etl", run_id(1), Limit()).valid


def part(**changes: Any) -> Comparison:
    given = {"kind": "table", "level": "different", "recorded_rows": 10, "got_rows": 10, "changed": 1, **changes}
    return Comparison(level="different", accepted=False, parts=(PartComparison(**given),))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "text"},
        {"presence": "got"},
        {"schema": (SchemaChange(column="x", change="added"),)},
        {"changed": 5, "added": 3, "removed": 3},
    ],
)
def test_no_limit_covers_other_columns_or_what_is_no_table(changes: dict[str, Any]) -> None:
    assert within(part(), Limit(rows=10)) == "1 of 10 rows differ"
    assert within(part(**changes), Limit(rows=10)) == ""


def test_percent_of_no_rows_allows_none() -> None:
    assert within(part(recorded_rows=0, changed=0, added=1), Limit(percent=Decimal(100))) == ""


def test_what_has_no_baseline_or_no_bytes_cannot_be_validated(settings: Settings, store: Store) -> None:
    runs(store, TABLE, OTHER, kept=False)
    with pytest.raises(UsageError, match="no baseline"):
        validate(settings, "etl", None, Limit())
    with pytest.raises(RunNotFound):
        validate(settings, "etl", "nowhere", Limit())
    with pytest.raises(UnreplayableError, match=r"no bytes for: out\.csv"):
        validate(settings, "etl", run_id(1), Limit())
