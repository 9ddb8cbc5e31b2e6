from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.digests import Digest
from reenact.ids import RunId
from reenact.store.opening import Store, open_store

RUN = RunId("01990000-0001-7000-8000-000000000001")


@pytest.fixture
def digest(store: Store) -> Digest:
    writer = store.writer(RUN)
    found = writer.add_bytes(b"content")
    writer.commit()
    store.close()
    return found


def cache(store: Store) -> Path:
    return Path(store.cache) / "objects.sqlite"


def test_a_deleted_cache_is_made_again(store: Store, digest: Digest) -> None:
    for path in Path(store.cache).iterdir():
        path.unlink()
    again = open_store(store.location, create=False)
    assert again.writer(RUN).holds(digest)
    assert again.objects.read(digest) == b"content"
    assert cache(store).exists()
    again.close()


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0" + bytes(5000), os.urandom(8192)])
def test_a_damaged_cache_is_made_again(store: Store, digest: Digest, data: bytes) -> None:
    cache(store).write_bytes(data)
    again = open_store(store.location, create=False)
    assert again.objects.read(digest) == b"content"
    assert again.writer(RUN).holds(digest)
    again.close()
    # It is whole again, not only circumvented.
    assert cache(store).read_bytes().startswith(b"SQLite format 3\0")


def test_every_cut_of_the_cache_is_survived(store: Store, digest: Digest) -> None:
    whole = cache(store).read_bytes()
    for length in range(0, len(whole), 509):
        cache(store).write_bytes(whole[:length])
        again = open_store(store.location, create=False)
        assert again.objects.read(digest) == b"content"
        again.close()


def test_a_cache_that_is_a_folder_is_done_without(store: Store, digest: Digest) -> None:
    cache(store).unlink()
    cache(store).mkdir()
    again = open_store(store.location, create=False)
    assert again.objects.read(digest) == b"content"
    assert again.writer(RUN).holds(digest)
    again.close()


def test_a_cache_of_another_version_is_made_anew(store: Store, digest: Digest) -> None:
    import sqlite3

    connection = sqlite3.connect(cache(store))
    connection.execute("DROP TABLE objects")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    again = open_store(store.location, create=False)
    assert again.objects.read(digest) == b"content"
    again.close()


def test_a_forged_cache_invents_nothing(store: Store, digest: Digest) -> None:
    import sqlite3

    forged = os.urandom(32)
    connection = sqlite3.connect(cache(store), isolation_level=None)
    connection.execute("INSERT INTO objects SELECT ?, id FROM packs", (forged,))
    connection.close()
    again = open_store(store.location, create=False)
    assert not again.writer(RUN).holds(Digest("sha256:" + forged.hex()))
    assert again.writer(RUN).holds(digest)
    again.close()


def test_a_pack_that_is_gone_is_not_claimed(store: Store, digest: Digest) -> None:
    (pack,) = Path(store.location).glob("packs/*.pack")
    pack.unlink()
    again = open_store(store.location, create=False)
    writer = again.writer(RUN)
    assert not writer.holds(digest)
    assert writer.add_bytes(b"content") == digest
    writer.commit()
    assert again.objects.read(digest) == b"content"
    again.close()


def test_a_damaged_index_of_a_pack_is_told(store: Store, digest: Digest) -> None:
    (path,) = Path(store.location).glob("packs/*.idx")
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.unlink()
    path.write_bytes(data)
    again = open_store(store.location, create=False)
    (finding,) = again.objects.verify([digest], content=False)
    assert path.stem in finding.detail
    again.close()


def test_it_survives_a_fork(store: Store, digest: Digest) -> None:
    assert store.objects.holds(digest)
    child = os.fork()
    if child == 0:
        good = store.objects.read(digest) == b"content" and store.writer(RUN).holds(digest)
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.objects.read(digest) == b"content"
