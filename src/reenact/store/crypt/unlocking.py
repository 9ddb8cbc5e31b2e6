"""Unlock a store's keys, or make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reenact.errors import StoreLocked
from reenact.store.crypt import age
from reenact.store.crypt.identities import VARIABLE, check_epoch, identity_places, load_identities
from reenact.store.crypt.keyring import KeyRing, new_key_ring
from reenact.store.crypt.records import KeyRecords, sealed_record

if TYPE_CHECKING:
    from reenact.store.interface import Backend

__all__ = ["first_record", "unlock"]


def first_record(store_id: str, recipients: Sequence[str]) -> dict[str, bytes]:
    """Draw the keys of a new store; give what to put, by key, before its description.

    Raises:
        UsageError: a recipient is none.
        StoreError: pyrage is missing.
    """
    return dict([sealed_record(new_key_ring(store_id), 1, [age.parse_recipient(text) for text in recipients])])


def unlock(backend: Backend, store_id: str, environment: Mapping[str, str]) -> KeyRing:
    """Unwrap a store's keys with the identities at hand.

    Raises:
        StoreLocked: none of them is for it.
        StoreKeysChanged: the keys are not what they were.
        StoreError: an identity cannot be read, or pyrage is missing.
    """
    records = KeyRecords(backend, store_id)
    record = records.latest()
    identities = load_identities(environment)
    ring = records.unlock(record, identities)
    if ring is None:
        places = ", ".join(identity_places(environment)) or "no place, as there is no home folder"
        wanted = ", ".join(age.fingerprint(recipient) for recipient in record.recipients)
        tried = f"{len(identities)} of other keys" if identities else "none"
        raise StoreLocked(
            f"the store at {backend.location} is encrypted, and only these can read it: {wanted}; "
            f"identities found: {tried}; looked for in: {places}",
            hint=f"name the file of the identity in {VARIABLE}, or let one of them add yours: reenact recipients add",
        )
    check_epoch(ring, backend.location, environment)
    return ring
