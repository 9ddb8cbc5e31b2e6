"""What is said of a run beside its bundle: that it is held, that it is not any more, that it was pruned.

Small canonical JSON records. Each has an entry in the log, which is signed: that of a hold or a release names the digest of the
record's bytes, that of a tombstone the fields.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from reenact.digests import Digest
from reenact.errors import MalformedBundle

__all__ = ["Hold", "Release", "Tombstone", "load_record"]

_T = TypeVar("_T")


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A run is not to be deleted, for a matter, until that is released."""

    schema_version: str
    hold_id: str
    run_id: str
    reason: str
    held_at: str
    held_by: str
    """The user's name on the host where it was said."""
    matter: str | None = None
    """What it is for: several runs can be held, and released, for one."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A hold ends."""

    schema_version: str
    hold_id: str
    hold: Digest
    """Of the bytes of the hold's record."""
    run_id: str
    reason: str
    released_at: str
    released_by: str


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """A run was here, and was pruned."""

    schema_version: str
    run_id: str
    statement: Digest | None
    """Of the signed payload of its bundle; None where that could not be read and was not logged."""
    pruned_at: str
    reason: str


def load_record(data: bytes, model: type[_T]) -> _T:
    """Read a record; unknown fields are ignored.

    Raises:
        MalformedBundle: it cannot be read.
    """
    try:
        return msgspec.json.decode(data, type=model)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBundle(f"not a readable record of a {model.__name__.lower()}: {error}") from error
