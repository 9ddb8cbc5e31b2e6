"""An encrypted store equals the same dictionary as a plain one, whenever epochs begin and values are encrypted anew."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis.stateful import rule

from reenact.store.crypt.audience import change
from reenact.store.crypt.identities import own_recipient
from reenact.store.opening import Store, open_store
from tests.property.test_store import DELTAS, StoreIsADictionary

pytest.importorskip("pyrage")

_PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "REENACT_IDENTITY")


class EncryptedStoreIsADictionary(StoreIsADictionary):
    """What the plain one is put through, and rotations."""

    def make(self, location: str) -> Store:
        self.before = {name: os.environ.pop(name, None) for name in _PLACES}
        os.environ["HOME"] = self.folder
        return open_store(location, create=True, deltas=DELTAS, encrypt_to=[own_recipient(os.environ)])

    @rule()
    def begin_an_epoch(self) -> None:
        """Whoever has the store open goes on with the keys it has."""
        change(self.store.backend, self.store.id, os.environ, lambda old: old, new_epoch=True)

    @rule()
    def encrypt_anew(self) -> None:
        """By another process, while the writer here is at work."""
        other = open_store(self.store.location, create=False)
        assert other.sealed is not None
        for key in other.backend.list(""):
            other.sealed.renew(key)
        assert not any(other.sealed.renew(key) for key in other.backend.list(""))
        other.close()

    def teardown(self) -> None:
        super().teardown()
        for name, value in self.before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


EncryptedStoreIsADictionary.TestCase.settings = settings(max_examples=6, stateful_step_count=15, deadline=None)
TestEncryptedStoreIsADictionary = EncryptedStoreIsADictionary.TestCase
