"""A rate is kept over any time, and no more calls are under way than may be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reenact.errors import KeyAbsent
from reenact.store.backends.memory import MemoryBackend
from reenact.store.backends.throttle import Pace, ThrottledBackend
from tests.unit.store.backends.test_retry import Time


def paced(rate: float) -> tuple[ThrottledBackend, Time]:
    time = Time()
    return ThrottledBackend(MemoryBackend(), Pace(rate, clock=time.clock, sleep=time.sleep), 0), time


def test_puts_wait_for_those_before() -> None:
    backend, time = paced(1000)
    for number in range(10):
        backend.put_if_absent(f"k{number}", b"x" * 500)
    # The first passes at once, and the last has its time still before it.
    assert sum(time.pauses) == pytest.approx(4.5)


def test_what_is_got_counts_as_what_is_put(tmp_path: Path) -> None:
    backend, time = paced(1000)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    backend.put_file_if_absent("k", path)
    backend.get("k")
    backend.get_range("k", 0, 500)
    backend.put_group({"a": b"x" * 250}, "b", b"x" * 250)
    assert time.now - 100 == pytest.approx(2.5)


def test_a_time_without_any_is_not_saved_up() -> None:
    backend, time = paced(1000)
    backend.put_if_absent("a", b"x" * 1000)
    time.now += 1000
    backend.put_if_absent("b", b"x" * 1000)
    backend.put_if_absent("c", b"x" * 1000)
    assert time.pauses == [pytest.approx(1.0)]


def test_no_more_calls_at_once_than_allowed() -> None:
    class Slow(MemoryBackend):
        under_way = most = 0

        def exists(self, key: str) -> bool:
            with self.lock:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
            self.gate.wait(0.02)
            with self.lock:
                self.under_way -= 1
            return super().exists(key)

        lock = threading.Lock()
        gate = threading.Event()

    place = Slow()
    backend = ThrottledBackend(place, None, 3)
    threads = [threading.Thread(target=backend.exists, args=("k",)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.most == 3


def test_a_call_that_fails_frees_its_place() -> None:
    backend = ThrottledBackend(MemoryBackend(), None, 1)
    for _ in range(3):
        with pytest.raises(KeyAbsent):
            backend.get("k")
