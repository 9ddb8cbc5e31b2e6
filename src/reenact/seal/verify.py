"""Verify envelopes: pure, without files, clock or network.

Whether a key was valid at some time is a question for audit, which has the log; here a key either made the signature or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reenact.errors import SignatureInvalid
from reenact.seal.envelope import Envelope, Signature, pre_authentication_encoding
from reenact.seal.public import PublicKey

__all__ = ["Verified", "verify", "verify_envelope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A payload and whose signature it bears."""

    payload: bytes
    key_ids: tuple[str, ...]
    """The known keys that signed it; never empty."""


def verify(raw: bytes, public_keys: Mapping[str, PublicKey]) -> Verified:
    """Verify an envelope against known keys, by key id.

    One good signature by a known key is needed. Signatures by unknown keys are passed over; a bad one that names a known
    key is refused whatever else there is.

    Raises:
        SignatureInvalid: it cannot be read, no known key signed it, or a signature is not what its key would have made.
    """
    envelope = Envelope.parse(raw)
    message = pre_authentication_encoding(envelope.payload)
    known = [signature for signature in envelope.signatures if signature.key_id in public_keys]
    if not known:
        named = ", ".join(signature.key_id or "(unnamed)" for signature in envelope.signatures)
        raise SignatureInvalid(
            f"no known key signed this: got {named}", hint="its public key belongs in the store's keys/"
        )
    for signature in known:
        _check(signature, message, public_keys[signature.key_id])
    return Verified(payload=envelope.payload, key_ids=tuple(signature.key_id for signature in known))


def verify_envelope(raw: bytes, public_keys: Mapping[str, PublicKey]) -> bytes:
    """Verify an envelope and give its payload; see :func:`verify`."""
    return verify(raw, public_keys).payload


def _check(signature: Signature, message: bytes, key: PublicKey) -> None:
    # Only Ed25519 is imported: 18 ms, where the whole package's loaders would double that.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only where something is verified
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - same

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature.value, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureInvalid(
            f"the signature by key {signature.key_id} does not match", hint="the record or its signature was changed"
        ) from error
