"""Comparing two runs also tells what differed before them."""

from __future__ import annotations

from msgspec.structs import replace

from reenact.actions.compare import CompareRequest, compare
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.opening import Store
from tests import bundles
from tests.bundles import ROOT, artifact, run_id
from tests.records import KEPT, add_run


def test_what_one_run_looked_for_in_vain_is_read_from_the_store(settings: Settings, store: Store) -> None:
    writer = store.writer(RunId(run_id(9)))
    absent = writer.add_bytes(f"{ROOT}/new.csv\n".encode())
    writer.commit()
    plain = bundles.bundle()
    add_run(store, 1, capture=replace(plain.capture, absent=absent))
    add_run(store, 2, kept=(*KEPT, b"1"), inputs=(*plain.inputs, artifact("new.csv", b"1")))
    found = compare(settings, CompareRequest(first=run_id(1), second=run_id(2)))
    assert found.equal
    assert [(c.section, c.name, c.before) for c in found.before] == [("input", "new.csv", "looked for, not there")]


def test_a_list_that_is_lost_is_no_reason_not_to_compare(settings: Settings, store: Store) -> None:
    plain = bundles.bundle()
    lost = bundles.artifact("x", b"nowhere").entry.digest
    add_run(store, 1, capture=replace(plain.capture, absent=lost))
    add_run(store, 2, parameters={"day": "2"})
    found = compare(settings, CompareRequest(first=run_id(1), second=run_id(2)))
    assert [(c.section, c.name) for c in found.before] == [("parameter", "day")]
