"""Trying again: bounded, only what may pass, and with the truth about what was put."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.errors import KeyAbsent, StoreError, StoreUnavailable
from reenact.store.backends.memory import MemoryBackend
from reenact.store.backends.retry import RetryingBackend
from reenact.testing.faults import Fault, FaultyBackend, in_turn

_ALWAYS: list[Fault] = ["before"] * 1000
_NEVER_ANSWERS: list[Fault] = ["after"] * 1000


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def patient(
    *faults: Fault | None, seconds: float = 60.0, time: Time | None = None
) -> tuple[MemoryBackend, RetryingBackend]:
    place, time = MemoryBackend(), time or Time()
    faulty = FaultyBackend(place, in_turn(*faults))
    return place, RetryingBackend(faulty, seconds, clock=time.clock, sleep=time.sleep)


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_put_whose_answer_was_lost_was_put_by_this_caller(fault: Fault) -> None:
    place, backend = patient(fault)
    assert backend.put_if_absent("k", b"mine")
    assert place.get("k") == b"mine"


@pytest.mark.parametrize("fault", ["before", "after"])
def test_another_value_is_another_callers(fault: Fault) -> None:
    place, backend = patient(fault)
    place.put_if_absent("k", b"theirs")
    assert not backend.put_if_absent("k", b"mine")
    assert place.get("k") == b"theirs"


def test_without_a_fault_an_equal_value_is_another_callers() -> None:
    place, backend = patient()
    place.put_if_absent("k", b"same")
    assert not backend.put_if_absent("k", b"same")


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize(
    ("there", "put"), [(None, True), (b"x" * 5_000_000, True), (b"y" * 5_000_000, False), (b"x", False)]
)
def test_a_file_whose_put_was_not_answered(tmp_path: Path, fault: Fault, there: bytes | None, *, put: bool) -> None:
    place, backend = patient(fault)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000_000)
    if there is not None:
        place.put_if_absent("k", there)
    assert backend.put_file_if_absent("k", path) is put
    assert not path.exists()
    assert place.get("k") == (there or b"x" * 5_000_000)


def test_pauses_grow_and_end() -> None:
    time = Time()
    _, backend = patient(*_ALWAYS, seconds=60.0, time=time)
    with pytest.raises(StoreUnavailable):
        backend.get("k")
    assert sum(time.pauses) <= 60
    assert len(time.pauses) in range(8, 20)
    assert 0.05 <= time.pauses[0] <= 0.1
    assert all(later > earlier / 2 for earlier, later in zip(time.pauses, time.pauses[1:], strict=False))
    assert max(time.pauses) <= 10


def test_no_time_means_one_attempt() -> None:
    time = Time()
    _, backend = patient("before", seconds=0.0, time=time)
    with pytest.raises(StoreUnavailable):
        backend.exists("k")
    assert time.pauses == []
    assert not backend.exists("k")


def test_what_will_not_pass_is_not_tried_again() -> None:
    class Denying(MemoryBackend):
        asked = 0

        def get(self, key: str) -> bytes:
            self.asked += 1
            raise KeyAbsent(key) if self.asked == 1 else StoreError("denied")

    place, time = Denying(), Time()
    backend = RetryingBackend(place, 60.0, clock=time.clock, sleep=time.sleep)
    with pytest.raises(KeyAbsent):
        backend.get("k")
    with pytest.raises(StoreError, match="denied"):
        backend.get("k")
    assert place.asked == 2
    assert time.pauses == []


@pytest.mark.parametrize("faults", [["before"], ["after"], ["after", "after", "before", "after"]])
def test_a_listing_that_breaks_off_goes_on_where_it_was(faults: list[Fault]) -> None:
    place, backend = patient(*faults)
    keys = [f"k/{number:02}" for number in range(20)]
    for key in keys:
        place.put_if_absent(key, b"")
    assert list(backend.list("k/")) == keys
    assert [item.key for item in backend.listing("k/")] == keys


def test_a_listing_that_never_ends_is_given_up() -> None:
    place, backend = patient(*_NEVER_ANSWERS)
    place.put_if_absent("a", b"")
    place.put_if_absent("b", b"")
    with pytest.raises(StoreUnavailable):
        list(backend.list(""))
