"""The keys of whoever records: made on first use, kept outside the store, one pair a store and user.

``<store id>.pem`` is the Ed25519 private key (PKCS #8, as openssl reads it), ``<store id>.fingerprint`` 32 bytes for keyed
fingerprints of secrets. Both lie in ``$XDG_CONFIG_HOME/reenact/keys`` (``~/.config`` by default), mode 0600 in a folder of
mode 0700. Where there is no home that can be used they lie in a private folder of the store. Of several processes that make
a key at once, one does, and all use it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reenact import atomic
from reenact.errors import StoreError
from reenact.seal.public import KeyRecords, PublicKey, dump_public_key, key_id_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["KeyFolders", "SigningKey", "fingerprint", "fingerprint_key", "signing_key"]

_SECRET_BYTES: Final = 32
# RFC 8410 section 10.3: the one DER encoding of an Ed25519 private key without attributes, before its 32 bytes.
_PKCS8_PREFIX: Final = bytes.fromhex("302e020100300506032b657004220420")
_PEM_BEGIN: Final = b"-----BEGIN PRIVATE KEY-----\n"
_PEM_END: Final = b"\n-----END PRIVATE KEY-----\n"
_FINGERPRINT_PREFIX: Final = "hmac-sha256:"


class KeyFolders:
    """Where a user's keys for a store are, or will be made."""

    def __init__(self, store_id: str, *, store_private: Path | None, environment: Mapping[str, str]) -> None:
        """Name the places.

        Args:
            store_id: Of the store.
            store_private: The folder ``private`` of a local store; None when the store is elsewhere.
            environment: Variables of the process: HOME, XDG_CONFIG_HOME.
        """
        self._store_id = store_id
        self._store_private = store_private
        self._environment = environment

    def secret(self, suffix: str, make: Callable[[], bytes]) -> bytes:
        """Give the content of a key file, made when it is nowhere.

        Raises:
            StoreError: it can neither be read nor made, or others could read it.
        """
        candidates = list(self._candidates(suffix))
        for path in candidates:
            found = _read_private(path)
            if found is not None:
                return found
        problem: OSError | None = None
        for path in candidates:
            try:
                _make_private(path, make())
            except OSError as error:
                problem = error
                continue
            made = _read_private(path)
            if made is not None:
                return made
        raise StoreError(
            f"no place for a private key: {problem or 'there is no home folder'}",
            hint="set XDG_CONFIG_HOME to a folder that only you can read",
        ) from problem

    def _candidates(self, suffix: str) -> Iterator[Path]:
        base = self._environment.get("XDG_CONFIG_HOME", "")
        home = self._environment.get("HOME", "")
        # The XDG specification: a relative path is to be ignored.
        if not os.path.isabs(base) and os.path.isabs(home) and os.path.isdir(home):
            base = os.path.join(home, ".config")
        if os.path.isabs(base):
            yield Path(base) / "reenact" / "keys" / f"{self._store_id}{suffix}"
        if self._store_private is not None:
            yield self._store_private / f"{os.geteuid()}{suffix}"


class SigningKey:
    """An Ed25519 private key. Implements :class:`reenact.seal.envelope.Signer`."""

    def __init__(self, seed: bytes) -> None:
        """Load the key from its 32 secret bytes; imports cryptography (18 ms)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see docstring

        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_raw = self._key.public_key().public_bytes_raw()
        """The 32 bytes of the public half."""
        self._key_id = key_id_of(self.public_raw)

    @property
    def key_id(self) -> str:
        """See :class:`reenact.seal.envelope.Signer`."""
        return self._key_id

    def sign(self, message: bytes) -> bytes:
        """See :class:`reenact.seal.envelope.Signer`."""
        return self._key.sign(message)


def signing_key(folders: KeyFolders, records: KeyRecords, now: str) -> SigningKey:
    """Give the user's key for a store, made on first use; its public half is in the store on return.

    Args:
        folders: Where it is.
        records: The store's public keys.
        now: The time a new key is valid from, RFC 3339.

    Raises:
        StoreError: it can neither be read nor made, others could read it, or the store cannot be written.
    """
    path = "the private key of this store"
    seed = _from_pem(folders.secret(".pem", lambda: _to_pem(secrets.token_bytes(_SECRET_BYTES))), path)
    key = SigningKey(seed)
    if not records.exists(key.key_id):
        public = PublicKey(key_id=key.key_id, raw=key.public_raw, valid_from=now)
        records.put(key.key_id, dump_public_key(public))
    return key


def fingerprint_key(folders: KeyFolders) -> bytes:
    """Give the user's 32 secret bytes for fingerprints in a store, made on first use.

    Raises:
        StoreError: they can neither be read nor made, or others could read them.
    """
    key = folders.secret(".fingerprint", lambda: secrets.token_bytes(_SECRET_BYTES))
    if len(key) != _SECRET_BYTES:
        raise StoreError(f"expected a fingerprint key of {_SECRET_BYTES} bytes, got {len(key)}")
    return key


def fingerprint(key: bytes, value: bytes) -> str:
    """Give the keyed fingerprint of a secret: whoever lacks the key can neither recognise nor guess the secret by it."""
    return _FINGERPRINT_PREFIX + hmac.new(key, value, hashlib.sha256).hexdigest()


def _read_private(path: Path) -> bytes | None:
    """Read a key file of ours; None when it is not there, or not to be had (another user's home after sudo)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read the key {path}: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(
                f"the key {path} can be read by others: mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}",
                hint=f"chmod 600 {path}, if you are sure that nobody copied it; else move it away to get a new one",
            )
        return os.read(descriptor, found.st_size + 1)
    finally:
        os.close(descriptor)


def _make_private(path: Path, content: bytes) -> None:
    """Make a key file, unless another process does meanwhile. Raises OSError."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    atomic.put_if_absent(path, content, mode=0o600)


def _to_pem(seed: bytes) -> bytes:
    return _PEM_BEGIN + base64.b64encode(_PKCS8_PREFIX + seed) + _PEM_END


def _from_pem(pem: bytes, path: str) -> bytes:
    body = pem.removeprefix(_PEM_BEGIN).removesuffix(_PEM_END)
    try:
        der = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    seed = der[len(_PKCS8_PREFIX) :]
    if not pem.startswith(_PEM_BEGIN) or not der.startswith(_PKCS8_PREFIX) or len(seed) != _SECRET_BYTES:
        raise StoreError(f"{path} is not an Ed25519 key as this program writes them", hint="restore it from a copy")
    return seed
