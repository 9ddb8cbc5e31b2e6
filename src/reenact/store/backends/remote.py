"""A backend in a bucket for a process that forks: each process has a connection of its own.

The library's threads are in the process that first used it. A child forked from that one waits for them for ever, so it
speaks through a process that is started anew (:mod:`reenact.store.backends.relay`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.bucket_library import usable_here
from reenact.store.interface import Backend

__all__ = ["RemoteBackend"]

_inherited: Final[list[Backend]] = []
"""Connections made before a fork: of no use to the child, and kept from its garbage collector, as their ends may wait for
threads that it does not have."""


class RemoteBackend(ForwardingBackend):
    """Stands for the connection of the process that asks."""

    def __init__(self, direct: Callable[[], Backend], relayed: Callable[[], Backend]) -> None:
        """Connect.

        Args:
            direct: Connects by the library.
            relayed: Connects by a process of its own.

        Raises:
            StoreError: there can be no connection, for the reason given.
        """
        self._direct, self._relayed = direct, relayed
        self._process = os.getpid()
        self._connection = self._connect()

    @property
    def inner(self) -> Backend:
        """This process's connection."""
        process = os.getpid()
        if process != self._process:
            _inherited.append(self._connection)
            self._process = process
            self._connection = self._connect()
        return self._connection

    @inner.setter
    def inner(self, _: Backend) -> None:
        raise AttributeError("it depends on the process")

    def _connect(self) -> Backend:
        return self._direct() if usable_here() else self._relayed()
