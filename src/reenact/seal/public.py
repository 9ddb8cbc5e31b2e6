"""Public keys, and the records in which a store keeps them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from reenact import canonical, clock
from reenact.errors import SignatureInvalid

__all__ = ["KeyRecords", "PublicKey", "dump_public_key", "key_id_of", "load_public_key", "load_public_keys"]

ALGORITHM: Final = "ed25519"
_RAW_BYTES: Final = 32
# RFC 8410 section 10.1: the one DER encoding of an Ed25519 SubjectPublicKeyInfo, before the 32 bytes of the key.
_SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")


class KeyRecords(Protocol):
    """The place for public keys in a store."""

    def put(self, key_id: str, record: bytes) -> bool:
        """Put a record unless there is one."""
        ...

    def get(self, key_id: str) -> bytes:
        """Give a record."""
        ...

    def exists(self, key_id: str) -> bool:
        """Tell whether there is a record."""
        ...

    def ids(self) -> list[str]:
        """Give the ids of all keys, sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key that verifies signatures."""

    key_id: str
    raw: bytes
    """The 32 bytes of an Ed25519 public key."""
    valid_from: str


def key_id_of(raw: bytes) -> str:
    """Name a public key: the hex SHA-256 of its DER SubjectPublicKeyInfo, as openssl and others compute it."""
    return hashlib.sha256(_SPKI_PREFIX + raw).hexdigest()


def dump_public_key(key: PublicKey) -> bytes:
    """Write the record of a key: canonical JSON and a newline."""
    record = {
        "algorithm": ALGORITHM,
        "key_id": key.key_id,
        "public_key": base64.b64encode(_SPKI_PREFIX + key.raw).decode("ascii"),
        "valid_from": key.valid_from,
    }
    return canonical.dumps_plain(record) + b"\n"


def load_public_key(key_id: str, record: bytes) -> PublicKey:
    """Read the record kept under a key id; unknown fields are ignored.

    Raises:
        SignatureInvalid: it is not one, or its key has another id.
    """
    try:
        fields: Any = msgspec.json.decode(record)
        encoded = base64.b64decode(fields["public_key"], validate=True)
        algorithm, valid_from = str(fields["algorithm"]), str(fields["valid_from"])
        clock.parse(valid_from)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise SignatureInvalid(f"the record of key {key_id} cannot be read: {error!r}") from error
    raw = encoded[len(_SPKI_PREFIX) :]
    if algorithm != ALGORITHM or not encoded.startswith(_SPKI_PREFIX) or len(raw) != _RAW_BYTES:
        raise SignatureInvalid(f"expected an {ALGORITHM} key under {key_id}, got {algorithm}")
    if key_id_of(raw) != key_id:
        raise SignatureInvalid(f"expected the key {key_id}, got {key_id_of(raw)}", hint="the store's keys/ was changed")
    return PublicKey(key_id=key_id, raw=raw, valid_from=valid_from)


def load_public_keys(records: KeyRecords) -> dict[str, PublicKey]:
    """Read all public keys of a store, by id.

    Raises:
        SignatureInvalid: one of the records was changed.
    """
    return {key_id: load_public_key(key_id, records.get(key_id)) for key_id in records.ids()}
