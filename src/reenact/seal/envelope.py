"""DSSE envelopes: a payload, its type, and signatures over exactly these bytes.

See: the DSSE specification 1.0 (secure-systems-lab/dsse, protocol.md and envelope.md). The envelope keeps the bytes it was
read from; they are what is stored and handed on, and nothing is ever re-serialised.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, Protocol

from reenact import canonical
from reenact.errors import SignatureInvalid
from reenact.model.statement import PAYLOAD_TYPE

__all__ = ["Envelope", "Signature", "Signer", "pre_authentication_encoding", "seal_payload"]


class Signer(Protocol):
    """Whoever signs."""

    @property
    def key_id(self) -> str:
        """Names the key: hex SHA-256 of its public half's DER SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign exactly these bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature of an envelope."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An envelope that was read, not yet verified: what it says may be anything."""

    raw: bytes
    """The bytes it was read from."""
    payload: bytes
    signatures: tuple[Signature, ...]
    """Never empty."""

    @classmethod
    def parse(cls, raw: bytes) -> Envelope:
        """Read an envelope of an in-toto statement. Unknown fields are ignored, as the specification asks.

        Raises:
            SignatureInvalid: it is not one, or could be read in more than one way (a key twice, loose base64).
        """
        document = _document(raw)
        payload_type = document.get("payloadType")
        if payload_type != PAYLOAD_TYPE:
            raise SignatureInvalid(f"expected an envelope of type {PAYLOAD_TYPE}, got {payload_type!r}")
        signatures = document.get("signatures")
        if not isinstance(signatures, list) or not signatures:
            raise SignatureInvalid("the envelope has no signature")
        return cls(
            raw=raw,
            payload=_decoded(document.get("payload"), "payload"),
            signatures=tuple(_signature(entry) for entry in signatures),
        )


_ED25519_BYTES: Final = 64


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Give the bytes that are signed: type and payload, each with its length, so that neither can pass for the other."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal_payload(payload: bytes, signer: Signer) -> bytes:
    """Sign a statement and write its envelope as canonical JSON."""
    signature = signer.sign(pre_authentication_encoding(payload))
    return canonical.dumps_plain(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(signature).decode("ascii")}],
        }
    )


def _document(raw: bytes) -> dict[str, Any]:
    import json  # noqa: PLC0415 - only where an envelope is read; recording writes them

    try:
        document = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise SignatureInvalid(f"the envelope cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SignatureInvalid(f"expected an envelope, got a JSON {type(document).__name__}")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse keys that come twice: readers disagree about which of them counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _signature(entry: object) -> Signature:
    if not isinstance(entry, dict):
        raise SignatureInvalid("a signature of the envelope is no object")
    key_id = entry.get("keyid", "")
    if not isinstance(key_id, str):
        raise SignatureInvalid("a signature's keyid is no text")
    value = _decoded(entry.get("sig"), "signature")
    if len(value) != _ED25519_BYTES:
        raise SignatureInvalid(f"expected a signature of {_ED25519_BYTES} bytes, got {len(value)}")
    return Signature(key_id=key_id, value=value)


def _decoded(text: object, what: str) -> bytes:
    """Decode base64 of which there is only one way to write it."""
    if not isinstance(text, str):
        raise SignatureInvalid(f"the envelope's {what} is no text")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise SignatureInvalid(f"the envelope's {what} is not base64: {error}") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise SignatureInvalid(f"the envelope's {what} is base64 with stray bits")
    return data
