"""Say and change who can read an encrypted store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reenact.actions.keeping import access, delta_policy
from reenact.errors import StoreError, UsageError, ValueDamaged
from reenact.store.crypt import age
from reenact.store.crypt.audience import Audience, audience, change
from reenact.store.crypt.identities import load_identities, own_recipient
from reenact.store.crypt.records import KeyRecords
from reenact.store.opening import open_store

if TYPE_CHECKING:
    from reenact.settings import Settings
    from reenact.store.backends.encrypted import EncryptedBackend
    from reenact.store.opening import Store

__all__ = [
    "Readers",
    "Reencrypted",
    "add",
    "first_recipients",
    "read_recipients",
    "readers",
    "recipient_of_mine",
    "recipients_of",
    "reencrypt",
    "remove",
    "rotate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who can read a store from now on."""

    store: str
    epoch: int
    fingerprint: str
    """Of the epoch's key: the same for all who see the same keys."""
    recipients: tuple[str, ...]
    yours: tuple[str, ...]
    """Those of them whose private half is at hand here, as far as that can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencrypted:
    """What came of encrypting old values anew."""

    epoch: int
    values: int
    """All that were looked at."""
    renewed: int
    damaged: tuple[str, ...]
    """Keys of those that could not be decrypted, and were left as they are."""


def recipient_of_mine(environment: Mapping[str, str]) -> str:
    """Give this user's recipient: of the first age identity at hand, else of one that is made now.

    Raises:
        StoreError: an identity cannot be read or made.
    """
    found = (age.recipient_of(identity) for identity in load_identities(environment))
    return next((recipient for recipient in found if recipient is not None), None) or own_recipient(environment)


def first_recipients(named: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give the recipients of a new store: those named, and this user, unless one of those named is.

    Raises:
        UsageError: a name is no recipient.
        StoreError: an identity cannot be read or made.
    """
    recipients = read_recipients(named)
    identities = load_identities(environment)
    if recipients and identities and age.unwrap(age.wrap(b"", recipients), identities) is not None:
        return recipients
    return [*recipients, recipient_of_mine(environment)]


def read_recipients(named: Sequence[str]) -> list[str]:
    """Read recipients: each is one, or the path of a file with one a line.

    Raises:
        UsageError: one is neither.
    """
    found: list[str] = []
    for name in named:
        lines = [name]
        if os.path.isfile(name):
            try:
                with open(name, encoding="utf-8") as file:
                    lines = [line.strip() for line in file]
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{name} cannot be read as a file of recipients: {error}") from error
        found += [age.parse_recipient(line) for line in lines if line and not line.startswith("#")]
    return found


def recipients_of(store: Store) -> tuple[str, ...]:
    """Give the recipients of a store that is open; none where it is not encrypted."""
    return KeyRecords(store.sealed, store.id).latest().recipients if store.sealed is not None else ()


def readers(settings: Settings) -> Readers:
    """List who can read the store.

    Raises:
        StoreError: it cannot be read, or is not encrypted.
        StoreLocked, StoreKeysChanged: its keys cannot be used.
    """
    store, sealed = _opened(settings)
    return _readers(store, audience(sealed, store.id, os.environ))


def add(settings: Settings, named: Sequence[str]) -> Readers:
    """Let more people read the store, all of it.

    Raises:
        UsageError: one is no recipient.
        StoreError, StoreLocked, StoreKeysChanged: as :func:`readers`.
    """
    more = read_recipients(named)
    return _changed(settings, lambda old: [*old, *more], new_epoch=False)


def remove(settings: Settings, named: Sequence[str]) -> Readers:
    """Keep people from reading what is written from now on.

    Raises:
        UsageError: one is not among the recipients, or nobody, or not who asks, would be left.
        StoreError, StoreLocked, StoreKeysChanged: as :func:`readers`.
    """

    def without(old: tuple[str, ...]) -> list[str]:
        by_name = {age.fingerprint(recipient): recipient for recipient in old}
        less = {by_name[name] for name in named if name in by_name}
        less |= set(read_recipients([name for name in named if name not in by_name]))
        unknown = less.difference(old)
        if unknown:
            shown = ", ".join(sorted(map(age.fingerprint, unknown)))
            raise UsageError(f"not among the recipients: {shown}", hint="list them with: reenact recipients list")
        return [recipient for recipient in old if recipient not in less]

    return _changed(settings, without, new_epoch=True)


def rotate(settings: Settings) -> Readers:
    """Encrypt what is written from now on with a new key.

    Raises:
        StoreError, StoreLocked, StoreKeysChanged: as :func:`readers`.
    """
    return _changed(settings, lambda old: old, new_epoch=True)


def reencrypt(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Reencrypted:
    """Encrypt all values of earlier epochs anew. Readers and writers may go on; cut off, it goes on where it was.

    Raises:
        StoreError, StoreLocked, StoreKeysChanged: as :func:`readers`.
    """
    _, sealed = _opened(settings)
    sealed.discard_unfinished()
    values = renewed = 0
    damaged = []
    for key in sealed.list(""):
        values += 1
        if values % 100 == 0:
            say(f"encrypting anew: {values} values seen, {renewed} renewed")
        try:
            renewed += sealed.renew(key)
        except ValueDamaged as error:
            damaged.append(error.key)
    return Reencrypted(epoch=sealed.ring.epoch, values=values, renewed=renewed, damaged=tuple(damaged))


def _changed(settings: Settings, choose: Callable[[tuple[str, ...]], Sequence[str]], *, new_epoch: bool) -> Readers:
    store, sealed = _opened(settings)
    return _readers(store, change(sealed, store.id, os.environ, choose, new_epoch=new_epoch))


def _opened(settings: Settings) -> tuple[Store, EncryptedBackend]:
    store = open_store(settings.store, create=False, deltas=delta_policy(settings), access=access(settings))
    if store.sealed is None:
        raise StoreError(
            f"the store at {store.location} is not encrypted: whoever can read its files can read it",
            hint="a store is encrypted from its beginning: reenact init --encrypt --store ANOTHER",
        )
    return store, store.sealed


def _readers(store: Store, found: Audience) -> Readers:
    own = {age.recipient_of(identity) for identity in load_identities(os.environ)}
    return Readers(
        store=store.location,
        epoch=found.ring.epoch,
        fingerprint=found.ring.commitment(found.ring.epoch)[:16],
        recipients=found.recipients,
        yours=tuple(recipient for recipient in found.recipients if recipient in own),
    )
