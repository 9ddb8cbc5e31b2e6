"""Holds, their releases, and tombstones, as bytes under their keys; what they say is :mod:`reenact.model.custody`'s."""

from __future__ import annotations

from typing import Final, NamedTuple

from reenact.errors import KeyAbsent
from reenact.ids import RunId, is_run_id
from reenact.store.interface import Backend

__all__ = ["HOLDS", "TOMBSTONES", "Custody", "HoldFiles"]

HOLDS: Final = "holds"
TOMBSTONES: Final = "tombstones"
_HOLD: Final = ".hold.json"
_RELEASE: Final = ".release.json"
_TOMBSTONE: Final = ".json"


class HoldFiles(NamedTuple):
    """A hold, and its release."""

    run_id: str
    hold_id: str
    hold: bytes | None
    """None where only the release is there."""
    release: bytes | None


class Custody:
    """The records of one store: ``holds/<run id>/<hold id>.hold.json`` and ``.release.json``, ``tombstones/<run id>.json``."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put_hold(self, run_id: RunId, hold_id: str, data: bytes) -> None:
        """Put a hold. Durable on return."""
        self._backend.put_if_absent(f"{HOLDS}/{run_id}/{hold_id}{_HOLD}", data)

    def put_release(self, run_id: RunId, hold_id: str, data: bytes) -> bool:
        """Put the release of a hold unless there is one; tell whether it was put. Durable on return."""
        return self._backend.put_if_absent(f"{HOLDS}/{run_id}/{hold_id}{_RELEASE}", data)

    def release(self, run_id: RunId, hold_id: str) -> bytes:
        """Give the release of a hold; KeyAbsent when there is none."""
        return self._backend.get(f"{HOLDS}/{run_id}/{hold_id}{_RELEASE}")

    def withdraw_hold(self, run_id: RunId, hold_id: str) -> None:
        """Take a hold away that was not logged: what it was to protect is being pruned already."""
        self._backend.delete(f"{HOLDS}/{run_id}/{hold_id}{_HOLD}")

    def holds(self, run_id: RunId | None = None) -> list[HoldFiles]:
        """Give the holds of a run, or of all, released or not, sorted."""
        found: dict[tuple[str, str], dict[str, bytes]] = {}
        for key in [*self._backend.list(f"{HOLDS}/{run_id}/" if run_id else f"{HOLDS}/")]:
            _, run, name = key.split("/", 2)
            for suffix in (_HOLD, _RELEASE):
                if name.endswith(suffix):
                    try:
                        found.setdefault((run, name.removesuffix(suffix)), {})[suffix] = self._backend.get(key)
                    except KeyAbsent:
                        continue
        return [HoldFiles(*names, files.get(_HOLD), files.get(_RELEASE)) for names, files in sorted(found.items())]

    def put_tombstone(self, run_id: RunId, data: bytes) -> bool:
        """Put a tombstone unless there is one; tell whether it was put. Durable on return."""
        return self._backend.put_if_absent(self._tombstone(run_id), data)

    def tombstone(self, run_id: RunId) -> bytes | None:
        """Give the tombstone of a run, if there is one."""
        try:
            return self._backend.get(self._tombstone(run_id))
        except KeyAbsent:
            return None

    def withdraw_tombstone(self, run_id: RunId) -> None:
        """Take a tombstone away that was not logged: the run stays after all."""
        self._backend.delete(self._tombstone(run_id))

    def tombstones(self) -> list[RunId]:
        """Give the ids of all runs that have a tombstone."""
        names = (name.removesuffix(_TOMBSTONE) for name in self._backend.names(TOMBSTONES))
        return [RunId(name) for name in names if is_run_id(name)]

    @staticmethod
    def _tombstone(run_id: RunId) -> str:
        return f"{TOMBSTONES}/{run_id}{_TOMBSTONE}"
