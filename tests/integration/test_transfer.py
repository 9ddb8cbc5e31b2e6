"""Moving runs between stores by processes: killed in the middle, two at once, and without the right to write."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from reenact.actions.transfer import Selection, pull, push, transfer
from reenact.actions.verify import verify
from reenact.errors import StoreError
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from tests.bundles import artifact, run_id
from tests.integration.test_store_processes import NOBODY, child, status_of
from tests.records import add_run, add_verdict
from tests.servers.gateway import Bucket
from tests.shelf import edited, table

RUNS = 8
KILLS = 20


def fill(store: Store, rows: int) -> None:
    """Record runs that read versions of one table, and many small files of their own."""
    content, previous = table(rows), None
    for number in range(1, RUNS + 1):
        writer = store.writer(RunId(run_id(number)))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            previous = writer.add_descriptor(file.fileno(), previous).digest
        own = [random.Random(1000 * number + place).randbytes(3000) for place in range(40)]
        inputs = (artifact("in.csv", content), *(artifact(f"{place}.bin", data) for place, data in enumerate(own)))
        writer.commit()
        made = add_run(store, number, inputs=inputs, kept=(b"out", *own))
        add_verdict(store, made, 100 + number)
        content = edited(content, number)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


def problems(settings: Settings, location: str) -> list[tuple[str, str]]:
    checked = verify(settings._replace(store=location), (), everything=True, deep=True)
    return [(finding.code, finding.subject) for run in checked for finding in run.findings]


@pytest.mark.slow
def test_killed_at_any_instant_it_goes_on_and_nothing_is_wrong(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings.store, create=True)
    fill(store, 40_000)
    store.close()
    away = str(tmp_path / "away")
    chance = random.Random(7)
    started = time.monotonic()
    assert status_of(child(lambda: _push(settings, away))) == 0
    whole_seconds = time.monotonic() - started
    killed = 0
    while killed < KILLS:
        target = str(tmp_path / f"away-{killed}")
        for share in (0.3, 0.6, 1.0):
            process = child(partial(_push, settings, target))
            time.sleep(chance.random() * share * whole_seconds)
            os.kill(process, signal.SIGKILL)
            if status_of(process) != -signal.SIGKILL:
                continue
            killed += 1
            if Path(target, "store.json").exists():
                # Between a bundle and its entry the one is there without the other, and so between a key's entry and its
                # record: which the next attempt mends.
                assert {code for code, _ in problems(settings, target)} <= {
                    "not-logged",
                    "entry-signature",
                    "key-missing",
                }
        assert status_of(child(partial(_push, settings, target))) == 0
        assert problems(settings, target) == []
        assert list(Path(target, "staging").iterdir()) == []
        assert _contents(target) == _contents(away)


def _push(settings: Settings, target: str) -> None:
    assert {run.exit_code for run in push(settings, Selection(everything=True), to=target).runs} == {0}


def _contents(location: str) -> dict[str, tuple[bytes, int]]:
    store = open_store(location, create=False)
    return {run: (store.runs.envelope(run), len(store.runs.verdicts(run))) for run in store.runs.ids()}


def test_two_may_push_at_once(settings: Settings, tmp_path: Path) -> None:
    fill(open_store(settings.store, create=True), 30_000)
    away = str(tmp_path / "away")
    processes = [child(lambda: _push(settings, away)) for _ in range(2)]
    assert [status_of(process) for process in processes] == [0, 0]
    assert problems(settings, away) == []
    assert len(_contents(away)) == RUNS


def test_a_target_that_cannot_be_written_is_said(settings: Settings, tmp_path: Path) -> None:
    store = open_store(settings.store, create=True)
    add_run(store, 1)
    away = tmp_path / "away"
    open_store(str(away), create=True).close()
    for folder, _, _ in os.walk(away):
        Path(folder).chmod(0o555)
    for place in (tmp_path, *tmp_path.parents[:3]):
        place.chmod(place.stat().st_mode | 0o011)

    def work() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        with pytest.raises(StoreError, match=str(away)) as caught:
            transfer(store, open_store(str(away), create=False), Selection(names=(run_id(1),)))
        assert caught.value.hint()

    for folder, _, names in os.walk(settings.store):
        Path(folder).chmod(0o755)
        for name in names:
            Path(folder, name).chmod(0o644)
    assert status_of(child(work)) == 0
    for folder, _, _ in os.walk(away):
        Path(folder).chmod(0o755)


@pytest.mark.slow
def test_through_a_bucket(bucket: Bucket, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(open_store(settings.store, create=True), 30_000)
    url = bucket.url("transfer")
    _push(settings, url)
    assert {run.outcome for run in push(settings, Selection(everything=True), to=url).runs} == {"present"}
    assert problems(settings, url) == []
    mine = settings._replace(store=str(tmp_path / "mine"))
    pulled = pull(mine, Selection(everything=True), source=url).runs
    assert [run.outcome for run in pulled] == ["moved"] * RUNS
    assert problems(mine, mine.store) == []
    assert _contents(mine.store) == _contents(settings.store)
