"""Who is at work in a store: what keeps a sweep from taking away what a writer has just relied upon. No locks.

A writer puts a lease, ``writers/<run id>.<random>``, *before* it first asks whether the store has something, and reads then
what is condemned (``condemned/<sweep id>``, one key a line): that counts as absent for it. A sweep puts its list *before* it
looks for leases, waits until those it finds are gone, and marks again. Whoever came before the list is waited for; whoever
comes after it relies on nothing that is in it. So no pause of either, however long, loses anything.

A lease ends when the bundle of its run is put. One left by a process that was killed is known for dead on the same host at
once; from anywhere else, only by its age.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reenact import clock
from reenact.errors import KeyAbsent
from reenact.store.interface import Backend

__all__ = ["CONDEMNED", "WRITERS", "Lease", "Leases", "condemned", "describe_process", "is_gone"]

WRITERS: Final = "writers"
CONDEMNED: Final = "condemned"

_KEPT: Final = "kept"
_STARTED_FIELD: Final = 19
"""Of /proc/<pid>/stat, counted from the state that follows the name in brackets (proc(5), field 22)."""


class Lease(NamedTuple):
    """Something that somebody at work has put."""

    key: str
    holder: Mapping[str, Any]
    """See :func:`describe_process`; empty when it cannot be read."""

    @property
    def subject(self) -> str:
        """What it is for: a run id, or the id of a sweep."""
        return self.key.rpartition("/")[2].partition(".")[0]

    @property
    def kept(self) -> bool:
        """Whether it is of no process, and stays until it is released."""
        return self.key.endswith(f".{_KEPT}")


class Leases:
    """The leases in one folder of a store."""

    def __init__(self, backend: Backend, folder: str = WRITERS) -> None:
        self._backend = backend
        self._folder = folder

    def take(self, subject: str) -> Lease:
        """Put a lease for a subject, in the name of this process. Durable, and seen by all, on return.

        Raises:
            StoreError: the store cannot be written.
        """
        holder = describe_process()
        key = f"{self._folder}/{subject}.{os.urandom(6).hex()}"
        self._backend.put_if_absent(key, json.dumps(holder, sort_keys=True).encode())
        return Lease(key, holder)

    def keep(self, subject: str) -> None:
        """Put a lease that outlives this process, until somebody releases it. Durable on return.

        Raises:
            StoreError: the store cannot be written.
        """
        holder = {"host": os.uname().nodename, "time": clock.timestamp()}
        self._backend.put_if_absent(f"{self._folder}/{subject}.{_KEPT}", json.dumps(holder, sort_keys=True).encode())

    def release(self, subject: str) -> None:
        """Take away all leases for a subject; also those of its processes that were killed.

        Raises:
            StoreError: the store cannot be written.
        """
        for key in [*self._backend.list(f"{self._folder}/{subject}.")]:
            self._backend.delete(key)

    def all(self) -> list[Lease]:
        """Give those that are there, whether their holders live or not.

        Raises:
            StoreError: the store cannot be read.
        """
        found = []
        for key in [*self._backend.list(f"{self._folder}/")]:
            try:
                found.append(Lease(key, _read(self._backend.get(key))))
            except KeyAbsent:
                continue  # its run has just ended
        return found


def condemned(backend: Backend) -> frozenset[str]:
    """Give the keys of all values that some sweep may delete at any moment. Ask only when a lease is there.

    Raises:
        StoreError: the store cannot be read.
    """
    found: set[str] = set()
    for name in [*backend.list(f"{CONDEMNED}/")]:
        try:
            _, *keys = backend.get(name).decode("ascii", "replace").splitlines()
        except (KeyAbsent, ValueError):
            continue  # the sweep has just ended; or a hand made an empty file
        found.update(keys)
    return frozenset(found)


def describe_process() -> dict[str, Any]:
    """Describe this process so that whoever sees the description on the same host can tell whether it lives."""
    pid = os.getpid()
    return {
        "boot": _content("/proc/sys/kernel/random/boot_id"),
        "host": os.uname().nodename,
        "namespace": _namespace(),
        "pid": pid,
        "started": _started(pid),
        "time": clock.timestamp(),
    }


def is_gone(holder: Mapping[str, Any]) -> bool:
    """Tell whether the process that was described is known to be gone; False when that cannot be told from here."""
    # A container's numbers mean other processes; both must be the same for a number to mean anything.
    if holder.get("boot") != _content("/proc/sys/kernel/random/boot_id") or holder.get("namespace") != _namespace():
        return False
    pid = holder.get("pid")
    return bool(holder["boot"]) and isinstance(pid, int) and _started(pid) != holder.get("started")


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Give when a process began, in clock ticks since boot; empty when it has ended, though nobody may have reaped it yet."""
    fields = _content(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[_STARTED_FIELD] if len(fields) > _STARTED_FIELD and fields[0] not in "ZX" else ""
