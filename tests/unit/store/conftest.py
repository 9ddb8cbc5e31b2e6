"""A store of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.store.opening import Store, open_store


@pytest.fixture
def location(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(location: str) -> Iterator[Store]:
    opened = open_store(location, create=True)
    yield opened
    opened.close()
