"""The backends we have keep the contract of the interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.store.backends.folder import FolderBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.interface import Backend
from reenact.testing.backend import BackendContract


class TestFolder(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        root = tmp_path / "store"
        root.mkdir()
        return FolderBackend(root)


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()
