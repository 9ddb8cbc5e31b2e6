"""What is read in a row is fetched ahead, given out once, and is what the place has."""

from __future__ import annotations

import os
import threading

import pytest

from reenact.errors import KeyAbsent
from reenact.store.backends.ahead import AheadBackend
from reenact.store.backends.memory import MemoryBackend

RUNS = [f"run-{number:03}" for number in range(30)]


class Noting(MemoryBackend):
    """Notes which thread read what."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []
        self.others: list[str] = []

    def _note(self, text: str) -> None:
        (self.own if threading.current_thread() is threading.main_thread() else self.others).append(text)

    def get(self, key: str) -> bytes:
        self._note(key)
        return super().get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self._note(f"{key} {offset}")
        return MemoryBackend.get(self, key)[offset : offset + length]


def test_entries_of_the_log() -> None:
    place = Noting()
    for number in range(40):
        place.put_if_absent(f"log/entries/{number:012}", b"%d" % number)
    backend = AheadBackend(place)
    for number in range(40):
        assert backend.get(f"log/entries/{number:012}") == b"%d" % number
    assert place.own == [f"log/entries/{number:012}" for number in range(2)]
    for _ in range(2):
        with pytest.raises(KeyAbsent):
            backend.get(f"log/entries/{40:012}")
    place.put_if_absent(f"log/entries/{40:012}", b"new")
    assert backend.get(f"log/entries/{40:012}") == b"new"


@pytest.mark.parametrize("backwards", [False, True])
def test_one_run_after_the_other(*, backwards: bool) -> None:
    place = Noting()
    for name in RUNS:
        place.put_if_absent(f"runs/{name}/bundle", name.encode())
        place.put_if_absent(f"runs/{name}/view", name.encode() * 2)
    backend = AheadBackend(place)
    assert backend.names("runs") == RUNS
    for name in reversed(RUNS) if backwards else RUNS:
        assert backend.get(f"runs/{name}/bundle") == name.encode()
        assert backend.get(f"runs/{name}/view") == name.encode() * 2
    assert len(place.own) == 4
    assert len(place.others) == 2 * len(RUNS) - 4


def test_ranges_end_to_end() -> None:
    place = Noting()
    content = os.urandom(20 * (256 << 10) + 77)
    place.put_if_absent("objects/k", content)
    backend = AheadBackend(place)
    step = 256 << 10
    parts = [backend.get_range("objects/k", offset, step) for offset in range(0, len(content), step)]
    assert b"".join(parts) == content
    assert len(place.own) == 2


def test_what_is_no_row_is_not_guessed() -> None:
    place = Noting()
    for number in range(50):
        place.put_if_absent(f"log/entries/{number:012}", b"")
        place.put_if_absent(f"keys/{number}", b"")
    place.put_if_absent("objects/k", bytes(4 << 20))
    backend = AheadBackend(place)
    for number in (0, 7, 3, 20, 9):
        backend.get(f"log/entries/{number:012}")
        backend.get(f"keys/{number}")
        backend.get_range("objects/k", number * 77_777, 256 << 10)
        backend.get_range("objects/k", number * 10, 10)
    assert place.others == []


def test_what_is_replaced_is_read_anew() -> None:
    place = Noting()
    for number in range(20):
        place.put_if_absent(f"log/entries/{number:012}", b"old")
    backend = AheadBackend(place)
    for number in range(3):
        backend.get(f"log/entries/{number:012}")
    backend.delete(f"log/entries/{4:012}")
    with pytest.raises(KeyAbsent):
        backend.get(f"log/entries/{4:012}")
    backend.put_if_absent(f"log/entries/{4:012}", b"new")
    assert backend.get(f"log/entries/{4:012}") == b"new"


def test_a_forked_process_begins_anew() -> None:
    place = Noting()
    for number in range(40):
        place.put_if_absent(f"log/entries/{number:012}", b"%d" % number)
    backend = AheadBackend(place)
    for number in range(10):
        backend.get(f"log/entries/{number:012}")
    child = os.fork()
    if not child:
        good = all(backend.get(f"log/entries/{number:012}") == b"%d" % number for number in range(40))
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_refreshed_value_is_read_anew() -> None:
    place = Noting()
    for number in range(20):
        place.put_if_absent(f"log/entries/{number:012}", b"old")
    backend = AheadBackend(place)
    for number in range(3):
        backend.get(f"log/entries/{number:012}")
    backend.get(f"log/entries/{9:012}")  # all that were fetched ahead are there by now, or cancelled below
    place.delete(f"log/entries/{4:012}")
    place.put_if_absent(f"log/entries/{4:012}", b"new")
    backend.refresh(f"log/entries/{4:012}")
    assert backend.get(f"log/entries/{4:012}") == b"new"
