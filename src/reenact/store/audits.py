"""Reports of audits, as signed bytes under their keys: ``audits/<audit id>.dsse.json``."""

from __future__ import annotations

from typing import Final

from reenact.ids import RunId, is_run_id
from reenact.store.interface import Backend

__all__ = ["AUDITS", "Audits"]

AUDITS: Final = "audits"
_SUFFIX: Final = ".dsse.json"


class Audits:
    """The reports that one store keeps."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def ids(self) -> list[str]:
        """Give the ids of all, the oldest first."""
        names = (name.removesuffix(_SUFFIX) for name in self._backend.names(AUDITS) if name.endswith(_SUFFIX))
        return sorted(name for name in names if is_run_id(name))

    def put(self, audit_id: RunId, envelope: bytes) -> bool:
        """Put a report; tell whether there was none of that id. Durable on return."""
        return self._backend.put_if_absent(_key(audit_id), envelope)

    def envelope(self, audit_id: str) -> bytes:
        """Give the signed bytes of a report; KeyAbsent when there is none."""
        return self._backend.get(_key(audit_id))


def _key(audit_id: str) -> str:
    return f"{AUDITS}/{audit_id}{_SUFFIX}"
