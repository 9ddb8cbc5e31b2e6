"""Recipients and identities of age (https://age-encryption.org/v1): who can unwrap a store's keys. The one user of pyrage.

A recipient is a public key: ``age1…``, or an OpenSSH one (``ssh-ed25519 …``, ``ssh-rsa …``). An identity is the private half.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from reenact.errors import StoreError, StoreLocked, UsageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "Identity",
    "fingerprint",
    "new_identity",
    "parse_identities",
    "parse_recipient",
    "recipient_of",
    "unwrap",
    "wrap",
]

_SSH: Final = ("ssh-ed25519 ", "ssh-rsa ")
_SECRET: Final = "AGE-SECRET-KEY-1"  # noqa: S105 - what such a key begins with
_FINGERPRINT_BYTES: Final = 32

Identity = Any
"""One of pyrage's, which have no common type."""


def _pyrage() -> ModuleType:
    try:
        import pyrage  # type: ignore[import-untyped]  # noqa: PLC0415 - optional, and it has no stubs
    except ImportError as error:
        raise StoreError(
            "encrypted stores need the library pyrage, which is not installed", hint="pip install 'reenact[encryption]'"
        ) from error
    return cast("ModuleType", pyrage)


def parse_recipient(text: str) -> str:
    """Give a recipient as it is kept: without a comment, checked.

    Raises:
        UsageError: it is none.
        StoreError: pyrage is missing.
    """
    words = text.split()
    kept = " ".join(words[:2]) if text.startswith(_SSH) else " ".join(words)
    _public(kept)
    return kept


def _public(recipient: str) -> Any:  # noqa: ANN401 - see Identity
    pyrage = _pyrage()
    kind = pyrage.ssh if recipient.startswith(_SSH) else pyrage.x25519
    try:
        return kind.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        shown = "a private key" if recipient.upper().startswith(_SECRET) else repr(recipient)
        raise UsageError(
            f"no recipient of age: got {shown}, expected age1…, ssh-ed25519 … or ssh-rsa …: {error}",
            hint="reenact recipients me prints yours",
        ) from error


def fingerprint(recipient: str) -> str:
    """Name a recipient in few characters: an age one by itself, one of ssh as ssh-keygen does."""
    if not recipient.startswith(_SSH):
        return recipient
    kind, _, key = recipient.partition(" ")
    digest = hashlib.sha256(base64.b64decode(key)).digest()
    return f"{kind} SHA256:{base64.b64encode(digest).decode('ascii').rstrip('=')}"


def new_identity() -> tuple[str, str]:
    """Draw an identity; give its secret text, and its recipient."""
    identity = _pyrage().x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def parse_identities(data: bytes, where: str) -> list[Identity]:
    """Read a file of identities: lines of ``AGE-SECRET-KEY-1…`` and ``#`` comments, or one OpenSSH private key.

    Raises:
        StoreLocked: it is neither, or an ssh key that a passphrase protects.
    """
    pyrage = _pyrage()
    try:
        if b"-----BEGIN" in data:
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode("ascii").splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise StoreLocked(
            f"{where} holds no identity of age",
            hint="expected lines of AGE-SECRET-KEY-1…, or an OpenSSH private key without a passphrase",
        ) from None


def recipient_of(identity: Identity) -> str | None:
    """Give the recipient of an age identity; None for another kind."""
    return str(identity.to_public()) if hasattr(identity, "to_public") else None


def wrap(secret: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt a few bytes so that each of the recipients can read them."""
    return bytes(_pyrage().encrypt(secret, [_public(recipient) for recipient in recipients]))


def unwrap(wrapped: bytes, identities: Sequence[Identity]) -> bytes | None:
    """Decrypt what was wrapped; None when it was for none of the identities, or is damaged."""
    pyrage = _pyrage()
    try:
        return bytes(pyrage.decrypt(wrapped, list(identities)))
    except pyrage.DecryptError:
        return None
