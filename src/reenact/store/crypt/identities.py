"""This user's identities: what unwraps the keys of encrypted stores, and the epochs of stores that were seen.

Both lie in the user's key folder, ``reenact/keys`` in the configuration folder, never in a store.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from reenact import atomic
from reenact.errors import StoreError, StoreKeysChanged, StoreLocked
from reenact.store.crypt import age
from reenact.store.own_folders import private_base

if TYPE_CHECKING:
    from reenact.store.crypt.keyring import KeyRing

__all__ = ["VARIABLE", "check_epoch", "identity_places", "load_identities", "own_recipient", "require_identity"]

VARIABLE: Final = "REENACT_IDENTITY"
"""Names a file of identities that is looked into before the user's own."""
_FILE: Final = "identity.txt"
_SUFFIX: Final = ".epoch"
_NOTHING_FOR: Final = "set HOME, or XDG_CONFIG_HOME, to a folder of yours"


def _folder(environment: Mapping[str, str]) -> str | None:
    base = private_base(environment, "XDG_CONFIG_HOME", ".config")
    home = environment.get("HOME", "")
    if not base or (base == f"{home}/.config" and not os.path.isdir(home)):
        return None  # a home that does not exist is not made
    return os.path.join(base, "reenact", "keys")


def identity_places(environment: Mapping[str, str]) -> list[str]:
    """List the files that identities are looked for in, the first one first."""
    folder = _folder(environment)
    own = [os.path.join(folder, _FILE)] if folder is not None else []
    named = environment.get(VARIABLE, "")
    return [named, *own] if named else own


def require_identity(location: str, environment: Mapping[str, str]) -> None:
    """Refuse early where no identity is at hand at all, without reading any.

    Raises:
        StoreLocked: there is no file that may hold one.
    """
    places = identity_places(environment)
    if not any(os.path.exists(place) for place in places):
        raise StoreLocked(
            f"the store at {location} is encrypted, and no identity is here; looked for in: {', '.join(places) or 'no place'}",
            hint="reenact recipients me makes one, for those who can read the store to add",
        )


def load_identities(environment: Mapping[str, str]) -> list[age.Identity]:
    """Read all identities at hand; none when there is no file of them.

    Raises:
        StoreLocked: the file that was named is not there, or one holds something else.
        StoreError: a file cannot be read, or the user's own is open to others.
    """
    found: list[age.Identity] = []
    named = environment.get(VARIABLE, "")
    for place in identity_places(environment):
        try:
            data = _read(place, private=place != named)
        except FileNotFoundError:
            if place == named:
                raise StoreLocked(f"{VARIABLE} names {place}, which is not there") from None
            continue
        except OSError as error:
            raise StoreError(f"the identity {place} cannot be read: {error.strerror}") from error
        found += age.parse_identities(data, place)
    return found


def _read(place: str, *, private: bool) -> bytes:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if private and (found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)):
            raise StoreError(
                f"the identity {place} is not yours alone: mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}",
                hint=f"chmod 600 {place} if nobody can have copied it; else replace it, see: reenact recipients remove",
            )
        return file.read()


def own_recipient(environment: Mapping[str, str]) -> str:
    """Give the recipient of the user's own identity, which is made on first use.

    Raises:
        StoreError: there is no place for it, it cannot be made, or it is open to others.
    """
    folder = _folder(environment)
    if folder is None:
        raise StoreError("there is no place for an identity", hint=_NOTHING_FOR)
    place = os.path.join(folder, _FILE)
    try:
        if not os.path.lexists(place):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            secret, recipient = age.new_identity()
            # Of two who come at once one wins, and both read what it wrote.
            atomic.put_if_absent(place, f"# public key: {recipient}\n{secret}\n".encode("ascii"), mode=0o600)
        identities = age.parse_identities(_read(place, private=True), place)
    except OSError as error:
        raise StoreError(f"the identity {place} cannot be used: {error.strerror}", hint=_NOTHING_FOR) from error
    recipients = [found for identity in identities if (found := age.recipient_of(identity)) is not None]
    if not recipients:
        raise StoreError(f"{place} holds no age identity", hint="name a recipient with --recipient")
    return recipients[0]


def check_epoch(ring: KeyRing, location: str, environment: Mapping[str, str]) -> None:
    """Hold a store's keys against those this user has seen there, and remember a newer epoch.

    Whoever can write to a store can wrap keys of their own for its recipients, or put an old record of keys back; so a store's
    keys must go on from those it had before. The first time, they are taken as they are. Without a configuration folder that
    can be written, nothing is remembered.

    Raises:
        StoreKeysChanged: they are others, or older ones.
    """
    folder = _folder(environment)
    if folder is None:
        return
    place = os.path.join(folder, ring.store_id + _SUFFIX)
    hint = f"if you know why, delete {place}, and the store's keys are taken as they are"
    try:
        with open(place, encoding="ascii") as file:
            epoch_text, _, commitment = file.read().strip().partition(" ")
            epoch = int(epoch_text)
    except FileNotFoundError:
        epoch, commitment = 0, ""
    except (OSError, ValueError) as error:
        raise StoreKeysChanged(
            f"the note of the keys of {location} cannot be read: {place}: {error}", hint=hint
        ) from error
    if epoch and (not 0 < epoch <= ring.epoch or ring.commitment(epoch) != commitment):
        raise StoreKeysChanged(
            f"the keys of the store at {location} are not those it had: expected epoch {epoch} {commitment[:16]}, "
            f"got epoch {ring.epoch}{'' if epoch > ring.epoch else ' ' + ring.commitment(epoch)[:16]}",
            hint=hint,
        )
    if epoch < ring.epoch:
        with contextlib.suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            atomic.replace(place, f"{ring.epoch} {ring.commitment(ring.epoch)}\n".encode("ascii"), mode=0o600)
