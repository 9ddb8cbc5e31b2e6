"""Make what a first recording would make, and a settings file to write choices into."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reenact import atomic
from reenact.actions.keeping import access
from reenact.actions.sealing import seal_with, signing_key
from reenact.errors import StoreError, UsageError
from reenact.settings import SETTINGS_FILE, Settings
from reenact.store.crypt.identities import identity_places
from reenact.store.opening import Store, open_store

__all__ = ["Part", "init"]

_TEMPLATE: Final = b"""\
# Settings of reenact. Everything is optional; the reference page of the settings has all keys and their defaults.
# job = "daily-load"          # without it the name of the script
# store = ".reenact"          # where records are kept, relative to this file

# [redact]
# patterns = ["*_PIN"]        # further names whose values are secrets
"""

_ENCRYPTED: Final = b"""
[storage]
encryption = "required"       # record into encrypted stores only
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that a store's user has."""

    what: str
    where: str
    """A path; for the signing key that of the public halves in the store."""
    made: bool
    """False: it was there already, and was left as it is."""


def init(
    folder: Path, load: Callable[[], Settings], *, encrypt: bool = False, recipients: Sequence[str] = ()
) -> list[Part]:
    """Make a folder the root of jobs, unless one above it has a settings file already.

    Args:
        folder: Where the settings file goes.
        load: Reads the settings that hold there; called again after the file was made, as that moves the root.
        encrypt: Make the store an encrypted one.
        recipients: Who can read it, beside this user.

    Raises:
        SettingsError: the settings that are there cannot be used.
        StoreError: something cannot be made, or the store is there and not encrypted as it should be.
        StoreLocked: the store is there, and encrypted for others.
        UsageError: a recipient is none, or the store is there already.
    """
    file = load().file
    if file is None:
        file = str(folder / SETTINGS_FILE)
        try:
            wrote = atomic.put_if_absent(file, _TEMPLATE + (_ENCRYPTED if encrypt else b""))
        except OSError as error:
            raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    else:
        wrote = False
    settings = load()
    known_identity = [place for place in identity_places(os.environ) if os.path.exists(place)] if encrypt else []
    was_there = _is_there(settings)
    store = _made(settings, encrypt=encrypt, recipients=recipients)
    known = store.keys.ids()
    signing_key(store, seal_with(settings))
    identity = next(iter(identity_places(os.environ)), "") if encrypt else ""
    return [
        *([Part(what="identity", where=identity, made=identity not in known_identity)] if identity else []),
        Part(what="settings", where=file, made=wrote),
        Part(what="store", where=store.location, made=not was_there),
        Part(what="signing key", where=f"{store.location}/keys", made=store.keys.ids() != known),
    ]


def _made(settings: Settings, *, encrypt: bool, recipients: Sequence[str]) -> Store:
    if not encrypt:
        return open_store(settings.store, create=True, access=access(settings))
    from reenact.actions.recipients import first_recipients, read_recipients, recipients_of  # noqa: PLC0415 - for encrypted stores only

    named = read_recipients(recipients)
    store = open_store(
        settings.store, create=True, access=access(settings), encrypt_to=first_recipients(named, os.environ)
    )
    if lacking := set(named).difference(recipients_of(store)):
        raise UsageError(
            f"the store at {store.location} is there already, and not for {', '.join(sorted(lacking))}",
            hint="reenact recipients add",
        )
    return store


def _is_there(settings: Settings) -> bool:
    try:
        open_store(settings.store, create=False, access=access(settings))
    except StoreError:
        return False  # making it says why, where that is not all
    return True
