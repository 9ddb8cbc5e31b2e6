"""Keys: an Ed25519 pair that signs what a user puts into a store, and a secret that keys the fingerprints of redacted values.

Private keys live outside the store, in the user's configuration folder, so that whoever copies the store cannot sign in
anyone's name. Both are made on first use, readable by their owner alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reenact import atomic, canonical, clock
from reenact.errors import SignatureInvalid, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PublicKey", "SigningKey", "key_folder", "load_fingerprint_key", "load_signing_key"]

_ALGORITHM: Final = "ed25519"
_FINGERPRINT_KEY_BYTES: Final = 32
_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key with its validity."""

    key_id: str
    """SHA-256 of the DER SubjectPublicKeyInfo, in hex."""
    der: bytes
    valid_from: str
    """RFC 3339, UTC."""

    def record(self) -> bytes:
        """Write it as it is kept in a store."""
        return canonical.dumps_plain(
            {
                "algorithm": _ALGORITHM,
                "key_id": self.key_id,
                "public_key": base64.b64encode(self.der).decode("ascii"),
                "valid_from": self.valid_from,
            }
        )

    @classmethod
    def parse(cls, record: bytes) -> PublicKey:
        """Read a kept key; its id must be that of its bytes.

        Raises:
            SignatureInvalid: the record is malformed, or its id is not its key's.
        """
        import json  # noqa: PLC0415 - loaded anyway where this is used

        try:
            fields: dict[str, Any] = json.loads(record)
            der = base64.b64decode(fields["public_key"], validate=True)
            key_id, valid_from, algorithm = fields["key_id"], fields["valid_from"], fields["algorithm"]
        except (ValueError, KeyError, TypeError) as error:
            raise SignatureInvalid(f"a public key in the store cannot be read: {error}") from error
        found = cls(key_id=_key_id(der), der=der, valid_from=valid_from)
        if algorithm != _ALGORITHM or found.key_id != key_id or found.record() != record:
            raise SignatureInvalid(f"the public key {key_id} in the store is not what its id says")
        return found

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Tell whether a signature over some bytes is this key's."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 18 ms where nothing is signed
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

        try:
            key = load_der_public_key(self.der)
        except ValueError as error:
            raise SignatureInvalid(f"the public key {self.key_id} cannot be read: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SignatureInvalid(f"the public key {self.key_id} is not an Ed25519 key")
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key in use."""

    def __init__(self, private: Ed25519PrivateKey, valid_from: str) -> None:
        self._private = private
        der = _der(private.public_key())
        self.public = PublicKey(key_id=_key_id(der), der=der, valid_from=valid_from)

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes."""
        return self._private.sign(data)


def _der(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def key_folder(environment: Mapping[str, str], store_folder: Path) -> Path:
    """Find where this user's private keys are kept, making the folder: the configuration folder, else inside the store.

    Without a usable home (a service account) the key lies in the store, in a folder of its own for each user.

    Raises:
        StoreError: neither can be written.
    """
    wanted = []
    base = environment.get("XDG_CONFIG_HOME") or (environment.get("HOME", "") and f"{environment['HOME']}/.config")
    if base and os.path.isabs(base):
        wanted.append(Path(base) / "reenact" / "keys")
    wanted.append(store_folder / "private" / str(os.geteuid()))
    problem = ""
    for folder in wanted:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        problem = f"{folder}: not writable"
    raise StoreError(f"there is no place for a private key: {problem}", hint="set XDG_CONFIG_HOME to a folder of yours")


def _keep_secret(path: Path, data: bytes) -> bytes:
    """Put a secret file unless there is one; give what is there then (another process may have been first)."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    atomic.put_if_absent(path, data, mode=_PRIVATE)
    return path.read_bytes()


def load_fingerprint_key(folder: Path, store_id: str) -> bytes:
    """Give the secret that keys fingerprints for a store, made on first use.

    Raises:
        StoreError: it cannot be read or made.
    """
    path = folder / f"{store_id}.fingerprint"
    try:
        key = _keep_secret(path, os.urandom(_FINGERPRINT_KEY_BYTES))
    except OSError as error:
        raise StoreError(f"the fingerprint key {path} cannot be used: {error.strerror}") from error
    if len(key) != _FINGERPRINT_KEY_BYTES:
        raise StoreError(f"the fingerprint key {path} is damaged: {len(key)} bytes", hint="move it away; a new one is made")
    return key


def load_signing_key(folder: Path, store_id: str) -> SigningKey:
    """Give the key that signs for a store, made on first use.

    Raises:
        StoreError: it cannot be read or made.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 18 ms
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    path = folder / f"{store_id}.pem"
    try:
        if not path.exists():
            fresh = Ed25519PrivateKey.generate()
            _keep_secret(path, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private = load_pem_private_key(path.read_bytes(), password=None)
        made = clock.from_ns(path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise StoreError(f"the private key {path} cannot be used: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StoreError(f"the private key {path} is not an Ed25519 key")
    return SigningKey(private, made)
