"""Private keys in PEM files as other programs write them too: Ed25519 or P-256, PKCS #8, with a passphrase or without.

The plain Ed25519 key that signs by default is read by :mod:`reenact.seal.keys`, which spares a recording the loaders used here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from reenact.errors import SignerUnavailable
from reenact.seal.public import PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Algorithm", "PemSigner", "is_encrypted", "load_private", "load_public", "new_private"]

Algorithm = Literal["ed25519", "p256"]

_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


def is_encrypted(pem: bytes) -> bool:
    """Tell whether a private key needs a passphrase."""
    return pem.startswith(_ENCRYPTED)


class PemSigner:
    """A private key in memory; see :class:`reenact.seal.interface.Signer`."""

    def __init__(self, private: Ed25519PrivateKey | EllipticCurvePrivateKey, valid_from: str) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - see module

        self._private = private
        der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = PublicKey.of(der, valid_from)

    def sign(self, data: bytes) -> bytes:
        """See :class:`reenact.seal.interface.Signer`."""
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see module
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - same

        if isinstance(self._private, ec.EllipticCurvePrivateKey):
            return self._private.sign(data, ec.ECDSA(SHA256()))
        return self._private.sign(data)


def load_private(pem: bytes, passphrase: bytes | None, valid_from: str, name: str) -> PemSigner:
    """Read a private key.

    Args:
        pem: The file.
        passphrase: Used only where the key is encrypted.
        valid_from: RFC 3339, UTC: when the file was made.
        name: Of the file, for messages.

    Raises:
        SignerUnavailable: no or a wrong passphrase, or no key of a kind that can sign here.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see module
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415 - same
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - same

    if is_encrypted(pem) and not passphrase:
        raise SignerUnavailable(f"the key {name} needs its passphrase", hint="set REENACT_KEY_PASSPHRASE")
    try:
        private = load_pem_private_key(pem, passphrase if is_encrypted(pem) else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = "the passphrase is wrong, or it is damaged" if is_encrypted(pem) else str(error)
        raise SignerUnavailable(f"the key {name} cannot be used: {why}") from error
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return PemSigner(private, valid_from)
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return PemSigner(private, valid_from)
    raise SignerUnavailable(f"the key {name} is neither Ed25519 nor P-256")


def new_private(algorithm: Algorithm, passphrase: bytes | None) -> bytes:
    """Make a private key; give its PEM, encrypted where there is a passphrase."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see module
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415 - same

    private: Ed25519PrivateKey | EllipticCurvePrivateKey = (
        ed25519.Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def load_public(data: bytes, name: str) -> PublicKey:
    """Read a public key: PEM or DER SubjectPublicKeyInfo.

    Raises:
        SignerUnavailable: it is neither, or of a kind that is not known here.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see module
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - same

    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        key = serialization.load_pem_public_key(data) if pem else serialization.load_der_public_key(data)
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        found = PublicKey.of(der)
        _ = found.algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignerUnavailable(f"{name} holds no public key: {error}") from error
    return found
