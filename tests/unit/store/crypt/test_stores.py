"""Whole encrypted stores: what is above the encryption works as on a plain one, and what is below it tells nothing."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from reenact.digests import Digest
from reenact.store.crypt.identities import own_recipient
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.writer import temporary_prefix
from tests.shelf import RUN, Shelf

POLICY = DeltaPolicy(from_bytes=1)


def shelf_of(location: str) -> Shelf:
    open_store(location, create=True, encrypt_to=[own_recipient(os.environ)]).close()
    return Shelf(location, POLICY)


def size_of(location: str) -> int:
    return sum(
        path.stat().st_size
        for name in ("objects", "packs")
        for path in Path(location, name).rglob("*")
        if path.is_file()
    )


def fill(shelf: Shelf) -> dict[Digest, bytes]:
    """Put versions of a table, small objects, something that does not compress, and everything a second time."""
    found = shelf.put_chain(4)
    chance = Random(1)
    for content in (b"", b"small" * 50, chance.randbytes(300_000), chance.randbytes(1_500_000)):
        found[shelf.put(content)] = content
    before = size_of(shelf.store.location)
    for content in found.values():
        shelf.put(content)
    assert size_of(shelf.store.location) == before
    return found


def test_deduplication_and_deltas_save_as_much(tmp_path: Path) -> None:
    plain, sealed = Shelf(str(tmp_path / "plain"), POLICY), shelf_of(str(tmp_path / "sealed"))
    contents = fill(plain)
    assert fill(sealed) == contents
    assert {sealed.form(digest) for digest in contents} == {plain.form(digest) for digest in contents}
    assert [sealed.depth(digest) for digest in contents] == [plain.depth(digest) for digest in contents]
    assert max(sealed.depth(digest) for digest in contents) > 0
    small, large = size_of(plain.store.location), size_of(sealed.store.location)
    # 88 bytes for each value, 16 for each 64 KiB.
    assert small < large < small * 1.001 + 30 * 88
    for digest, content in contents.items():
        assert sealed.copy(digest) == content
    assert sealed.store.objects.verify(contents, content=True) == []
    fresh = open_store(sealed.store.location, create=False)
    assert fresh.objects.verify(contents, content=False) == []
    plain.close()
    sealed.close()


def test_the_files_of_a_store_tell_no_digest_and_no_content(tmp_path: Path) -> None:
    shelf = shelf_of(str(tmp_path / "store"))
    contents = fill(shelf)
    names = list(shelf.store.backend.list(""))
    packs = {name.partition("/")[2].partition(".")[0] for name in names if name.startswith("packs/")}
    digests = {digest.removeprefix("sha256:") for digest in contents} | packs
    assert len(digests) > 8
    searched = 0
    for path in Path(shelf.store.location).rglob("*"):
        name = str(path.relative_to(shelf.store.location)).replace("/", "")
        data = path.read_bytes() if path.is_file() else b""
        for digest in digests:
            for piece in (digest[:16], digest[2:18], digest[-16:]):
                assert piece not in name
                assert piece.encode() not in data
            assert bytes.fromhex(digest)[:8] not in data
        assert b"north" not in data
        assert b"small" not in data
        searched += path.is_file()
    assert searched > 10
    shelf.close()


def test_a_writer_that_is_killed_leaves_nothing_readable_in_the_store(store: Store) -> None:
    writer = store.writer(RUN)
    secret = b"the quick brown fox " * 40_000
    writer.add_bytes(secret)
    writer.add_bytes(b"small one")
    writer._worker.drain()
    files = [path for path in Path(store.location).rglob("*") if path.is_file()]
    assert not any(b"quick brown" in path.read_bytes() for path in files)
    assert any(Path(store.staging()).iterdir())
    # What encrypting leaves when it is killed lies in the store, under the same prefix.
    left = Path(store.location, "staging", f"{temporary_prefix(RUN)}left.sealed")
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    assert store.discard_unfinished(RUN) >= 2
    assert not left.exists()
    assert list(Path(store.staging()).iterdir()) == []
    writer.abandon()


def test_a_pack_cut_short_is_put_anew(store: Store, location: str) -> None:
    """The length of a value is read off its file, so one that was cut short is no match for its index."""
    content = b"small object" * 10

    def add(target: Store) -> Digest:
        writer = target.writer(RUN)
        digest = writer.add_bytes(content)
        writer.commit()
        target.close()
        return digest

    digest = add(store)
    assert store.sealed is not None
    (key,) = [k for k in store.backend.list("packs/") if k.endswith(".pack")]
    path = Path(location, store.sealed._hide(key))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-20])
    again = open_store(location, create=False)
    assert add(again) == digest
    assert open_store(location, create=False).objects.read(digest) == content


def test_a_value_put_where_another_was_swept_is_the_one_read(store: Store) -> None:
    """Headers are remembered for reading ranges; that of a value that is gone must not serve for the next."""
    other = open_store(store.location, create=False).backend
    store.backend.put_if_absent("k", b"the first value")
    assert other.get_range("k", 4, 5) == b"first"
    store.backend.delete("k")
    store.backend.put_if_absent("k", b"another one")
    assert other.get_range("k", 0, 7) == b"another"
    assert store.backend.get_range("k", 0, 7) == b"another"


def test_strangers_among_the_files_are_passed_over(store: Store, location: str) -> None:
    store.backend.put_if_absent("packs/a", b"1")
    Path(location, "packs", "notes.txt").write_text("x")
    Path(location, "packs", "_aaaa").write_text("x")
    assert list(store.backend.list("packs/")) == ["packs/a"]
    assert list(store.backend.names("packs")) == ["a"]


@pytest.mark.parametrize("content", [b"", b"x" * 10])
def test_ranges_of_what_was_cut_short_are_refused(store: Store, location: str, content: bytes) -> None:
    whole = content + os.urandom(200_000)
    store.backend.put_if_absent("k", whole)
    assert store.sealed is not None
    path = Path(location, store.sealed._hide("k"))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[: 88 + 2 * ((64 << 10) + 16)])  # at the end of a chunk
    backend = open_store(location, create=False).backend
    assert backend.get_range("k", 0, 1000) == whole[:1000]
    for offset, length in ((0, 1 << 20), (120_000, 50_000), (150_000, 10)):
        with pytest.raises(Exception, match="damaged") as caught:
            backend.get_range("k", offset, length)
        assert getattr(caught.value, "code", "") == "value-damaged"
