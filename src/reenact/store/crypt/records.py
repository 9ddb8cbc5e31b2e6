"""The records of a store's keys: who may unwrap them, and the keys themselves, wrapped.

``encryption/<store id>/<generation>.json``, generations counted from 1. The highest one holds; none is ever changed. Adding or
removing a recipient puts the next one, which is claimed by creating it: of two who do so at once, one starts over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from reenact import canonical
from reenact.errors import StoreKeysChanged
from reenact.store.crypt import age
from reenact.store.crypt.keyring import EPOCH_KEY_BYTES, NAMES_KEY_BYTES, KeyRing
from reenact.store.description import KEYS_FOLDER

if TYPE_CHECKING:
    from reenact.store.interface import Backend

__all__ = ["KeyRecord", "KeyRecords", "sealed_record"]

_SUFFIX: Final = ".json"
_HINT: Final = "restore the store's folder 'encryption' from a copy you trust"


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a store's keys."""

    generation: int
    recipients: tuple[str, ...]
    """Sorted."""
    wrapped: bytes
    """An age file of a :class:`_Secret`; base64 in JSON."""


class _Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrapped. It repeats what is beside it in the open, so that neither can be moved or changed."""

    store: str
    generation: int
    recipients: tuple[str, ...]
    names_key: bytes
    epochs: tuple[bytes, ...]


def sealed_record(ring: KeyRing, generation: int, recipients: Sequence[str]) -> tuple[str, bytes]:
    """Wrap a store's keys; give the key to put the record under, and the record."""
    names = tuple(sorted(set(recipients)))
    secret = _Secret(
        store=ring.store_id,
        generation=generation,
        recipients=names,
        names_key=ring.names_key,
        epochs=ring.epochs,
    )
    wrapped = age.wrap(msgspec.json.encode(secret), names)
    record = KeyRecord(generation=generation, recipients=names, wrapped=wrapped)
    return _key(ring.store_id, generation), canonical.dumps_plain(msgspec.to_builtins(record)) + b"\n"


def _key(store_id: str, generation: int) -> str:
    return f"{KEYS_FOLDER}/{store_id}/{generation:06d}{_SUFFIX}"


class KeyRecords:
    """The records of one store."""

    def __init__(self, backend: Backend, store_id: str) -> None:
        """Prepare.

        Args:
            backend: Where they are; they are not encrypted like values.
            store_id: Of the store.
        """
        self._backend, self._store_id = backend, store_id

    def latest(self) -> KeyRecord:
        """Give the record that holds.

        Raises:
            StoreKeysChanged: there is none, or it cannot be read.
        """
        names = self._backend.names(f"{KEYS_FOLDER}/{self._store_id}")
        generations = [int(name[: -len(_SUFFIX)]) for name in names if name.removesuffix(_SUFFIX).isdecimal()]
        if not generations:
            raise StoreKeysChanged(f"the store at {self._backend.location} has lost the record of its keys", hint=_HINT)
        generation = max(generations)
        try:
            record = msgspec.json.decode(self._backend.get(_key(self._store_id, generation)), type=KeyRecord)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._wrong(generation, str(error)) from error
        if record.generation != generation:
            raise self._wrong(generation, f"it says it is number {record.generation}")
        return record

    def unlock(self, record: KeyRecord, identities: Sequence[age.Identity]) -> KeyRing | None:
        """Unwrap the keys; None when that is for none of the identities to do.

        Raises:
            StoreKeysChanged: what was wrapped is not for this record.
        """
        data = age.unwrap(record.wrapped, identities) if identities else None
        if data is None:
            return None
        try:
            secret = msgspec.json.decode(data, type=_Secret)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._wrong(record.generation, str(error)) from error
        said = (secret.store, secret.generation, secret.recipients)
        lengths = {len(key) for key in secret.epochs}
        if said != (self._store_id, record.generation, record.recipients):
            raise self._wrong(record.generation, "its open part is not what was wrapped in it")
        if len(secret.names_key) != NAMES_KEY_BYTES or lengths != {EPOCH_KEY_BYTES}:
            raise self._wrong(record.generation, "its keys are not of the right lengths")
        return KeyRing(secret.store, secret.names_key, secret.epochs)

    def put(self, ring: KeyRing, generation: int, recipients: Sequence[str]) -> bool:
        """Put a record; False when somebody else has put that generation."""
        return self._backend.put_if_absent(*sealed_record(ring, generation, recipients))

    def _wrong(self, generation: int, why: str) -> StoreKeysChanged:
        return StoreKeysChanged(
            f"key record {generation} of the store at {self._backend.location} is not what was put there: {why}",
            hint=_HINT,
        )
