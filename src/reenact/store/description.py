"""What ``store.json`` says of a store, and where what is of one user's and one host's alone lies.

Every recording reads this before it starts its command, so nothing is imported here that takes time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reenact.errors import StoreError
from reenact.store.own_folders import private_base

__all__ = [
    "DESCRIPTION",
    "FORMAT",
    "KEYS_FOLDER",
    "SCHEME",
    "Description",
    "check_encryption",
    "is_remote",
    "journals_folder",
    "kept_description",
    "parse_description",
    "private_folders",
    "read_description",
    "temporary",
]

DESCRIPTION: Final = "store.json"
FORMAT: Final = 1
"""The layout this version reads and writes."""
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEYS_FOLDER: Final = "encryption"
"""Where the keys of an encrypted store are, wrapped."""
SCHEME: Final = "age-aes256gcm-v1"
"""The way of encryption this version knows: docs/spec/encryption.md."""
_KNOWN: Final = ((None, "plain"), (SCHEME, "keyed"))
"""Schemes, each with how a store then names its objects."""


class Description(NamedTuple):
    """What a store says of itself."""

    id: str
    """A UUID, in the store since it was made."""
    encryption: str | None
    """The scheme; None for a store that is not encrypted."""
    remote: bool = False
    """Whether it lies in a bucket, where nothing of one host has a place."""


def parse_description(data: bytes, location: str) -> Description:
    """Read the description of a store; refuse one this program would misread.

    Raises:
        StoreError: it cannot be read, or is of a version or scheme that is not known.
    """
    try:
        description: Any = json.loads(data)
        layout, store_id = description["format"], description["id"]
        if _ID.fullmatch(store_id) is None:
            raise ValueError(f"not an id: {store_id!r}")  # noqa: TRY301 - as any other malformed field
        names, encryption = description["digest_names"], description["encryption"]
        known = (encryption, names) in _KNOWN
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{location}/{DESCRIPTION} cannot be read: {error!r}", hint="restore it from a copy"
        ) from error
    if layout != FORMAT:
        raise StoreError(
            f"the store at {location} has format {layout!r}; this program reads format {FORMAT}",
            hint="upgrade reenact; the store is untouched",
        )
    if not known:
        raise StoreError(
            f"the store at {location} is encrypted in a way this program does not know: {encryption!r}, names {names!r}",
            hint="upgrade reenact; the store is untouched",
        )
    return Description(id=store_id, encryption=encryption, remote=is_remote(location))


def is_remote(location: str) -> bool:
    """Tell a URL from the path of a folder."""
    return "://" in location


def read_description(location: str, environment: Mapping[str, str]) -> Description | None:
    """Read a store's description without a connection: from its folder, or what this host kept of one in a bucket.

    None when there is none to be read. What was kept may be older than the store: it says where this host's own files are,
    not that there is a store.

    Raises:
        StoreError: that of a folder cannot be understood.
    """
    remote = is_remote(location)
    path = kept_description(location, environment) if remote else f"{location}/{DESCRIPTION}"
    try:
        with open(path, "rb") as file:
            return parse_description(file.read(), location)
    except OSError:
        return None
    except StoreError:
        if remote:
            return None  # a damaged copy: the store is asked, and it is made anew
        raise


def kept_description(location: str, environment: Mapping[str, str]) -> str:
    """Name the file in which this host keeps the description of a store in a bucket; it need not be there."""
    base = private_base(environment, "XDG_CACHE_HOME", ".cache") or temporary()
    name = location.replace("%", "%25").replace("/", "%2F")
    return os.path.join(base, "reenact", "locations", f"{name}.json")


def check_encryption(told: Description, location: str, *, wanted: bool = False, required: bool) -> None:
    """Refuse a store that is not encrypted where one is expected that is.

    Args:
        told: What it says of itself.
        location: Where it is.
        wanted: Such a store was to be made now.
        required: The settings say that it must be one.

    Raises:
        StoreError: it is not.
    """
    if told.encryption is not None or not (wanted or required):
        return
    why = "" if wanted else ", and storage.encryption says it must be"
    raise StoreError(
        f"the store at {location} is {'there already, and ' if wanted else ''}not encrypted{why}",
        hint="what is in it stays readable to whoever has it; make another: reenact init --encrypt --store ANOTHER",
    )


def private_folders(description: Description, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Name the folders of this user that stand in for folders of the store: state, then cache; none for a plain folder.

    They do for a store in a bucket, and for an encrypted one: journals name files, and the bytes about to be overwritten are
    kept beside them; caches hold digests, and the worlds of replays whole files. None of that may lie readable where the
    store does.

    Raises:
        StoreError: only a shared temporary folder is left, and somebody else holds our name in it.
    """
    if description.encryption is None and not description.remote:
        return ()
    bases = [
        private_base(environment, "XDG_STATE_HOME", ".local/state"),
        private_base(environment, "XDG_CACHE_HOME", ".cache"),
    ]
    return tuple(
        os.path.join(base, "reenact", description.id) if base else os.path.join(temporary(), description.id)
        for base in bases
    )


def journals_folder(location: str, description: Description, environment: Mapping[str, str]) -> str:
    """Choose the folder for journals of live runs: in the store, unless that is encrypted or in a bucket.

    Raises:
        StoreError: as :func:`private_folders`.
    """
    private = private_folders(description, environment)
    return os.path.join(private[0] if private else location, "journals")


def temporary() -> str:
    """Give a folder of ours among everybody's temporary files; see :func:`reenact.store.local.temporary_folder`."""
    from reenact.store.local import temporary_folder  # noqa: PLC0415 - hardly ever

    return temporary_folder()
