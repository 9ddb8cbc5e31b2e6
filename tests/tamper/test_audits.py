"""Every byte of a sealed report flipped is refused, by `verify --all` as by the next audit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.actions.audit import AuditRequest
from reenact.actions.completeness import record_flaws
from reenact.actions.sealing_audits import audit_and_seal
from reenact.settings import Settings
from reenact.store.audits import Audits
from reenact.store.opening import open_store
from tests.records import add_run


def test_every_byte_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    settings = Settings(root=str(tmp_path), store=str(tmp_path / "store"))
    store = open_store(settings.store, create=True)
    add_run(store)
    report = audit_and_seal(settings, AuditRequest(everything=True, drift="never"), seal=True).report
    assert list(record_flaws(store)) == []
    data = Audits(store.backend).envelope(report.audit_id)
    path = Path(store.location, "audits", f"{report.audit_id}.dsse.json")
    path.chmod(0o644)
    passed = []
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        if [flaw.code for _, _, flaw in record_flaws(store)] != ["audit-differs"]:
            passed.append((place, data[max(place - 8, 0) : place + 8]))
    assert passed == []
