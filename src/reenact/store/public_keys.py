"""The public keys of a store's signers, as bytes under their ids; what they mean is :mod:`reenact.seal`'s."""

from __future__ import annotations

from typing import Final

from reenact.errors import ValueDamaged
from reenact.store.interface import Backend

__all__ = ["PublicKeyFolder"]

_FOLDER: Final = "keys"
_SUFFIX: Final = ".json"
_EVENTS: Final = "log/keys"
_DIGITS: Final = 12
"""As the names of log entries have."""


class PublicKeyFolder:
    """Records of public keys, ``keys/<key id>.json``, and copies of the log's entries about them, ``log/keys/<index>``."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put(self, key_id: str, record: bytes) -> bool:
        """Put a record unless there is one; tell whether it was put."""
        return self._backend.put_if_absent(self._key(key_id), record)

    def get(self, key_id: str) -> bytes:
        """Give a record; KeyAbsent when there is none."""
        return self._backend.get(self._key(key_id))

    def exists(self, key_id: str) -> bool:
        """Tell whether there is a record."""
        return self._backend.exists(self._key(key_id))

    def ids(self) -> list[str]:
        """Give the ids of all keys, sorted."""
        return [name.removesuffix(_SUFFIX) for name in self._backend.names(_FOLDER) if name.endswith(_SUFFIX)]

    def put_event(self, index: int, entry: bytes) -> bool:
        """Put a copy of a log entry about a key where it is found without reading the log; tell whether it was put."""
        return self._backend.put_if_absent(f"{_EVENTS}/{index:0{_DIGITS}d}", entry)

    def events(self) -> list[tuple[int, bytes]]:
        """Give the copies of log entries about keys, in the order of the log, each with its index; empty where one is damaged."""
        names = [n for n in self._backend.names(_EVENTS) if len(n) == _DIGITS and n.isdecimal()]
        return [(int(name), self._event(name)) for name in names]

    def _event(self, name: str) -> bytes:
        try:
            return self._backend.get(f"{_EVENTS}/{name}")
        except ValueDamaged:
            return b""

    @staticmethod
    def _key(key_id: str) -> str:
        return f"{_FOLDER}/{key_id}{_SUFFIX}"
