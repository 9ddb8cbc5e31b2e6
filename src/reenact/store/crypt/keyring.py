"""The keys of one encrypted store, unlocked. Pure: from where they come is :mod:`reenact.store.crypt.records`' matter.

A store has one key for names, for as long as it exists, and one data key an epoch. An epoch ends when somebody may no longer
read what is written from then on; what was written before stays readable by the keys of its epoch.
"""

from __future__ import annotations

import hmac
import os
from typing import Final, NamedTuple

__all__ = ["EPOCH_KEY_BYTES", "NAMES_KEY_BYTES", "KeyRing", "new_key_ring"]

NAMES_KEY_BYTES: Final = 64
"""AES-256 in SIV mode takes two keys (RFC 5297 section 2.1)."""
EPOCH_KEY_BYTES: Final = 32
_COMMITMENT: Final = b"reenact epoch commitment 1\0"


class KeyRing(NamedTuple):
    """All keys of a store."""

    store_id: str
    names_key: bytes
    epochs: tuple[bytes, ...]
    """Data keys; that of epoch 1 first."""

    @property
    def epoch(self) -> int:
        """The epoch of what is written now, counted from 1."""
        return len(self.epochs)

    def data_key(self, epoch: int) -> bytes | None:
        """Give the data key of an epoch; None when there is none."""
        return self.epochs[epoch - 1] if 0 < epoch <= len(self.epochs) else None

    def commitment(self, epoch: int) -> str:
        """Name the data key of an epoch without giving it away, in hex."""
        return hmac.digest(self.epochs[epoch - 1], _COMMITMENT + self.store_id.encode(), "sha256").hex()

    def with_new_epoch(self) -> KeyRing:
        """Give the ring with a fresh data key."""
        return self._replace(epochs=(*self.epochs, os.urandom(EPOCH_KEY_BYTES)))

    def __repr__(self) -> str:
        """Say what it is without its keys: a traceback must not print them."""
        return f"KeyRing(store {self.store_id}, epoch {self.epoch})"


def new_key_ring(store_id: str) -> KeyRing:
    """Draw the keys of a new store."""
    return KeyRing(store_id, os.urandom(NAMES_KEY_BYTES), (os.urandom(EPOCH_KEY_BYTES),))
