"""What sealing needs of whoever signs."""

from __future__ import annotations

from typing import Protocol

from reenact.seal.public import PublicKey

__all__ = ["Signer"]


class Signer(Protocol):
    """Signs bytes with one key. Each call may take long (a device, a service); several threads may not call at once."""

    @property
    def public(self) -> PublicKey:
        """The key its signatures verify with."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign some bytes: Ed25519 gives 64 bytes (RFC 8032), P-256 an ECDSA signature in DER over their SHA-256.

        Raises:
            SignerUnavailable: it cannot be used now; the same bytes may be signed later.
        """
        ...
