"""DSSE envelopes: signed bytes, kept and given out exactly as they were signed.

See: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md (v1.0.2). A signature covers the pre-authentication
encoding (PAE) of payload type and payload, so the envelope's own JSON proves nothing and is never signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from reenact import canonical
from reenact.errors import SignatureInvalid

__all__ = ["Envelope", "Signature", "dump", "load", "pre_authentication_encoding"]

_FIELDS: Final = {"payload", "payloadType", "signatures"}


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature over an envelope's payload."""

    key_id: str
    signature: bytes


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed, and the signatures."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Give the bytes that are signed: ``DSSEv1 LEN(type) type LEN(payload) payload``, lengths in decimal."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def dump(envelope: Envelope) -> bytes:
    """Write an envelope as canonical JSON."""
    return canonical.dumps_plain(
        {
            "payload": base64.b64encode(envelope.payload).decode("ascii"),
            "payloadType": envelope.payload_type,
            "signatures": [
                {"keyid": s.key_id, "sig": base64.b64encode(s.signature).decode("ascii")} for s in envelope.signatures
            ],
        }
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Two readers may disagree about which of two equal names counts.
        raise SignatureInvalid("the envelope names a field twice")
    return found


def load(data: bytes, payload_type: str) -> Envelope:
    """Read an envelope strictly; signatures are not checked here.

    Args:
        data: The envelope.
        payload_type: What its payload must be.

    Raises:
        SignatureInvalid: it is malformed, of another payload type, or carries no signature.
    """
    try:
        fields = json.loads(data, object_pairs_hook=_no_duplicates)
        if not isinstance(fields, Mapping) or set(fields) != _FIELDS:
            raise SignatureInvalid("the envelope has not the fields payload, payloadType and signatures")
        if fields["payloadType"] != payload_type:
            raise SignatureInvalid(f"the envelope holds {fields['payloadType']!r}, expected {payload_type!r}")
        payload = _decode(fields["payload"])
        signatures = tuple(
            Signature(key_id=str(entry["keyid"]), signature=_decode(entry["sig"])) for entry in fields["signatures"]
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SignatureInvalid(f"the envelope cannot be read: {error}") from error
    if not signatures:
        raise SignatureInvalid("the envelope carries no signature")
    envelope = Envelope(payload_type=payload_type, payload=payload, signatures=signatures)
    if dump(envelope) != data:
        # One payload, one byte sequence: nothing can be hidden in spaces, order or another spelling of base64.
        raise SignatureInvalid("the envelope is not in its canonical form")
    return envelope


def _decode(text: Any) -> bytes:  # noqa: ANN401 - the JSON edge
    if not isinstance(text, str):
        raise SignatureInvalid("the envelope has a value that is not text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SignatureInvalid(f"the envelope has malformed base64: {error}") from error
