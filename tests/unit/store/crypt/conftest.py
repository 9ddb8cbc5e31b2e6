"""A home of each test's own, with or without an identity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.store.crypt.identities import own_recipient
from reenact.store.opening import Store, open_store

pytest.importorskip("pyrage")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "REENACT_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def location(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(home: Path, location: str) -> Iterator[Store]:
    assert home.is_dir()
    opened = open_store(location, create=True, encrypt_to=[own_recipient(os.environ)])
    yield opened
    opened.close()
