from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.errors import IntegrityError
from reenact.seal.entry import load, signed_part
from reenact.seal.keys import load_signing_key
from reenact.seal.log import Entry, Log
from reenact.store.backends.folder import FolderBackend
from reenact.store.backends.memory import MemoryBackend


def entry(number: int, kind: str = "run") -> Entry:
    return Entry(
        kind=kind,
        run_id=f"run-{number}",
        statement=of_bytes(b"%d" % number),
        key_id="k",
        time="2026-01-01T00:00:00.000000Z",
        replay_run_id="replay" if kind == "verdict" else None,
    )


def plain(found: Entry) -> Entry:
    """Give an entry as it was before it was placed."""
    return replace(found, index=None, previous=None, signature=None)


class Counting(MemoryBackend):
    """A place that counts questions."""

    asked = 0

    def exists(self, key: str) -> bool:
        self.asked += 1
        return super().exists(key)


def test_entries_come_back_in_order() -> None:
    log = Log(MemoryBackend())
    assert list(log.entries()) == []
    entries = [entry(number, kind) for number, kind in enumerate(("run", "verdict", "run"))]
    assert [log.append(one) for one in entries] == [0, 1, 2]
    assert [plain(found) for found in log.entries()] == entries


def test_entries_lie_where_the_design_says() -> None:
    place = MemoryBackend()
    Log(place).append(entry(1))
    assert list(place.list("")) == ["log/entries/000000000000"]
    assert json.loads(place.get("log/entries/000000000000"))["run_id"] == "run-1"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 7, 8, 9, 100, 1000, 1025])
def test_the_size_is_found_with_few_questions(size: int) -> None:
    place = Counting()
    for index in range(size):
        place.put_if_absent(f"log/entries/{index:012d}", b"{}")
    assert Log(place).size() == size
    assert place.asked <= 2 * size.bit_length() + 2


@pytest.mark.parametrize("known", [0, 1, 99, 100, 101, 5000])
def test_what_the_size_is_thought_to_be_makes_no_difference(known: int) -> None:
    place = Counting()
    for index in range(100):
        place.put_if_absent(f"log/entries/{index:012d}", b"{}")
    assert Log(place, known=known).size() == 100
    assert place.asked == 2 if known == 100 else place.asked <= 20
    assert Log(MemoryBackend(), known=known).size() == 0


def test_writers_that_race_leave_no_hole_and_lose_nothing(tmp_path: Path) -> None:
    log = Log(FolderBackend(tmp_path))
    indexes: list[int] = []
    start = threading.Barrier(4)

    def write(me: int) -> None:
        start.wait()
        indexes.extend(log.append(entry(me * 100 + number)) for number in range(15))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(indexes) == list(range(60))
    wanted = {f"run-{me * 100 + number}" for me in range(4) for number in range(15)}
    assert {one.run_id for one in log.entries()} == wanted


def test_an_entry_of_a_later_version_can_be_read() -> None:
    place = MemoryBackend()
    Log(place).append(entry(1))
    data = json.loads(place.get("log/entries/000000000000")) | {"witness": "later"}
    place.put_if_absent("log/entries/000000000001", json.dumps(data).encode())
    first, second = Log(place).entries()
    assert first == second
    assert plain(first) == entry(1)


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"\xff", b'{"kind":"run"}', b'{"kind":7}', b"null"])
def test_an_entry_that_cannot_be_read_is_told(data: bytes) -> None:
    place = MemoryBackend()
    Log(place).append(entry(1))
    place.put_if_absent("log/entries/000000000001", data)
    with pytest.raises(IntegrityError, match="log entry 1"):
        list(Log(place).entries())


def test_each_entry_names_the_one_before_it_and_its_place() -> None:
    place = MemoryBackend()
    log = Log(place)
    for number in range(3):
        log.append(entry(number))
    found = list(log.entries())
    assert [one.index for one in found] == [0, 1, 2]
    assert [one.previous for one in found] == [None, of_bytes(log.leaf(0)), of_bytes(log.leaf(1))]


def test_no_changed_byte_keeps_the_signature_of_an_entry(tmp_path: Path) -> None:
    key = load_signing_key(tmp_path, "s")
    log = Log(MemoryBackend())
    log.append(replace(entry(1), key_id=key.public.key_id, reason="größe"), key.sign)
    data = log.leaf(0)
    body = signed_part(data)
    assert body is not None
    assert key.public.verify(body[1], body[0])
    for place in range(len(data)):
        for mask in (1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80):
            changed = signed_part(data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :])
            assert changed is None or not key.public.verify(changed[1], changed[0]), place
    for spelled in (data + b" ", b" " + data, data.replace(b'"kind"', b'"kind":"x","kind"')):
        assert signed_part(spelled) is None


def test_a_tombstone_says_which_run_and_why() -> None:
    told = Entry(
        kind="tombstone", statement=of_bytes(b"x"), key_id="k", time="t", run_id="run-1", reason="asked to forget"
    )
    log = Log(MemoryBackend())
    log.append(told)
    assert plain(load(log.leaf(0), 0)) == told
