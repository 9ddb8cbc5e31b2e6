"""Many questions after single values are few requests, and every answer is one that the place gave."""

from __future__ import annotations

import random

import pytest

from reenact.errors import KeyAbsent
from reenact.store.backends.listed import ListedBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.testing.counting import CountingBackend


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def full(count: int) -> tuple[CountingBackend, ListedBackend, Clock]:
    place, clock = CountingBackend(MemoryBackend()), Clock()
    for number in range(count):
        place.inner.put_if_absent(f"objects/{number:06}", bytes(number % 7))
    return place, ListedBackend(place, clock=clock), clock


def test_few_requests_answer_many_questions() -> None:
    place, backend, _ = full(5000)
    numbers = list(range(5000))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        assert backend.exists(f"objects/{number:06}")
        assert backend.size(f"objects/{number:06}") == number % 7
    assert place.calls["look"] <= 40
    assert place.calls["list"] <= 6


def test_few_questions_list_nothing() -> None:
    place, backend, _ = full(5000)
    for number in range(16):
        assert backend.exists(f"objects/{number:06}")
    assert place.calls == {"look": 16}


def test_no_more_is_listed_than_twice_what_is_asked() -> None:
    place, backend, _ = full(100_000)
    chance = random.Random(2)
    for _ in range(100):
        assert backend.exists(f"objects/{chance.randrange(100_000):06}")
    assert place.calls["list"] <= 100
    assert place.calls["look"] <= 100


def test_absence_is_asked_for() -> None:
    place, backend, _ = full(100)
    for _ in range(50):
        assert not backend.exists("objects/nothing")
    assert place.calls["look"] == 50
    place.inner.put_if_absent("objects/nothing", b"now")
    assert backend.exists("objects/nothing")
    assert backend.size("objects/nothing") == 3


def test_what_was_seen_is_forgotten_after_a_minute() -> None:
    place, backend, clock = full(100)
    for number in range(100):
        assert backend.exists(f"objects/{number:06}")
    place.inner.delete("objects/000050")
    clock.now = 61.0
    assert not backend.exists("objects/000050")
    with pytest.raises(KeyAbsent):
        backend.size("objects/000050")


@pytest.mark.parametrize("lease", ["writers/0190.abc", "_gezdgnbv/_gezd"])
def test_what_was_seen_before_a_lease_is_not_relied_upon(lease: str) -> None:
    """A sweep that did not wait for it may have deleted what was there then."""
    place, backend, _ = full(100)
    for number in range(100):
        assert backend.exists(f"objects/{number:06}")
    place.inner.delete("objects/000050")
    backend.put_if_absent(lease, b"")
    assert not backend.exists("objects/000050")


def test_what_is_deleted_here_is_gone_at_once() -> None:
    _, backend, _ = full(100)
    for number in range(100):
        assert backend.exists(f"objects/{number:06}")
    backend.delete("objects/000050")
    assert not backend.exists("objects/000050")


def test_other_folders_are_asked_one_by_one() -> None:
    """The log grows by a value a run, and who looks for its end skips most of them."""
    place, backend, _ = full(0)
    for number in range(50):
        place.inner.put_if_absent(f"log/entries/{number:06}", b"")
        assert backend.exists(f"log/entries/{number:06}")
    assert place.calls == {"look": 50}
