"""Keys: an Ed25519 pair that signs what a user puts into a store, and a secret that keys the fingerprints of redacted values.

Private keys live outside the store, in the user's configuration folder, so that whoever copies the store cannot sign in
anyone's name. Both are made on first use, readable by their owner alone, and refused when others can read them.

Ed25519 keys have exactly one DER encoding each (RFC 8410), so they are framed here; the loaders of cryptography would double
the time of its import, which every recording spends.
"""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from reenact import atomic, clock
from reenact.atomic import AnyPath
from reenact.errors import StoreError
from reenact.seal.public import ED25519_PREFIX, PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from reenact.seal.interface import Signer

__all__ = [
    "PublicKey",
    "SigningKey",
    "key_folder",
    "key_places",
    "load_fingerprint_key",
    "load_signing_key",
    "read_secret",
]

_FINGERPRINT_KEY_BYTES: Final = 32
_PRIVATE: Final = 0o600
_RAW_BYTES: Final = 32
# RFC 8410 section 10: PrivateKeyInfo, before the 32 bytes of the key.
_PRIVATE_DER: Final = bytes.fromhex("302e020100300506032b657004220420")
_PEM_BEGIN: Final = b"-----BEGIN PRIVATE KEY-----\n"
_PEM_END: Final = b"\n-----END PRIVATE KEY-----\n"


class SigningKey:
    """A private key in use."""

    def __init__(self, private: Ed25519PrivateKey, valid_from: str) -> None:
        self._private = private
        self.public = PublicKey.of(ED25519_PREFIX + private.public_key().public_bytes_raw(), valid_from)

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes."""
        return self._private.sign(data)


def key_places(environment: Mapping[str, str], store_folder: AnyPath) -> list[str]:
    """List where this user's private keys may be kept, the preferred place first: the configuration folder, the store."""
    found = []
    base = environment.get("XDG_CONFIG_HOME", "")
    home = environment.get("HOME", "")
    # A relative path there is to be ignored (XDG base directories); a home that does not exist is not made.
    if not os.path.isabs(base) and os.path.isabs(home) and os.path.isdir(home):
        base = f"{home}/.config"
    if os.path.isabs(base):
        found.append(os.path.join(base, "reenact", "keys"))
    found.append(os.path.join(store_folder, "private", str(os.geteuid())))
    return found


def key_folder(environment: Mapping[str, str], store_folder: AnyPath) -> str:
    """Find where this user's private keys are kept, making the folder: the configuration folder, else inside the store.

    Without a usable home (a service account) the key lies in the store, in a folder of its own for each user.

    Raises:
        StoreError: neither can be written.
    """
    problem = ""
    for folder in key_places(environment, store_folder):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        problem = f"{folder}: not writable"
    raise StoreError(f"there is no place for a private key: {problem}", hint="set XDG_CONFIG_HOME to a folder of yours")


def _keep_secret(path: str, data: bytes) -> bytes:
    """Put a secret file unless there is one; give what is there then (another process may have been first)."""
    with contextlib.suppress(FileNotFoundError):
        return read_secret(path)
    atomic.put_if_absent(path, data, mode=_PRIVATE)
    return read_secret(path)


def read_secret(path: str) -> bytes:
    """Read a secret file; StoreError when it is not its owner's alone, OSError when it cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(
                f"the key {path} is not yours alone: mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}",
                hint=f"chmod 600 {path} if nobody can have copied it; else move it away, and a new one is made",
            )
        return file.read()


def load_fingerprint_key(folder: AnyPath, store_id: str) -> bytes:
    """Give the secret that keys fingerprints for a store, made on first use.

    Raises:
        StoreError: it cannot be read or made.
    """
    path = os.path.join(folder, f"{store_id}.fingerprint")
    try:
        key = _keep_secret(path, os.urandom(_FINGERPRINT_KEY_BYTES))
    except OSError as error:
        raise StoreError(f"the fingerprint key {path} cannot be used: {error.strerror}") from error
    if len(key) != _FINGERPRINT_KEY_BYTES:
        raise StoreError(
            f"the fingerprint key {path} is damaged: {len(key)} bytes", hint="move it away; a new one is made"
        )
    return key


def load_signing_key(folder: AnyPath, store_id: str, passphrase: bytes | None = None) -> Signer:
    """Give the key that signs for a store, made on first use, without a passphrase then.

    Args:
        folder: Where private keys are.
        store_id: The store's.
        passphrase: Used where its owner has encrypted the key.

    Raises:
        StoreError: it cannot be read or made.
        SignerUnavailable: it is encrypted, and the passphrase is not the right one.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 18 ms

    path = os.path.join(folder, f"{store_id}.pem")
    try:
        pem = _keep_secret(path, _to_pem(os.urandom(_RAW_BYTES)))
        made = clock.from_ns(os.stat(path).st_mtime_ns)
        if not pem.startswith(_PEM_BEGIN):
            from reenact.seal.pem import is_encrypted, load_private  # noqa: PLC0415 - its loaders are slow to import

            if is_encrypted(pem):
                return load_private(pem, passphrase, made, path)
        seed = _from_pem(pem)
    except (OSError, ValueError) as error:
        raise StoreError(f"the private key {path} cannot be used: {error}") from error
    return SigningKey(Ed25519PrivateKey.from_private_bytes(seed), made)


def _to_pem(seed: bytes) -> bytes:
    return _PEM_BEGIN + base64.b64encode(_PRIVATE_DER + seed) + _PEM_END


def _from_pem(pem: bytes) -> bytes:
    """Give the 32 bytes of a private key; ValueError when it is none."""
    der = base64.b64decode(pem.removeprefix(_PEM_BEGIN).removesuffix(_PEM_END), validate=True)
    seed = der[len(_PRIVATE_DER) :]
    if not pem.startswith(_PEM_BEGIN) or not der.startswith(_PRIVATE_DER) or len(seed) != _RAW_BYTES:
        raise ValueError("it is not an Ed25519 key as this program writes them")
    return seed
