from __future__ import annotations

import os
import signal

import pytest

from reenact.actions.audit_service import serve


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_until_it_is_told_to_end(number: signal.Signals) -> None:
    done: list[int] = []
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    serve(lambda: done.append(1), 60.0, wait=wait)
    assert len(done) == 3
    assert all(0 <= seconds <= 60 for seconds in waited)
    assert signal.getsignal(number) is before


def test_it_ends_in_the_midst_of_an_audit() -> None:
    def once() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal came first")

    serve(once, 60.0)


def test_one_that_takes_longer_is_followed_at_once() -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(lambda: None, 0.0, wait=wait)
    assert waited == [0.0]
