"""Changing who can read a store, and what the keys of a store are held against."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from reenact.errors import StoreKeysChanged, StoreLocked, UsageError
from reenact.store.backends.cache import CachingBackend
from reenact.store.backends.encrypted import EncryptedBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.crypt import age
from reenact.store.crypt.audience import Audience, audience, change
from reenact.store.crypt.identities import own_recipient
from reenact.store.crypt.keyring import KeyRing, new_key_ring
from reenact.store.crypt.records import KeyRecords, sealed_record
from reenact.store.crypt.values import epoch_of
from reenact.store.opening import Store, open_store


def other(tmp_path: Path, name: str = "other") -> tuple[str, Path]:
    """Make somebody's identity."""
    secret, recipient = age.new_identity()
    path = tmp_path / name
    path.write_text(secret)
    return recipient, path


def set_audience(store: Store, recipients: Sequence[str], *, new_epoch: bool = False) -> Audience:
    return change(store.backend, store.id, os.environ, lambda _: recipients, new_epoch=new_epoch)


def ring_of(store: Store) -> KeyRing:
    assert store.sealed is not None
    return store.sealed.ring


def put_record(store: Store, key: str, data: bytes) -> None:
    path = Path(store.location, key)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def test_whoever_is_added_reads_everything(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_recipient(os.environ)
    store.backend.put_if_absent("before", b"1")
    recipient, path = other(tmp_path)
    found = set_audience(store, [mine, recipient])
    assert (found.recipients, found.generation, found.ring.epoch) == (tuple(sorted((mine, recipient))), 2, 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REENACT_IDENTITY", str(path))
    assert open_store(store.location, create=False).backend.get("before") == b"1"


def test_whoever_is_removed_reads_nothing_new(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_recipient(os.environ)
    recipient, path = other(tmp_path)
    set_audience(store, [mine, recipient])
    with monkeypatch.context() as theirs:
        theirs.setenv("HOME", str(tmp_path))
        theirs.setenv("REENACT_IDENTITY", str(path))
        removed = open_store(store.location, create=False)
        removed.backend.put_if_absent("before", b"1")
    found = set_audience(store, [mine], new_epoch=True)
    assert (found.generation, found.ring.epoch) == (3, 2)
    again = open_store(store.location, create=False)
    again.backend.put_if_absent("after", b"2")
    assert (again.backend.get("before"), again.backend.get("after")) == (b"1", b"2")
    with monkeypatch.context() as theirs:
        theirs.setenv("HOME", str(tmp_path))
        theirs.setenv("REENACT_IDENTITY", str(path))
        with pytest.raises(StoreLocked):
            open_store(store.location, create=False)
        # What is still open there, reads what it could read, and nothing else.
        assert removed.backend.get("before") == b"1"
        with pytest.raises(Exception, match="key of its epoch 2 cannot be had") as caught:
            removed.backend.get("after")
        assert getattr(caught.value, "exit_code", None) == 4


def test_a_reader_that_lives_long_follows_into_a_new_epoch(store: Store) -> None:
    reader = open_store(store.location, create=False)
    set_audience(store, [own_recipient(os.environ)], new_epoch=True)
    open_store(store.location, create=False).backend.put_if_absent("new", b"content")
    assert reader.backend.get("new") == b"content"
    assert ring_of(reader).epoch == 2
    reader = open_store(store.location, create=False)
    assert reader.backend.get_range("new", 3, 2) == b"te"


def test_nothing_is_written_for_no_change(store: Store) -> None:
    mine = own_recipient(os.environ)
    assert set_audience(store, [mine]).generation == 1
    assert audience(store.backend, store.id, os.environ).recipients == (mine,)


def test_nobody_locks_out_themselves(store: Store, tmp_path: Path) -> None:
    recipient, _ = other(tmp_path)
    for recipients in ([], [recipient]):
        with pytest.raises(UsageError, match="none of your own"):
            set_audience(store, recipients)
    assert KeyRecords(store.backend, store.id).latest().generation == 1


def test_changes_at_once_all_count(store: Store, tmp_path: Path) -> None:
    names = [other(tmp_path, f"other-{number}")[0] for number in range(6)]
    start = threading.Barrier(len(names))

    def add(name: str) -> None:
        start.wait()
        change(store.backend, store.id, os.environ, lambda old: [*old, name], new_epoch=False)

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audience(store.backend, store.id, os.environ)
    assert set(found.recipients) == {own_recipient(os.environ), *names}
    assert found.generation == 1 + len(names)


def test_keys_of_an_outsider_are_refused(store: Store) -> None:
    """Anybody can encrypt for a public key, so whoever can write to the store can put keys of their own there."""
    mine = own_recipient(os.environ)
    forged = new_key_ring(store.id)
    for ring in (forged, forged.with_new_epoch()):
        put_record(store, *sealed_record(ring, 2, [mine]))
        with pytest.raises(StoreKeysChanged, match="not those it had"):
            open_store(store.location, create=False)


def test_keys_of_somebody_removed_are_refused(store: Store) -> None:
    """They know the keys of before, and not those of after."""
    mine = own_recipient(os.environ)
    known = ring_of(store)
    set_audience(store, [mine], new_epoch=True)
    forged = known.with_new_epoch()
    put_record(store, *sealed_record(forged, 3, [mine]))
    with pytest.raises(StoreKeysChanged, match="not those it had"):
        open_store(store.location, create=False)


def test_keys_that_are_put_back_are_refused(store: Store) -> None:
    set_audience(store, [own_recipient(os.environ)], new_epoch=True)
    Path(store.location, "encryption", store.id, "000002.json").unlink()
    with pytest.raises(StoreKeysChanged, match="expected epoch 2") as caught:
        open_store(store.location, create=False)
    assert caught.value.exit_code == 4
    assert ".epoch" in caught.value.hint()


def test_a_record_under_another_number_is_refused(store: Store) -> None:
    folder = Path(store.location, "encryption", store.id)
    first = (folder / "000001.json").read_bytes()
    (folder / "000002.json").write_bytes(first)
    with pytest.raises(StoreKeysChanged, match="number 1"):
        open_store(store.location, create=False)
    (folder / "000002.json").write_bytes(first.replace(b'"generation":1', b'"generation":2'))
    with pytest.raises(StoreKeysChanged, match="open part"):
        open_store(store.location, create=False)


def test_a_name_that_is_added_by_hand_is_refused(store: Store, tmp_path: Path) -> None:
    """It would read nothing yet, but be a recipient of the next record."""
    path = Path(store.location, "encryption", store.id, "000001.json")
    record = json.loads(path.read_bytes())
    record["recipients"] = sorted((*record["recipients"], other(tmp_path)[0]))
    put_record(store, str(path.relative_to(store.location)), json.dumps(record).encode())
    with pytest.raises(StoreKeysChanged, match="open part"):
        open_store(store.location, create=False)


def test_keys_of_another_store_are_refused(store: Store) -> None:
    mine = own_recipient(os.environ)
    key, data = sealed_record(new_key_ring("00000000-0000-4000-8000-000000000009"), 1, [mine])
    put_record(store, f"encryption/{store.id}/{key.rpartition('/')[2]}", data)
    with pytest.raises(StoreKeysChanged, match="open part"):
        open_store(store.location, create=False)


def test_records_that_are_lost_are_told(store: Store) -> None:
    Path(store.location, "encryption", store.id, "000001.json").unlink()
    with pytest.raises(StoreKeysChanged, match="lost the record"):
        open_store(store.location, create=False)


def test_a_damaged_note_is_told(store: Store, home: Path) -> None:
    note = home / ".config/reenact/keys" / f"{store.id}.epoch"
    assert note.stat().st_mode & 0o777 == 0o600
    note.write_text("one two\n")
    with pytest.raises(StoreKeysChanged, match="cannot be read") as caught:
        open_store(store.location, create=False)
    assert str(note) in caught.value.hint()
    note.unlink()
    assert open_store(store.location, create=False).id == store.id


def test_values_are_renewed_and_stay_what_they_are(store: Store) -> None:
    contents = {f"folder/{number}": os.urandom(number * 50_000) for number in range(5)}
    for key, content in contents.items():
        store.backend.put_if_absent(key, content)
    set_audience(store, [own_recipient(os.environ)], new_epoch=True)
    renewing = open_store(store.location, create=False).sealed
    assert renewing is not None
    assert [renewing.renew(key) for key in contents] == [True] * 5
    assert [renewing.renew(key) for key in contents] == [False] * 5
    assert not renewing.renew("nothing")
    assert not renewing.renew("store.json")
    fresh = open_store(store.location, create=False)
    for key, content in contents.items():
        # One that has the old header at hand, one that has not.
        assert store.backend.get_range(key, 10, 1 << 20) == content[10:]
        assert fresh.backend.get(key) == content
        assert epoch_of(renewing.inner.get(renewing._hide(key))) == 2
    assert not any(".tmp-" in name for name in os.listdir(Path(store.location, "staging")))


def test_readers_never_fail_while_values_are_renewed(store: Store) -> None:
    """Ranges are read in two steps; in between the value may have become another."""
    keys = [f"folder/{number}" for number in range(8)]
    content = os.urandom(200_000)
    for key in keys:
        store.backend.put_if_absent(key, content)
    done = threading.Event()
    problems: list[BaseException] = []

    def read() -> None:
        backend = open_store(store.location, create=False).backend
        try:
            while not done.is_set():
                for key in keys:
                    assert backend.get_range(key, 70_000, 80_000) == content[70_000:150_000]
                    assert backend.get(key) == content
                    assert backend.exists(key)
        except BaseException as error:  # noqa: BLE001 - told by the test
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(12):
        set_audience(store, [own_recipient(os.environ)], new_epoch=True)
        sealed = open_store(store.location, create=False).sealed
        assert sealed is not None
        assert all(sealed.renew(key) for key in keys)
    done.set()
    for reader in readers:
        reader.join()
    assert problems == []


def test_a_damaged_value_is_not_renewed(store: Store) -> None:
    store.backend.put_if_absent("k", b"content")
    set_audience(store, [own_recipient(os.environ)], new_epoch=True)
    sealed = open_store(store.location, create=False).sealed
    assert sealed is not None
    path = Path(store.location, sealed._hide("k"))
    path.chmod(0o600)
    whole = path.read_bytes()
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    path.write_bytes(damaged)
    with pytest.raises(Exception, match="chunk 0") as caught:
        sealed.renew("k")
    assert getattr(caught.value, "exit_code", None) == 4
    assert path.read_bytes() == damaged


def test_what_killed_renewals_left_is_deleted_in_time(store: Store) -> None:
    assert store.sealed is not None
    folder = Path(store.location, "staging")
    folder.mkdir(exist_ok=True)
    for name, age_seconds in ((".tmp-renew-1-a.sealed", 90_000), (".tmp-renew-2-b.sealed", 10), (".tmp-other", 90_000)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age_seconds,) * 2)
    assert store.sealed.discard_unfinished() == 1
    assert sorted(os.listdir(folder)) == [".tmp-other", ".tmp-renew-2-b.sealed"]


def test_copies_kept_on_this_host_do_not_hide_what_was_renewed_elsewhere(tmp_path: Path) -> None:
    """The header of before is at hand, the chunks of before are not, or the other way round."""
    place = MemoryBackend()
    ring = new_key_ring("00000000-0000-4000-8000-000000000001")
    newer = ring.with_new_epoch()
    content = os.urandom(300_000)
    EncryptedBackend(place, ring, str(tmp_path / "a")).put_if_absent("k", content)

    def elsewhere(folder: str) -> EncryptedBackend:
        copies = CachingBackend(place, str(tmp_path / folder), 1 << 30)
        return EncryptedBackend(copies, newer, str(tmp_path / "b"))

    readers = [elsewhere("copies"), elsewhere("copies")]
    assert readers[0].get_range("k", 0, 10) == content[:10]
    assert EncryptedBackend(place, newer, str(tmp_path / "c")).renew("k")
    for reader in (*readers, elsewhere("copies")):
        assert reader.get_range("k", 200_000, 10) == content[200_000:200_010]
        assert reader.get_range("k", 0, 10) == content[:10]
        assert reader.get("k") == content
