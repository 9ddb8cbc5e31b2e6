"""Audit again and again until told to end. A service manager starts it; SIGTERM and SIGINT end it at any moment, cleanly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["Ended", "serve"]


class Ended(BaseException):
    """The service was told to end; not an Exception, so that nothing between takes it for a failure."""


def serve(once: Callable[[], None], every_seconds: float, *, wait: Callable[[float], object] | None = None) -> None:
    """Do something now, and then again so long after each begin; returns when the process is told to end.

    One that takes longer than the interval is followed by the next at once. What is cut off is gone on with by the next
    service, as with any audit. To be called in the main thread.

    Args:
        once: One audit; must not raise for what can fail.
        every_seconds: From begin to begin, by a clock that nobody sets.
        wait: Lets seconds pass.
    """
    pause = wait or threading.Event().wait
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            begun = time.monotonic()
            once()
            pause(max(0.0, begun + every_seconds - time.monotonic()))
    except Ended:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Ended
