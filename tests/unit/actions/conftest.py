from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.settings import Settings
from reenact.store.opening import Store, open_store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.store, create=True)
    yield opened
    opened.close()
