from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reenact.digests import EMPTY, of_bytes
from reenact.errors import ObjectMissing, StoreError
from reenact.ids import RunId
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.worker import BLOCK_BYTES, Worker

RUN = RunId("01990000-0001-7000-8000-000000000001")
OTHER = RunId("01990000-0002-7000-8000-000000000002")

SIZES = (
    0,
    1,
    SMALL_BYTES - 1,
    SMALL_BYTES,
    SMALL_BYTES + 1,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    3 * BLOCK_BYTES + 17,
)


@contextmanager
def opened(path: Path, content: bytes) -> Iterator[int]:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def files(store: Store) -> list[str]:
    """Give everything in a store but its description, caches and leases."""
    root = Path(store.location)
    found = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(name for name in found if not name.startswith((".gitignore", "store.json", "cache/", "writers/")))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["random", "text", "zeros"])
def test_every_size_comes_back(store: Store, tmp_path: Path, size: int, kind: str) -> None:
    content = {"random": os.urandom(size), "text": (b"a,b,%d\n" * (size // 6 + 1))[:size], "zeros": bytes(size)}[kind]
    writer = store.writer(RUN)
    with opened(tmp_path / "file", content) as descriptor:
        added = writer.add_descriptor(descriptor)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    assert (added.digest, added.size_bytes, added.new) == (of_bytes(content), size, True)
    writer.commit()
    again = open_store(store.location, create=False)
    assert again.objects.read(added.digest) == content
    assert again.objects.size(added.digest) == size
    assert again.objects.verify([added.digest], content=True) == []
    assert again.objects.verify([added.digest], content=False) == []
    again.close()


def test_bytes_and_files_are_the_same_objects(store: Store, tmp_path: Path) -> None:
    writer = store.writer(RUN)
    for size in SIZES:
        content = os.urandom(size)
        digest = writer.add_bytes(content)
        with opened(tmp_path / "file", content) as descriptor:
            added = writer.add_descriptor(descriptor)
        assert (added.digest, added.new) == (digest, False)
    writer.commit()
    assert len([name for name in files(store) if name.startswith("objects/")]) == len(
        [s for s in SIZES if s >= SMALL_BYTES]
    )


def test_nothing_is_there_before_the_commit(store: Store) -> None:
    writer = store.writer(RUN)
    small, large = writer.add_bytes(b"small"), writer.add_bytes(bytes(SMALL_BYTES))
    assert writer.holds(small)
    assert writer.holds(large)
    for digest in (small, large):
        assert not store.objects.holds(digest)
        with pytest.raises(ObjectMissing):
            store.objects.read(digest)
    writer.commit()
    assert store.objects.read(small) == b"small"
    assert store.objects.read(large) == bytes(SMALL_BYTES)


def test_an_empty_run_writes_nothing(store: Store) -> None:
    store.writer(RUN).commit()
    assert files(store) == []


def test_a_commit_leaves_no_temporary_file(store: Store) -> None:
    writer = store.writer(RUN)
    writer.add_bytes(b"small")
    writer.add_bytes(os.urandom(SMALL_BYTES))
    writer.commit()
    kinds = [name.split("/")[0] + Path(name).suffix for name in files(store)]
    assert kinds == ["objects", "packs.idx", "packs.pack"]


def test_what_the_store_has_is_not_written_again(store: Store) -> None:
    contents = [b"small", b"other", os.urandom(SMALL_BYTES + 5)]
    first = store.writer(RUN)
    for content in contents:
        first.add_bytes(content)
    first.commit()
    before = files(store)
    again = open_store(store.location, create=False)
    writer = again.writer(OTHER)
    for content in contents:
        assert writer.holds(writer.add_bytes(content))
    writer.commit()
    again.close()
    assert files(store) == before


def test_a_writer_goes_on_after_a_commit(store: Store) -> None:
    writer = store.writer(RUN)
    first = writer.add_bytes(b"first")
    writer.commit()
    second = writer.add_bytes(b"second")
    assert writer.add_bytes(b"first") == first
    writer.commit()
    assert store.objects.read(first) == b"first"
    assert store.objects.read(second) == b"second"
    assert len(list(store.backend.list("packs/"))) == 4


def test_abandoning_leaves_nothing(store: Store) -> None:
    writer = store.writer(RUN)
    writer.add_bytes(b"small")
    writer.add_bytes(os.urandom(SMALL_BYTES))
    writer.abandon()
    assert files(store) == []
    digest = writer.add_bytes(b"small")
    writer.commit()
    assert store.objects.read(digest) == b"small"


def test_leftovers_of_a_run_can_be_discarded_and_those_of_others_stay(store: Store) -> None:
    for run in (RUN, OTHER):
        writer = store.writer(run)
        writer.add_bytes(b"small")
        writer.add_bytes(os.urandom(SMALL_BYTES))
        writer._worker.drain()
    assert len(files(store)) == 4
    assert store.discard_unfinished(RUN) == 2
    assert store.discard_unfinished(RUN) == 0
    assert all(OTHER in name for name in files(store))
    assert len(files(store)) == 2


def test_a_file_that_changes_while_it_is_read_is_stored_as_it_was_read(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(os.urandom(2 * BLOCK_BYTES))
    writer = store.writer(RUN)
    take = writer._buffers.take

    def append_and_take() -> bytearray:
        with path.open("ab") as file:
            file.write(b"more")
        return take()

    writer._buffers.take = append_and_take  # type: ignore[method-assign]  # a fault: somebody writes meanwhile
    descriptor = os.open(path, os.O_RDONLY)
    added = writer.add_descriptor(descriptor)
    os.close(descriptor)
    writer.commit()
    content = store.objects.read(added.digest)
    assert of_bytes(content) == added.digest
    assert len(content) == added.size_bytes >= 2 * BLOCK_BYTES


def test_what_cannot_be_read_is_the_callers_error_and_the_writer_goes_on(store: Store, tmp_path: Path) -> None:
    writer = store.writer(RUN)
    kept = writer.add_bytes(b"kept")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        writer.add_descriptor(descriptor)
    os.close(descriptor)
    later = writer.add_bytes(os.urandom(SMALL_BYTES))
    writer.commit()
    assert store.objects.verify([kept, later], content=True) == []


def test_a_store_without_write_permission_to_staging_says_so(store: Store) -> None:
    writer = store.writer(RUN)
    staging = Path(store.location) / "staging"
    staging.rmdir()
    with pytest.raises(StoreError, match="staging"):
        writer.add_bytes(b"small")
    writer.abandon()


def test_without_threads_it_works_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Worker) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    writer = store.writer(RUN)
    contents = [b"small", os.urandom(2 * BLOCK_BYTES), b"text\n" * BLOCK_BYTES]
    digests = [writer.add_bytes(content) for content in contents]
    writer.commit()
    assert [store.objects.read(digest) for digest in digests] == contents
    assert store.objects.verify(digests, content=True) == []


def test_memory_is_bounded(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    writer = store.writer(RUN)
    descriptor = os.open(path, os.O_RDONLY)
    tracemalloc.start()
    added = writer.add_descriptor(descriptor)
    writer.commit()
    output = os.open(tmp_path / "copy", os.O_RDWR | os.O_CREAT)
    assert store.objects.copy_to(added.digest, output, sparse=True) == 200 << 20
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    found = os.fstat(output)
    assert (found.st_size, found.st_blocks < 100) == (200 << 20, True)
    os.close(output)
    os.close(descriptor)


def test_the_empty_object(store: Store) -> None:
    writer = store.writer(RUN)
    assert writer.add_bytes(b"") == EMPTY
    writer.commit()
    assert store.objects.read(EMPTY) == b""
    assert store.objects.size(EMPTY) == 0


def test_what_is_likely_held_is_stored_where_it_is_not(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    content = os.urandom(1 << 20) * 3
    path.write_bytes(content)
    for limit in (1 << 30, 1 << 20):  # looked for first, and too large to be read twice
        monkeypatch.setattr("reenact.store.writer._LARGEST_READ_TWICE", limit)
        for expected in (limit == 1 << 30, False):
            with path.open("rb") as file:
                writer = store.writer(RUN)
                added = writer.add_descriptor(file.fileno(), likely_held=True)
                writer.commit()
            assert (added.new, added.size_bytes) == (expected, len(content))
            assert store.objects.read(added.digest) == content
