from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture.earlier import Earlier
from reenact.digests import of_bytes
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from tests.bundles import ROOT, artifact, run_id
from tests.records import add_run

BIG, LATER = b"big" * 50, b"later" * 50
PATH = f"{ROOT}/big.csv"


@pytest.fixture(autouse=True)
def own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "store"), create=True, deltas=DeltaPolicy(from_bytes=100))
    yield opened
    opened.close()


def record(store: Store, number: int, content: bytes, **changes: Any) -> None:
    bundle = add_run(store, number, inputs=(artifact("big.csv", content),), **changes)
    Earlier(store, bundle.job).remember(bundle)


def test_the_job_has_what_it_read_in_its_last_run(store: Store) -> None:
    record(store, 1, BIG)
    record(store, 2, LATER)
    assert Earlier(store, "etl").find(PATH, 100) == of_bytes(LATER)
    assert Earlier(store, "other").find(PATH, 100) is None


def test_short_files_ask_nothing(store: Store) -> None:
    record(store, 1, BIG)
    asked = Earlier(store, "etl")
    assert asked.find(PATH, 99) is None
    store.close()
    shutil.rmtree(store.cache)
    assert asked.find(PATH, 99) is None
    assert not os.path.exists(store.cache), "the cache was opened for a file that is too short"


def test_short_files_are_not_remembered(store: Store) -> None:
    record(store, 1, b"short")
    assert Earlier(store, "etl").find(PATH, 100) is None


def test_without_the_cache_the_records_tell(store: Store) -> None:
    record(store, 1, BIG)
    record(store, 2, LATER)
    record(store, 3, b"other" * 50, job="another")
    store.close()
    shutil.rmtree(store.cache)
    assert Earlier(store, "etl").find(PATH, 100) == of_bytes(LATER)


def test_a_replay_teaches_nothing(store: Store) -> None:
    record(store, 1, BIG)
    record(store, 2, LATER, replay_of=run_id(1))
    assert Earlier(store, "etl").find(PATH, 100) == of_bytes(BIG)
    store.close()
    shutil.rmtree(store.cache)
    assert Earlier(store, "etl").find(PATH, 100) == of_bytes(BIG)


def test_records_that_cannot_be_read_are_passed_over(store: Store) -> None:
    record(store, 1, BIG)
    record(store, 2, LATER)
    (bundle,) = Path(store.location).glob(f"runs/{run_id(2)}/bundle*")
    bundle.chmod(0o644)
    bundle.write_bytes(b"damaged")
    Path(store.location, "runs", run_id(3)).mkdir()
    store.close()
    shutil.rmtree(store.cache)
    assert Earlier(store, "etl").find(PATH, 100) == of_bytes(BIG)


def test_never_means_never(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True, deltas=DeltaPolicy(from_bytes=0))
    record(store, 1, BIG)
    assert Earlier(store, "etl").find(PATH, 1 << 40) is None
    store.close()
