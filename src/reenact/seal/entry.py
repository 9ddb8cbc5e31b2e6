"""One entry of the log: what happened to a run, a verdict or a key, signed by whoever appended it.

An entry says its own place and the digest of the entry before it, so entries cannot change places, be left out or be repeated
without the signatures telling. Its bytes are the leaf of the Merkle tree; they are kept and given out exactly as they were put.
Pure: no store, no clock.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from reenact import canonical
from reenact.digests import Digest, is_digest
from reenact.errors import IntegrityError
from reenact.seal.envelope import pre_authentication_encoding

__all__ = ["ENTRY_TYPE", "KINDS", "Entry", "load", "signed", "signed_part"]

ENTRY_TYPE: Final = "application/vnd.reenact.entry+json"
"""The payload type under which the canonical JSON of an entry, without its signature, is signed (DSSE's encoding)."""
KINDS: Final = ("run", "verdict", "key", "hold", "release", "tombstone", "audit")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was sealed, announced or removed."""

    kind: str
    """One of :data:`KINDS`; a later version may know more."""
    statement: Digest
    """Of the signed payload; of a key: of its DER; of a hold or its release: of the record; of a tombstone: of the payload that is
    gone; of an audit: of its report, as it was signed."""
    key_id: str
    """Of the key that signs this entry."""
    time: str
    """When it was appended, as its writer's clock had it: RFC 3339, UTC."""
    index: int | None = None
    """Its place; given when it is appended."""
    previous: Digest | None = None
    """Of the bytes of the entry before it; None in the first."""
    run_id: str = ""
    """Of the run it is about; empty for a key."""
    replay_run_id: str | None = None
    """For a verdict: of the replay."""
    reason: str | None = None
    """For a hold, its release and a tombstone, and where a key is retired or revoked: why; for an audit: what it came to."""
    event: str | None = None
    """For a key: ``new``, ``retire`` or ``revoke``."""
    subject: str | None = None
    """For a key: the id of the key the event is about; for an audit: its id."""
    public_key: str | None = None
    """For a new key: its DER in base64."""
    from_index: int | None = None
    """For a revoked key: the first entry that is no longer believed; None means this one."""
    signature: str | None = None
    """By `key_id`, in base64."""


_FIELDS: Final = frozenset(Entry.__struct_fields__)
_TEXTS: Final = (
    "kind",
    "key_id",
    "time",
    "run_id",
    "replay_run_id",
    "reason",
    "event",
    "subject",
    "public_key",
    "signature",
)
_NUMBERS: Final = ("index", "from_index")


def signed(entry: Entry, sign: Callable[[bytes], bytes]) -> bytes:
    """Sign an entry whose place is given; give the bytes that are its leaf.

    Args:
        entry: Without a signature.
        sign: Signs bytes with the key that `key_id` names.
    """
    body = pre_authentication_encoding(ENTRY_TYPE, canonical.dumps_plain(entry))
    signature = base64.b64encode(sign(body)).decode("ascii")
    return canonical.dumps_plain(msgspec.structs.replace(entry, signature=signature))


def load(data: bytes, place: int) -> Entry:
    """Read an entry; its signature is not checked. What a later version says beyond this one's fields is passed over.

    Args:
        data: Its bytes.
        place: Where it was found, for messages.

    Raises:
        IntegrityError: it cannot be read.
    """
    try:
        fields = json.loads(data)
        known = {name: fields[name] for name in _FIELDS & fields.keys()}
        _check(known)
        return Entry(**known)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"log entry {place} cannot be read: {error}") from error


def _check(fields: dict[str, Any]) -> None:
    """Look at the kinds of values, which the constructor does not; ValueError or TypeError when one is wrong."""
    for name in _TEXTS:
        if not isinstance(fields.get(name, ""), str | None):
            raise TypeError(f"{name} is no text")
    for name in _NUMBERS:
        if type(fields.get(name, 0)) not in {int, type(None)}:
            raise TypeError(f"{name} is no number")
    for name in ("statement", "previous"):
        value = fields.get(name)
        if value is not None and not (isinstance(value, str) and is_digest(value)):
            raise ValueError(f"{name} is no digest")


def signed_part(data: bytes) -> tuple[bytes, bytes] | None:
    """Give what the signature of an entry covers, and the signature; None where there is none, or the bytes are not canonical.

    One entry, one byte sequence: a second spelling of the same fields would be another leaf with a signature that holds.
    """
    try:
        fields = json.loads(data)
        if canonical.dumps_plain(fields) != data:
            return None
        text = fields.pop("signature")
        signature = base64.b64decode(text, validate=True)
        if base64.b64encode(signature).decode("ascii") != text:
            return None  # bits that decoding passes over
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return None
    return pre_authentication_encoding(ENTRY_TYPE, canonical.dumps_plain(fields)), signature
