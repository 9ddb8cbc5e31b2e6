"""Change who can read an encrypted store, and begin a new epoch.

Each change is one new record of keys; the others stay. Several people may do so at once: who comes second starts from what the
first one left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reenact.errors import StoreError, StoreLocked, UsageError
from reenact.store.crypt import age
from reenact.store.crypt.identities import check_epoch, load_identities
from reenact.store.crypt.keyring import KeyRing
from reenact.store.crypt.records import KeyRecords
from reenact.store.crypt.unlocking import unlock
from reenact.store.interface import Backend

__all__ = ["Audience", "audience", "change"]

_ATTEMPTS = 20
"""Changes of others that may come in between."""


class Audience(NamedTuple):
    """Who can read a store."""

    recipients: tuple[str, ...]
    generation: int
    """Of the record of keys."""
    ring: KeyRing


def audience(backend: Backend, store_id: str, environment: Mapping[str, str]) -> Audience:
    """Tell who can read a store, as whoever can may do.

    Raises:
        StoreLocked, StoreKeysChanged, StoreError: as :func:`reenact.store.crypt.unlocking.unlock`.
    """
    ring = unlock(backend, store_id, environment)
    record = KeyRecords(backend, store_id).latest()
    return Audience(record.recipients, record.generation, ring)


def change(
    backend: Backend,
    store_id: str,
    environment: Mapping[str, str],
    choose: Callable[[tuple[str, ...]], Sequence[str]],
    *,
    new_epoch: bool,
) -> Audience:
    """Give a store another audience, or another epoch; nothing is written when that would change nothing.

    Args:
        backend: Where the records are.
        store_id: Of the store.
        environment: Says where identities are.
        choose: Gives the new recipients for the old ones; called again where somebody else came in between.
        new_epoch: What is written from now on is encrypted with a new key, also where the recipients stay.

    Raises:
        UsageError: nobody would be left, or not who asks.
        StoreLocked, StoreKeysChanged, StoreError: the keys cannot be unlocked, or the store cannot be written.
    """
    records = KeyRecords(backend, store_id)
    identities = load_identities(environment)
    for _ in range(_ATTEMPTS):
        record = records.latest()
        ring = records.unlock(record, identities)
        if ring is None:
            unlock(backend, store_id, environment)  # says what is missing
            raise StoreLocked(f"the keys of {backend.location} changed meanwhile")
        check_epoch(ring, backend.location, environment)
        chosen = tuple(sorted(set(choose(record.recipients))))
        if chosen == record.recipients and not new_epoch:
            return Audience(chosen, record.generation, ring)
        _check_own(chosen, identities)
        ring = ring.with_new_epoch() if new_epoch else ring
        if records.put(ring, record.generation + 1, chosen):
            check_epoch(ring, backend.location, environment)
            return Audience(chosen, record.generation + 1, ring)
    raise StoreError(f"the keys of {backend.location} are changed by others all the time", hint="try again later")


def _check_own(recipients: Sequence[str], identities: Sequence[age.Identity]) -> None:
    """Refuse to lock out who asks: nobody at this keyboard could take it back."""
    if not recipients or age.unwrap(age.wrap(b"", recipients), identities) is None:
        raise UsageError(
            "none of your own identities would be left among the recipients",
            hint="whoever stays can remove you; or add another of yours first: reenact recipients add",
        )
