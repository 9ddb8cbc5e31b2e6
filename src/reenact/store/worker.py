"""One helper thread that does jobs in order, so that writing and compressing go on while the caller reads and hashes.

It gains because hashing, compressing and system calls let go of the interpreter's lock. Where no thread can be had (a limit
on processes), jobs are done at once by the caller: slower, and otherwise the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["BLOCK_BYTES", "Buffers", "Worker"]

BLOCK_BYTES: Final = 1 << 20
"""Size of the blocks that go through a worker: large against the cost of handing one over."""


class Worker:
    """A thread started with its first job. Jobs must not raise; they keep their errors for whoever submitted them."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._alone = False

    def submit(self, job: Callable[[], None]) -> None:
        """Do a job after all that were submitted before."""
        if self._thread is None and not self._alone:
            self._start()
        if self._alone:
            job()
        else:
            self._jobs.put(job)

    def drain(self) -> None:
        """Wait until everything submitted is done."""
        if self._thread is not None:
            done = threading.Event()
            self._jobs.put(done.set)
            done.wait()

    def close(self) -> None:
        """Finish everything submitted and end the thread; a later job starts a new one."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        # A daemon: a recorder that dies of an error must not hang on a thread that waits for work.
        thread = threading.Thread(target=self._run, name="reenact-store", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._alone = True
        else:
            self._thread = thread

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Buffers:
    """A fixed number of blocks of memory that go round: taken, filled, handed over, given back.

    Taking waits for one to be given back, which is what keeps a fast reader from filling the memory.
    """

    def __init__(self, count: int) -> None:
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._unmade = count

    def take(self) -> bytearray:
        """Get a free block of :data:`BLOCK_BYTES`; its content is whatever was in it."""
        if self._unmade and self._free.empty():
            self._unmade -= 1
            return bytearray(BLOCK_BYTES)
        return self._free.get()

    def give(self, block: bytearray) -> None:
        """Give a block back."""
        self._free.put(block)
