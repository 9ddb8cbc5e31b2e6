"""Which keys counted when: the history of a store's keys, as its log tells it. Pure.

A place in the log, not a time somebody wrote down, is what says "before" and "after": so what a key signed and logged before it
was retired goes on verifying, and nothing signed later does, whatever date it bears.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reenact.seal.entry import Entry
from reenact.seal.flaws import Flaw
from reenact.seal.public import PublicKey

__all__ = ["NEW", "RETIRE", "REVOKE", "KeyState", "Keyring"]

NEW: Final = "new"
RETIRE: Final = "retire"
REVOKE: Final = "revoke"


@dataclass(slots=True)
class KeyState:
    """What is known of one key. Indices are places in the log."""

    public: PublicKey
    since: int | None = None
    """Where it was announced; None for a key the log does not announce."""
    announced_by: str | None = None
    retired: int | None = None
    """Where it was retired: later entries do not count."""
    revoked: int | None = None
    """The first entry that does not count any more."""
    reason: str | None = None

    def flaw_at(self, index: int | None) -> Flaw | None:
        """Say why it does not count at a place in the log; None means not logged: only a revocation of everything matters."""
        name = f"key {self.public.key_id[:12]}"
        if index is None:
            return None
        if self.revoked is not None and index >= self.revoked:
            return Flaw("key-revoked", f"{name} is revoked from entry {self.revoked} on, this is entry {index}")
        if self.retired is not None and index > self.retired:
            return Flaw("key-retired", f"{name} was retired at entry {self.retired}, this is entry {index}")
        if self.since is not None and index < self.since:
            return Flaw("key-not-yet", f"{name} was announced at entry {self.since}, this is entry {index}")
        return None


class Keyring:
    """The keys of a store, with what its log says of them."""

    def __init__(
        self,
        keys: Iterable[PublicKey],
        events: Iterable[tuple[int, Entry]],
        roots: Mapping[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> None:
        """Put the history together.

        Args:
            keys: The public keys at hand.
            events: The entries of kind ``key``, with their places, in order; their signatures are the caller's to check.
            roots: Keys whose word counts, with their owners: those somebody trusts. None means every key at hand.
            follow: Whether a key that a trusted one announces is trusted in its turn.
        """
        self._keys = [*keys]
        self._given = dict(roots) if roots is not None else None
        self._follow = follow
        self._early: dict[str, int] = {}
        told = [*events]
        # What a key said after the place its revocation reaches back to does not count, also what was told before that
        # revocation was: so all is told again until no revocation is new. One that was believed once stays: on the safe side.
        while self._tell(told):
            pass

    def _tell(self, events: list[tuple[int, Entry]]) -> bool:
        """Tell the history with the revocations known so far; give whether there are new ones."""
        self.states = {key.key_id: KeyState(key, revoked=self._early.get(key.key_id)) for key in self._keys}
        self._roots = dict(self._given) if self._given is not None else None
        for index, entry in events:
            self._apply(index, entry)
        found = {key_id: state.revoked for key_id, state in self.states.items() if state.revoked is not None}
        new = found != self._early
        self._early = found
        return new

    def _apply(self, index: int, entry: Entry) -> None:
        subject = entry.subject or ""
        if entry.event == NEW and subject not in self.states:
            try:
                der = base64.b64decode(entry.public_key or "", validate=True)
            except (ValueError, binascii.Error):
                return
            public = PublicKey.of(der, entry.time)
            if public.key_id != subject:
                return
            self.states[subject] = KeyState(public, revoked=self._early.get(subject))
        state = self.states.get(subject)
        if state is None or not self._may(entry, index):
            return
        if entry.event == NEW and state.since is None:
            state.since, state.announced_by = index, entry.key_id
            self._succeed(entry.key_id, subject)
        elif entry.event == RETIRE and state.retired is None:
            state.retired, state.reason = index, entry.reason
        elif entry.event == REVOKE:
            first = index if entry.from_index is None else min(entry.from_index, index)
            state.revoked = first if state.revoked is None else min(state.revoked, first)
            state.reason = entry.reason

    def _succeed(self, by: str, subject: str) -> None:
        if by == subject or by not in self.states:
            return
        if self._follow and self._roots is not None and by in self._roots:
            self._roots.setdefault(subject, self._roots[by])

    def _may(self, entry: Entry, index: int) -> bool:
        """Tell whether whoever signed an event has a say: the key itself, or one whose word counts and holds there."""
        if entry.key_id == entry.subject:
            return True
        state = self.states.get(entry.key_id)
        if state is None or state.flaw_at(index) is not None:
            return False
        return self._roots is None or entry.key_id in self._roots

    def public(self, key_id: str) -> PublicKey | None:
        """Give a key; None when it is not known."""
        state = self.states.get(key_id)
        return state.public if state is not None else None

    def flaw_at(self, key_id: str, index: int | None) -> Flaw | None:
        """Say why a known key does not count at a place in the log."""
        return self.states[key_id].flaw_at(index)

    def owner(self, key_id: str) -> str | None:
        """Name the owner of a key that is trusted; None for one that is not. Without roots nobody is."""
        return self._roots.get(key_id) if self._roots is not None else None
