"""Checking signatures. Pure: keys and bytes in, the payload or an error out."""

from __future__ import annotations

from collections.abc import Callable

from reenact.errors import SignatureInvalid
from reenact.seal.envelope import Envelope, Signature, dump, load, pre_authentication_encoding
from reenact.seal.interface import Signer
from reenact.seal.public import PublicKey

__all__ = ["seal", "verify"]


def seal(payload: bytes, payload_type: str, *signers: Signer) -> bytes:
    """Sign a payload by each of the signers, one at least; give the envelope."""
    signed = pre_authentication_encoding(payload_type, payload)
    signatures = tuple(Signature(key_id=s.public.key_id, signature=s.sign(signed)) for s in signers)
    return dump(Envelope(payload_type=payload_type, payload=payload, signatures=signatures))


def verify(data: bytes, payload_type: str, find_key: Callable[[str], PublicKey | None]) -> tuple[bytes, str]:
    """Check an envelope.

    Args:
        data: The envelope.
        payload_type: What its payload must be.
        find_key: Gives the trusted public key with an id, None when there is none.

    Returns:
        The payload, exactly as it was signed, and the id of the key.

    Raises:
        SignatureInvalid: malformed, no trusted key, or any signature by a trusted key is wrong.
    """
    envelope = load(data, payload_type)
    signed = pre_authentication_encoding(payload_type, envelope.payload)
    good = ""
    for signature in envelope.signatures:
        key = find_key(signature.key_id)
        if key is None:
            continue
        if not key.verify(signature.signature, signed):
            raise SignatureInvalid(f"the signature by key {signature.key_id[:12]} does not match the record")
        good = good or signature.key_id
    if not good:
        names = ", ".join(signature.key_id[:12] for signature in envelope.signatures)
        raise SignatureInvalid(f"no trusted key signed the record; it names {names}")
    return envelope.payload, good
