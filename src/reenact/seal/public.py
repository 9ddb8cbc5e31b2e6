"""Public keys: Ed25519, and ECDSA over P-256 with SHA-256, as DER SubjectPublicKeyInfo.

Keys of both kinds have exactly one DER encoding here (RFC 8410; RFC 5480 with a named curve and an uncompressed point), so they
are told apart by their first bytes; the loaders of cryptography would double the time of its import.
"""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

from reenact import canonical
from reenact.errors import SignatureInvalid

__all__ = ["ED25519_PREFIX", "P256_PREFIX", "PublicKey", "key_id_of"]

_RAW_BYTES: Final = 32
_POINT_BYTES: Final = 65
ED25519_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""RFC 8410 section 10: SubjectPublicKeyInfo before the 32 bytes of the key."""
P256_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""RFC 5480 section 2: SubjectPublicKeyInfo before the 65 bytes of an uncompressed point."""


def key_id_of(der: bytes) -> str:
    """Give the id of a key: the SHA-256 of its DER, in hex."""
    import hashlib  # noqa: PLC0415 - loads the whole of OpenSSL, for which a job's start need not wait

    return hashlib.sha256(der).hexdigest()


class PublicKey(NamedTuple):
    """A public key with its validity."""

    key_id: str
    """SHA-256 of the DER SubjectPublicKeyInfo, in hex."""
    der: bytes
    valid_from: str
    """RFC 3339, UTC. What its owner says; the log is what dates a key."""

    @classmethod
    def of(cls, der: bytes, valid_from: str = "") -> PublicKey:
        """Make one of its DER."""
        return cls(key_id=key_id_of(der), der=der, valid_from=valid_from)

    @property
    def algorithm(self) -> str:
        """``ed25519`` or ``ecdsa-p256``; SignatureInvalid for any other."""
        if self.raw_ed25519() is not None:
            return "ed25519"
        if self._point() is not None:
            return "ecdsa-p256"
        raise SignatureInvalid(f"the public key {self.key_id} is not an Ed25519 key, nor one of P-256")

    def raw_ed25519(self) -> bytes | None:
        """Give the 32 bytes of an Ed25519 key; None for another kind."""
        raw = self.der[len(ED25519_PREFIX) :]
        return raw if self.der.startswith(ED25519_PREFIX) and len(raw) == _RAW_BYTES else None

    def _point(self) -> bytes | None:
        point = self.der[len(P256_PREFIX) :]
        return point if self.der.startswith(P256_PREFIX) and len(point) == _POINT_BYTES else None

    def record(self) -> bytes:
        """Write it as it is kept in a store."""
        return canonical.dumps_plain(
            {
                "algorithm": self.algorithm,
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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SignatureInvalid(f"a public key in the store cannot be read: {error}") from error
        found = cls.of(der, valid_from)
        if found.key_id != key_id or found.algorithm != algorithm or found.record() != record:
            raise SignatureInvalid(f"the public key {key_id} in the store is not what its id says")
        return found

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Tell whether a signature over some bytes is this key's.

        Raises:
            SignatureInvalid: it is not a key of a kind known here.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 18 ms where nothing is signed

        raw, point = self.raw_ed25519(), self._point()
        try:
            if raw is not None:
                from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

                Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
            elif point is not None:
                from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - rarer
                from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

                curve = ec.SECP256R1()
                ec.EllipticCurvePublicKey.from_encoded_point(curve, point).verify(signature, data, ec.ECDSA(SHA256()))
            else:
                raise SignatureInvalid(f"the public key {self.key_id} is not an Ed25519 key, nor one of P-256")
        except InvalidSignature:
            return False
        except ValueError as error:
            raise SignatureInvalid(f"the public key {self.key_id} is no point of its curve") from error
        return True
