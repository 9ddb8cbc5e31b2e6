"""Every flipped byte of every file of a store, and every deleted file, is found and named by `scrub` (which `verify` is part of)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from reenact.actions.baseline import set_baseline
from reenact.actions.completeness import record_flaws
from reenact.actions.custody import hold, release
from reenact.actions.logview import LogView
from reenact.actions.prune import PruneRequest, prune
from reenact.actions.scrub import ScrubRequest, description_flaw, scrub
from reenact.actions.sweeping import SweepRequest
from reenact.actions.verify import RunCheck
from reenact.errors import ReenactError
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, run_id
from tests.records import add_run, add_verdict

LARGE = bytes(SMALL_BYTES + 1)

_DERIVED = ("cache/", "staging/", "journals/")
"""Nothing that is referred to is there; see `reenact.actions.scrub`."""

_NOT_MISSED = re.compile(r"\.gitignore|log/keys/|log/tiles/|runs/[^/]*/summaries/")
"""Nothing is read from the first; the others are made of entries and of verdicts, and are not needed. A changed one is found."""
_TOLD = re.compile(rb'"valid_from":"([^"]*)"')
"""Of a key: what nothing goes by, for the log says when a key counted."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Give a store with something of every kind."""
    opened = open_store(settings.store, create=True)
    made = add_run(opened, 1, kept=(b"in", b"print()", LARGE), outputs=(artifact("out", LARGE, "created"),))
    add_run(opened, 2, replay_of=run_id(1))
    add_verdict(opened, made, 2)
    add_run(opened, 3, job="gone")
    hold(settings, [run_id(1)], "audit", "m")
    hold(settings, [run_id(2)], "audit")
    release(settings, [run_id(2)], "over")
    set_baseline(settings, "etl", run_id(1), "good")
    prune(
        settings,
        PruneRequest(runs=(run_id(3),), yes=True, sweeping=SweepRequest(grace_seconds=0, wait_seconds=0)),
    )
    yield opened
    opened.close()


def files_of(store: Store) -> list[Path]:
    root = Path(store.location)
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not str(path.relative_to(root)).startswith(_DERIVED))


def findings(settings: Settings) -> list[str]:
    """Scrub; give what is found, in words. A store that cannot be opened is found, too."""
    try:
        result = scrub(settings, ScrubRequest(restart=True))
    except ReenactError as error:
        return [str(error)]
    return [f"{finding.subject} {finding.problem} {finding.detail}" for finding in result.findings]


def test_there_is_something_of_every_kind_and_all_is_well(settings: Settings, store: Store) -> None:
    kinds = {str(path.relative_to(store.location)).partition("/")[0] for path in files_of(store)}
    assert kinds >= {
        "baselines",
        "holds",
        "keys",
        "log",
        "objects",
        "packs",
        "runs",
        "store.json",
        "tombstones",
        ".gitignore",
    }
    assert findings(settings) == []


def test_every_deleted_file(settings: Settings, store: Store) -> None:
    for path in files_of(store):
        name = str(path.relative_to(store.location))
        data = path.read_bytes()
        path.unlink()
        found = findings(settings)
        assert bool(found) != bool(_NOT_MISSED.match(name)), name
        path.write_bytes(data)
    assert findings(settings) == []


def flip(path: Path, places: Iterable[int], is_found: Callable[[], bool]) -> Iterator[int]:
    """Flip bytes of a file, one at a time; give the places where nothing was found."""
    whole = path.read_bytes()
    told = _TOLD.search(whole) if path.parent.name == "keys" else None
    passed_over = range(*told.span(1)) if told is not None else range(0)
    path.chmod(0o644)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        if place not in passed_over and not is_found():
            yield place
    path.write_bytes(whole)


def test_some_bytes_of_every_file(settings: Settings, store: Store) -> None:
    for number, path in enumerate(files_of(store)):
        size = path.stat().st_size
        places = range(number % 7, size, max(1, size // 3))
        assert list(flip(path, places, lambda: bool(findings(settings)))) == [], path


def check_of(path: Path, settings: Settings, store: Store) -> Callable[[], bool]:
    """Give the part of a scrub that looks at a file: all of it for each byte of a store would take minutes."""
    key = str(path.relative_to(store.location))
    top = key.partition("/")[0]
    if top in {"objects", "packs"}:
        scrubber = store.scrubber(store.backend, content=False)
        return lambda: bool(scrubber.check(key if top == "objects" else re.sub(r"pack$", "idx", key)))
    if top in {"holds", "tombstones", "baselines"}:
        return lambda: bool(list(record_flaws(store)))
    if key == "store.json":
        return lambda: bool(description_flaw(path.read_bytes()))
    if top == "runs":
        run_id = RunId(key.split("/")[1])
        return lambda: bool(RunCheck(store, LogView(store), deep=False, objects=False).run(run_id).findings)
    return lambda: bool(findings(settings)) if top == ".gitignore" else bool(_flaws_of_log(store))


def _flaws_of_log(store: Store) -> object:
    """Look at the log as a scrub does, and at what it says of the records."""
    view = LogView(store)
    check = RunCheck(store, view, deep=False, objects=False)
    try:
        found: list[object] = [*view.all_flaws()]
        # What the log says wrongly of a record is found at the record.
        return found or [flaw for run in store.runs.ids() for flaw in check.run(run).findings] or [*record_flaws(store)]
    except ReenactError as error:
        return [error]


@pytest.mark.slow
def test_every_byte_of_every_file(settings: Settings, store: Store) -> None:
    for path in files_of(store):
        if f"runs/{run_id(2)}" in str(path):
            continue  # of the same kinds as those of the first run
        places = range(path.stat().st_size)
        assert list(flip(path, places, check_of(path, settings, store))) == [], path
    assert findings(settings) == []
