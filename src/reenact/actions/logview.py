"""What a store's log says, checked as far as one run needs it or as a whole; and the keys that counted when.

For one run this reads a few entries, the copies of key events, and the tiles of one root: not the log. The whole check reads
every entry and believes nothing that is derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Final

import msgspec

from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, SignatureInvalid, ValueDamaged
from reenact.model.statement import PAYLOAD_TYPE
from reenact.seal import note as notes
from reenact.seal import timestamp
from reenact.seal.checkpoint import Checkpoint, Checkpoints, origin_of
from reenact.seal.entry import Entry, load
from reenact.seal.evidence import Signed, checkpoint_flaws, entry_flaws, neighbour_flaws, open_envelope, time_flaws
from reenact.seal.flaws import Flaw
from reenact.seal.keyring import RETIRE, REVOKE, Keyring
from reenact.seal.log import FOLDER, Log, entry_key
from reenact.seal.merkle import leaf_hash, root_of_inclusion
from reenact.seal.public import PublicKey
from reenact.seal.tiles import TILE_LEAVES, TILES, Tree, bundle_of, parse_tile_key, tile_key
from reenact.seal.trust import Trust
from reenact.store.opening import Store

__all__ = ["LogView"]

_STALE: Final = frozenset({"key-revoked", "key-retired", "key-not-yet", "key-untrusted", "witness-missing"})
_NEAR: Final = 512
"""Entries looked at around where the time says one should be, before all are."""


class _When(msgspec.Struct, frozen=True):
    """The times a bundle or a verdict says."""

    timestamp: str | None = None
    ended_at: str | None = None
    judged_at: str | None = None


class _Times(msgspec.Struct, frozen=True):
    predicate: _When


class LogView:
    """The log of a store as somebody with some trust sees it. Reads what it is asked for, and remembers it."""

    def __init__(self, store: Store, trust: Trust | None = None, *, pinned: Checkpoint | None = None) -> None:
        """Look at a log.

        Args:
            store: Where it is.
            trust: Whom to believe; None: every key the store names.
            pinned: A state seen earlier, instead of the one the trust file pins.
        """
        self._store = store
        self._log = Log(store.backend)
        self._trust = trust
        self._pinned = pinned or (trust.pinned if trust is not None else None)
        self._leaves: dict[int, bytes] = {}
        self._trees: dict[int, Tree] = {}
        self.origin = origin_of(store.id)

    @cached_property
    def size(self) -> int:
        """How many entries there are."""
        return self._log.size()

    def leaf(self, index: int) -> bytes:
        """Give the bytes of an entry, none where its encryption is damaged; KeyAbsent when there is no entry."""
        found = self._leaves.get(index)
        if found is None:
            found = self._leaves[index] = self._or_nothing(lambda: self._log.leaf(index))
        return found

    @staticmethod
    def _or_nothing(read: Callable[[], bytes]) -> bytes:
        """Take a value that cannot be decrypted for one that says nothing: what is checked then tells what is wrong."""
        try:
            return read()
        except ValueDamaged:
            return b""

    # --- keys

    @cached_property
    def key_flaws(self) -> list[Flaw]:
        """What is wrong with the records of keys."""
        return [flaw for _, flaw in self._keys if flaw is not None]

    def _copy_flaws(self) -> Iterator[Flaw]:
        """Hold the copies of entries about keys against the log: a revocation must not be hidden by changing its copy."""
        for index, data in self.key_events:
            try:
                same = self.leaf(index) == data
            except KeyAbsent:
                yield Flaw("key-event-hidden", f"there is a copy of entry {index}, which the log has not")
                continue
            if not same:
                yield Flaw("key-event-hidden", f"the copy of entry {index} says something else")

    def _unrecorded_keys(self) -> Iterator[Flaw]:
        """Name the keys the log announces that have no record."""
        recorded = {key.key_id for key, _ in self._keys if key is not None}
        for key_id, state in self.keyring.states.items():
            if state.since is not None and key_id not in recorded and self.key_flaws == []:
                yield Flaw("key-missing", f"keys/{key_id}.json, announced by entry {state.since}, is not there")

    @cached_property
    def _keys(self) -> list[tuple[PublicKey | None, Flaw | None]]:
        found: list[tuple[PublicKey | None, Flaw | None]] = []
        for key_id in self._store.keys.ids():
            try:
                key = PublicKey.parse(self._store.keys.get(key_id))
            except (IntegrityError, KeyAbsent) as error:
                found.append((None, Flaw("key-damaged", f"keys/{key_id}: {error}")))
                continue
            other = Flaw("key-damaged", f"the record {key_id} is of key {key.key_id}") if key.key_id != key_id else None
            found.append((None if other else key, other))
        return found

    @cached_property
    def key_events(self) -> list[tuple[int, bytes]]:
        """The entries about keys, with their places, as the copies beside the log name them."""
        return self._store.keys.events()

    @cached_property
    def keyring(self) -> Keyring:
        """The keys, and when they counted."""
        return self._keyring(self.key_events)

    def _keyring(self, events: Iterable[tuple[int, bytes]]) -> Keyring:
        """Put the history of keys together from events whose signatures hold."""
        keys = [key for key, _ in self._keys if key is not None]
        owners = self._trust.owners if self._trust is not None else None
        follow = self._trust.follow_rotation if self._trust is not None else True
        # Every key that an event may be signed by; whether it may say so is decided below.
        named = Keyring([state.public for state in Keyring(keys, _loaded(events)).states.values()], ())
        good = []
        for index, data in events:
            try:
                entry = load(data, index)
                same = self._log.leaf(index) == data
            except (IntegrityError, KeyAbsent):
                continue
            _, flaws = entry_flaws(data, index, named, None)
            if same and not flaws and entry.kind == "key":
                good.append((index, entry))
        return Keyring(keys, good, owners, follow=follow)

    def open(self, envelope: bytes, index: int | None) -> Signed:
        """Judge an envelope with the keys that counted at its place in the log; see :func:`open_envelope`."""
        return open_envelope(envelope, PAYLOAD_TYPE, self.keyring, index, self._trust)

    def ended(self, envelope: bytes, payload: bytes) -> tuple[Flaw, ...]:
        """Say why an envelope whose signature holds is not believed: all its keys had come to their end when it was logged.

        What the log does not know is judged as if it were logged now.
        """
        predicate = msgspec.json.decode(payload, type=_Times).predicate
        kind, about = ("verdict", predicate.judged_at) if predicate.judged_at else ("run", predicate.ended_at)
        index = self.find(of_bytes(payload), kind, about or predicate.timestamp or "")
        return self.open(envelope, self.size if index is None else index).flaws

    def owners(self, signers: Iterable[str]) -> tuple[str, ...]:
        """Name whose keys some are, as the trust file has it."""
        found = {owner for key_id in signers if (owner := self.keyring.owner(key_id)) is not None}
        return tuple(sorted(found))

    def trusts(self, signed: Signed) -> bool | None:
        """Tell whether the trust file is satisfied; None without one."""
        return None if self._trust is None else bool(signed.signers) and not signed.flaws

    # --- entries

    def find(self, statement: Digest, kind: str, about: str) -> int | None:
        """Find the entry of a statement; None when there is none.

        Args:
            statement: Digest of what was signed.
            kind: Of the entry.
            about: When it was made, as the record says: it will have been logged soon after.
        """
        start = self._place_of(about)
        near: list[int] = [
            *range(start, min(start + _NEAR, self.size)),
            *range(start - 1, max(start - _NEAR, 0) - 1, -1),
        ]
        for index in near:
            if self._is(index, statement, kind):
                return index
        for index in self._mentioning(statement):
            if self._is(index, statement, kind):
                return index
        return None

    def _is(self, index: int, statement: Digest, kind: str) -> bool:
        entry = self._entry(index)
        return entry is not None and entry.statement == statement and entry.kind == kind

    def _entry(self, index: int) -> Entry | None:
        try:
            return load(self.leaf(index), index)
        except (IntegrityError, KeyAbsent):
            return None

    def _place_of(self, time: str) -> int:
        """Give the first entry that is not older than a time, going by what entries say; they are nearly in order."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            entry = self._entry(middle)
            if entry is not None and entry.time < time:
                low = middle + 1
            else:
                high = middle
        return low

    def _mentioning(self, statement: Digest) -> Iterator[int]:
        """Give the entries whose bytes hold a digest, reading the log 256 entries at a time where tiles of them are kept."""
        text = statement.encode()
        for first in range(0, self.size, TILE_LEAVES):
            try:
                if text not in self._store.backend.get(tile_key("entries", first // TILE_LEAVES)):
                    continue
            except (KeyAbsent, ValueDamaged):
                pass
            for index in range(first, min(first + TILE_LEAVES, self.size)):
                try:
                    if text in self.leaf(index):
                        yield index
                except KeyAbsent:
                    continue

    def entry_flaws(self, index: int, ended_at: str | None) -> list[Flaw]:
        """Judge one entry and how it stands between its neighbours; `ended_at` is when its run says it ended."""
        entry, flaws = entry_flaws(self.leaf(index), index, self.keyring, self._trust)
        if entry is None:
            return flaws
        try:
            before = self.leaf(index - 1) if index else None
        except KeyAbsent:
            return [*flaws, Flaw("log-gap", f"entry {index - 1} is missing")]
        flaws += neighbour_flaws(before, entry, index)
        if index + 1 < self.size:
            after = self._entry(index + 1)
            if after is not None:
                flaws += neighbour_flaws(self.leaf(index), after, index + 1)
        flaws += self._inclusion_flaws(index)
        earlier = self._entry(index - 1) if index else None
        return flaws + time_flaws(entry, earlier.time if earlier is not None else "", ended_at, self._trust)

    # --- the tree

    def _tree(self, size: int) -> Tree:
        """Give the tree over the first entries."""
        if size not in self._trees:
            self._trees[size] = Tree(self._store.backend, size)
        return self._trees[size]

    @cached_property
    def _checkpoint_sizes(self) -> list[int]:
        return Checkpoints(self._store.backend).sizes()

    def _inclusion_flaws(self, index: int) -> list[Flaw]:
        """Prove that an entry is in the tree whose root the newest checkpoint signs; behind it, in that of all entries.

        Tiles may be older than entries that somebody rewrote: only the way up from the entry itself shows that it is theirs.
        """
        newest = max((size for size in self._checkpoint_sizes[-1:] if index < size <= self.size), default=self.size)
        tree = self._tree(newest)
        try:
            if root_of_inclusion(index, newest, leaf_hash(self.leaf(index)), tree.inclusion(index)) == tree.root():
                return []
        except KeyAbsent as error:
            return [Flaw("log-gap", f"an entry is missing: {error}")]
        except IntegrityError as error:
            return [Flaw("tile-differs", str(error))]
        return [Flaw("log-forked", f"entry {index} is not the one that the tree over {newest} entries was made of")]

    def root_flaws(self) -> list[Flaw]:
        """Hold the log against the pinned checkpoint and the newest that is kept; tell of damaged keys, too."""
        sizes = self._checkpoint_sizes
        flaws = [*self.key_flaws, *self._copy_flaws(), *self._pin_flaws()]
        flaws += self._kept_flaws(sizes[-1], self._tree(min(sizes[-1], self.size))) if sizes else []
        if not sizes and self._trust is not None and self._trust.witnesses:
            flaws.append(Flaw("checkpoint-missing", "no checkpoint is kept that a witness could have cosigned"))
        return flaws

    def _pin_flaws(self) -> list[Flaw]:
        pinned = self._pinned
        if pinned is None:
            return []
        if pinned.origin != self.origin:
            return [Flaw("log-forked", f"the pinned checkpoint is of {pinned.origin}, this is {self.origin}")]
        if pinned.size > self.size:
            return [Flaw("log-rewound", f"the log has {self.size} entries, the pinned checkpoint {pinned.size}")]
        return self._same_root(pinned, self._tree(self.size), "the pinned checkpoint")

    def _same_root(self, checkpoint: Checkpoint, tree: Tree, name: str) -> list[Flaw]:
        try:
            if tree.root_of(checkpoint.size) == checkpoint.root:
                return []
            if Tree(self._store.backend, checkpoint.size, from_entries=True).root() == checkpoint.root:
                return [Flaw("tile-differs", f"the tiles do not lead to {name} of {checkpoint.size} entries")]
        except KeyAbsent as error:
            return [Flaw("log-gap", f"an entry is missing: {error}")]
        except IntegrityError as error:
            return [Flaw("tile-differs", str(error))]
        return [Flaw("log-forked", f"the first {checkpoint.size} entries are not those of {name}")]

    def _kept_flaws(self, size: int, tree: Tree) -> list[Flaw]:
        """Judge the checkpoint kept for a size."""
        kept = Checkpoints(self._store.backend)
        try:
            note = kept.merged(size)
        except SignatureInvalid as error:
            forked = len({data.partition(b"\n\n")[0] for data in kept.at(size).values()}) > 1
            return [
                Flaw("log-forked" if forked and self._readable(kept.at(size)) else "checkpoint-invalid", str(error))
            ]
        checkpoint, flaws = checkpoint_flaws(note, self.origin, self.keyring, self._trust)
        if checkpoint is None:
            return flaws
        if checkpoint.size != size:
            return [Flaw("checkpoint-invalid", f"the checkpoint of {checkpoint.size} entries is kept as of {size}")]
        if checkpoint.size > self.size:
            message = f"the log has {self.size} entries, a signed checkpoint {checkpoint.size}"
            return [*flaws, Flaw("log-truncated", message)]
        return flaws + self._same_root(checkpoint, tree, "the signed checkpoint")

    def _readable(self, kept: dict[str, bytes]) -> bool:
        """Tell whether all notes are whole and signed by known keys: only then do they contradict each other."""
        try:
            return all(
                any(notes.signed_by(notes.load(data), self.origin, s.public) for s in self.keyring.states.values())
                for data in kept.values()
            )
        except SignatureInvalid:
            return False

    # --- the whole

    def all_flaws(self) -> list[Flaw]:
        """Check every entry, tile and checkpoint; nothing derived is believed. Costs time in proportion to the log."""
        names = self._store.backend.names(FOLDER)
        places = [int(name) for name in names if name.isdecimal() and entry_key(int(name)).endswith(name)]
        count = len(places)
        flaws = [*self.key_flaws, *self._unrecorded_keys(), *self._copy_flaws()]
        if places and places[-1] != count - 1:
            missing = sorted(set(range(places[-1])) - set(places))
            flaws.append(Flaw("log-gap", f"entries are missing: {', '.join(map(str, missing[:10]))}"))
            return flaws
        flaws += self._entries_flaws(count)
        tree = Tree(self._store.backend, count, from_entries=True)
        flaws += self._tile_flaws(tree)
        sizes = self._checkpoint_sizes
        for size in sizes:
            found = self._kept_flaws(size, tree)
            # An older checkpoint by a key that was revoked since is replaced by the newest.
            flaws += [flaw for flaw in found if size == sizes[-1] or flaw.code not in _STALE]
        return flaws + self._pin_flaws() + self._stamp_flaws(tree)

    def _stamp_flaws(self, tree: Tree) -> list[Flaw]:
        """Verify time stamps, where the trust file says whose count."""
        if self._trust is None or self._trust.timestamp_ca is None:
            return []
        stamps = Checkpoints(self._store.backend).stamps()
        flaws = []
        for size, reply in stamps:
            try:
                text = Checkpoint(self.origin, size, tree.root_of(size)).text()
                timestamp.check(text.encode(), reply, self._trust.timestamp_ca)
            except (IntegrityError, KeyAbsent) as error:
                flaws.append(Flaw("timestamp-invalid", f"of the checkpoint of {size} entries: {error}"))
        if len(flaws) == len(stamps):
            flaws.append(Flaw("timestamp-missing", f"none of {len(stamps)} time stamps over the log holds"))
        return flaws

    def _entries_flaws(self, count: int) -> Iterator[Flaw]:
        before, latest = None, ""
        copies = dict(self.key_events)
        for index in range(count):
            data = self.leaf(index)
            entry, flaws = entry_flaws(data, index, self.keyring, self._trust)
            yield from flaws
            if entry is not None:
                yield from neighbour_flaws(before, entry, index)
                yield from time_flaws(entry, latest, None, self._trust)
                latest = max(latest, entry.time)
                if entry.kind == "key" and entry.event in {RETIRE, REVOKE} and index not in copies:
                    yield Flaw("key-event-hidden", f"entry {index} about key {(entry.subject or '')[:12]} has no copy")
            before = data

    def _tile_flaws(self, tree: Tree) -> Iterator[Flaw]:
        """Hold every kept tile against what the entries give."""
        for key in self._store.backend.list(TILES):
            named = parse_tile_key(key)
            try:
                expected = self._tile(tree, *named) if named is not None else None
            except KeyAbsent:
                expected = None
            if expected is None:
                yield Flaw("tile-differs", f"{key} is no tile of a log of {tree.size} entries")
            elif self._or_nothing(lambda key=key: self._store.backend.get(key)) != expected:  # type: ignore[misc]
                yield Flaw("tile-differs", f"{key} is not what the entries give")

    def _tile(self, tree: Tree, level: int | str, number: int, width: int) -> bytes | None:
        if isinstance(level, str):
            first = number * TILE_LEAVES
            return bundle_of([self.leaf(index) for index in range(first, first + width)])
        return b"".join(tree.tile(level, number)[:width]) if width <= tree.width(level, number) else None


def _loaded(events: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Entry]]:
    for index, data in events:
        try:
            yield index, load(data, index)
        except IntegrityError:
            continue
