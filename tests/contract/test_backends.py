"""The backends we have, and what stands before them, keep the contract of the interface."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.store.access import Access, connect, spared
from reenact.store.backends.ahead import AheadBackend
from reenact.store.backends.cache import CachingBackend
from reenact.store.backends.encrypted import EncryptedBackend
from reenact.store.backends.folder import FolderBackend
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.backends.listed import ListedBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.backends.object_store import ObjectStoreBackend
from reenact.store.backends.relay import RelayedBackend
from reenact.store.backends.retry import RetryingBackend
from reenact.store.backends.throttle import Pace, ThrottledBackend
from reenact.store.crypt.keyring import new_key_ring
from reenact.store.interface import Backend
from reenact.testing.backend import BackendContract
from reenact.testing.faults import FaultyBackend, by_chance
from tests.servers.gateway import Bucket

_MEMORY_DISK = Path("/dev/shm")
_STORE_ID = "00000000-0000-4000-8000-000000000001"
_numbers = itertools.count()


def _fresh(prefix: str) -> str:
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


class TestFolder(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        root = tmp_path / "store"
        root.mkdir()
        return FolderBackend(root)


class TestFolderOnAnotherFileSystem(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        if not os.access(_MEMORY_DISK, os.W_OK) or _MEMORY_DISK.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no other file system at /dev/shm")
        root = tempfile.mkdtemp(dir=_MEMORY_DISK)
        yield FolderBackend(root)
        shutil.rmtree(root)


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


class TestEncryptedFolder(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        root = tmp_path / "store"
        root.mkdir()
        return EncryptedBackend(FolderBackend(root), new_key_ring(_STORE_ID), str(tmp_path / "staging"))


class TestEncryptedMemory(BackendContract):
    """Where the other backend has no staging folder."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return EncryptedBackend(MemoryBackend(), new_key_ring(_STORE_ID), str(tmp_path / "staging"))


class TestForwarding(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return ForwardingBackend(MemoryBackend())


class TestCaching(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return CachingBackend(MemoryBackend(), str(tmp_path / "copies"), 1 << 20)


class TestListed(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return ListedBackend(MemoryBackend())


class TestAhead(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return AheadBackend(MemoryBackend())


class TestThrottled(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return ThrottledBackend(MemoryBackend(), Pace(1e9), 2)


class TestRetrying(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return RetryingBackend(MemoryBackend(), 1.0)


class TestFaulty(BackendContract):
    """A third of all calls fails, half of those after their effect; trying again makes up for it."""

    @pytest.fixture(params=range(5))
    def backend(self, request: pytest.FixtureRequest) -> Backend:
        faulty = FaultyBackend(MemoryBackend(), by_chance(request.param))
        return RetryingBackend(faulty, 3600.0, sleep=lambda _: None)

    def test_never_replaces(self, backend: Backend) -> None:
        """Whether an equal value is one's own cannot be told after a lost answer; that another one is not, can."""
        assert backend.put_if_absent("k", b"first")
        assert not backend.put_if_absent("k", b"second")
        assert backend.get("k") == b"first"


class TestFaultyFolder(TestFaulty):
    @pytest.fixture(params=range(2))
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        root = tmp_path / "store"
        root.mkdir()
        faulty = FaultyBackend(FolderBackend(root), by_chance(request.param))
        return RetryingBackend(faulty, 3600.0, sleep=lambda _: None)


class TestAsForAStoreInABucket(TestFaulty):
    """Everything that stands before a bucket, before a place that fails."""

    @pytest.fixture(params=range(3))
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        faulty = ThrottledBackend(FaultyBackend(MemoryBackend(), by_chance(request.param)), Pace(1e9), 4)
        patient = RetryingBackend(faulty, 3600.0, sleep=lambda _: None)
        return spared(patient, Access(), str(tmp_path / "cache"))


class TestEncryptedForAStoreInABucket(TestFaulty):
    """Trying again below the encryption puts the same bytes, so a lost answer is told from a lost race."""

    @pytest.fixture(params=range(3))
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
        faulty = FaultyBackend(MemoryBackend(), by_chance(request.param))
        patient = RetryingBackend(faulty, 3600.0, sleep=lambda _: None)
        near = spared(patient, Access(), str(tmp_path / "cache"))
        return EncryptedBackend(near, new_key_ring(_STORE_ID), str(tmp_path / "staging"))


@pytest.mark.slow
class TestObjectStore(BackendContract):
    @pytest.fixture
    def backend(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Backend:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        url = bucket.url(_fresh("direct"))
        return ObjectStoreBackend(url, os.environ, patience_seconds=10, pace=None)


@pytest.mark.slow
class TestRelayed(BackendContract):
    @pytest.fixture
    def backend(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        backend = RelayedBackend(bucket.url(_fresh("relayed")), patience_seconds=10, pace_bytes=0)
        yield backend
        backend.close()


@pytest.mark.slow
class TestBucketAsOpened(BackendContract):
    @pytest.fixture
    def backend(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backend:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        connection = connect(bucket.url(_fresh("opened")), Access())
        return spared(connection, Access(), str(tmp_path / "cache"))


@pytest.mark.slow
class TestEncryptedBucketAsOpened(BackendContract):
    @pytest.fixture
    def backend(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backend:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        connection = connect(bucket.url(_fresh("encrypted")), Access())
        near = spared(connection, Access(), str(tmp_path / "cache"))
        return EncryptedBackend(near, new_key_ring(_STORE_ID), str(tmp_path / "staging"))
