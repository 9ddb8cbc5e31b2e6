"""Objects of every form come back from the backends we have."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.store.backends.folder import FolderBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.interface import Backend
from reenact.testing.forms import FormsContract


class TestFolder(FormsContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        root = tmp_path / "store"
        root.mkdir()
        return FolderBackend(root)


class TestMemory(FormsContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()
