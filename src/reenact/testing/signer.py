"""What every signer must do; run it against one with a class that gives it."""

from __future__ import annotations

from reenact.seal.interface import Signer
from reenact.seal.public import PublicKey

__all__ = ["SignerContract"]


class SignerContract:
    """Tests for a signer; subclasses give a fixture `signer`."""

    def test_its_signatures_verify_with_its_key(self, signer: Signer) -> None:
        """Empty, short and long data."""
        for data in (b"", b"data", bytes(range(256)) * 4096):
            assert signer.public.verify(signer.sign(data), data)

    def test_no_other_data_and_no_changed_signature_does(self, signer: Signer) -> None:
        """Every byte of a signature counts."""
        signature = signer.sign(b"data")
        assert not signer.public.verify(signature, b"Data")
        for place in range(len(signature)):
            changed = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
            assert not signer.public.verify(changed, b"data")

    def test_its_key_stays_and_can_be_kept(self, signer: Signer) -> None:
        """The record of the key gives the key back."""
        assert signer.public.key_id == signer.public.key_id
        record = signer.public._replace(valid_from="2026-01-01T00:00:00.000000Z").record()
        assert PublicKey.parse(record).der == signer.public.der
