"""Delete what nothing refers to, beside writers that may at any moment refer to it. No locks; see :mod:`reenact.store.leases`.

In this order, so that a process killed anywhere leaves nothing that is referred to and missing:

1. what is dead is found: neither marked nor a base of what is, and older than the grace period;
2. its keys are condemned, in one record; from here on writers that begin treat them as absent;
3. writers that were at work before are waited for;
4. what is marked is found again, and whatever of the condemned is among it by now is spared;
5. the rest is deleted, deltas before what they are made against, indexes before their packs;
6. the record is taken away.

What a killed sweep leaves is its record, which protects as before; the next sweep takes it away when it has done its own work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from reenact import clock, digests, ids
from reenact.digests import Digest
from reenact.errors import IntegrityError, KeyAbsent, StoreError
from reenact.store.closure import closure
from reenact.store.forms import Malformed
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend, Listed
from reenact.store.large import named_object, object_key
from reenact.store.leases import CONDEMNED, WRITERS, Lease, Leases, describe_process, is_gone
from reenact.store.packs import FOLDER as PACKS
from reenact.store.packs import PackIndex, index_key, pack_key
from reenact.store.repacking import Packed, keys_of_pack
from reenact.store.stored import in_file, read_header

__all__ = [
    "ABANDONED_SECONDS",
    "GRACE_SECONDS",
    "OBJECTS",
    "Dead",
    "Survey",
    "Sweep",
    "pack_values",
    "survey",
    "survey_without_bases",
]

OBJECTS: Final = "objects"
GRACE_SECONDS: Final = 3600.0
"""What is younger is left: writers of versions that put no leases, and times of other clocks."""
ABANDONED_SECONDS: Final = 7 * 86400.0
"""A lease this old, of a process that cannot be looked at from here, counts as left by one that is gone."""


class Dead(NamedTuple):
    """A value that nothing refers to."""

    key: str
    stored_bytes: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of objects, and what of it is needed."""

    dead: tuple[Dead, ...]
    """In the order in which they may be deleted."""
    packs: tuple[Packed, ...]
    """All that can be read, the dead ones too."""
    needed: frozenset[bytes]
    """Raw digests of all that is marked, and of what that is made against."""
    young: int
    """Bytes that are dead, and left because they are within the grace period."""
    unreadable: tuple[str, ...]
    """Keys of indexes that cannot be read: they, and their packs, are left alone."""

    @property
    def dead_bytes(self) -> int:
        """What deleting all of it frees."""
        return sum(value.stored_bytes for value in self.dead)


def survey(
    backend: Backend, marked: AbstractSet[Digest], *, now: float, grace_seconds: float = GRACE_SECONDS
) -> Survey:
    """Look at every object and every pack.

    Args:
        backend: Where they are.
        marked: All that records refer to.
        now: Seconds since 1970.
        grace_seconds: What was put later than so long ago is left.

    Raises:
        IntegrityError: an object that is marked cannot be read as far as what it is made against.
        StoreError: the store cannot be read.
    """
    files = _files(backend)
    needed = _needed(backend, marked, {raw: entry.size_bytes for raw, entry in files.items()})
    return _survey(backend, files, needed, now - grace_seconds)


def survey_without_bases(
    backend: Backend, needed: AbstractSet[Digest], *, now: float, grace_seconds: float = GRACE_SECONDS
) -> Survey:
    """Look at every object and every pack, where what is made against what is known, or cannot be. Never to delete by.

    Args:
        backend: Where they are.
        needed: All that records refer to, and what that is made against.
        now: Seconds since 1970.
        grace_seconds: As for :func:`survey`.

    Raises:
        StoreError: the store cannot be read.
    """
    return _survey(backend, _files(backend), {digests.to_raw(digest) for digest in needed}, now - grace_seconds)


def _files(backend: Backend) -> dict[bytes, Listed]:
    return {raw: entry for entry in backend.listing(f"{OBJECTS}/") if (raw := named_object(entry.key)) is not None}


def _survey(backend: Backend, files: dict[bytes, Listed], needed: set[bytes], before: float) -> Survey:
    found = _Surveyor(backend, before)
    packs, unreadable = found.packs(needed)
    loose = [entry for raw, entry in files.items() if raw not in needed]
    old = [entry for entry in loose if found.is_old(entry)]
    dead = [*_deltas_first(backend, old), *found.dead]
    return Survey(
        dead=tuple(dead), packs=tuple(packs), needed=frozenset(needed), young=found.young, unreadable=tuple(unreadable)
    )


class _Surveyor:
    def __init__(self, backend: Backend, before: float) -> None:
        self._backend = backend
        self._before = before
        self.young = 0
        self.dead: list[Dead] = []

    def is_old(self, entry: Listed) -> bool:
        """Tell whether a dead value may be deleted already."""
        if entry.modified > self._before:
            self.young += entry.size_bytes
            return False
        return True

    def packs(self, needed: AbstractSet[bytes]) -> tuple[list[Packed], list[str]]:
        """Give the packs, and the keys of indexes that cannot be read; note the values that are dead."""
        entries = {entry.key: entry for entry in self._backend.listing(f"{PACKS}/")}
        packs, unreadable = [], []
        names = dict.fromkeys(key.rpartition("/")[2].rpartition(".")[0] for key in entries)
        for name in names:
            parts = [entries[key] for key in keys_of_pack(name) if key in entries]
            if index_key(name) in entries:
                try:
                    index = PackIndex(name, self._backend.get(index_key(name)))
                except KeyAbsent:
                    continue
                except IntegrityError:
                    unreadable.append(index_key(name))
                    continue
                pack = Packed(index, frozenset(raw for raw in index.digests() if raw in needed))
                packs.append(pack)
                if pack.needed:
                    continue
            # Without its index a pack does not count: a commit was killed. It goes when nobody can be at it any more.
            if sum(map(self.is_old, parts)) == len(parts):
                self.dead += [Dead(entry.key, entry.size_bytes) for entry in parts]
        return packs, unreadable


def _needed(backend: Backend, marked: AbstractSet[Digest], files: dict[bytes, int]) -> set[bytes]:
    def base_of(digest: Digest) -> Digest | None:
        raw = digests.to_raw(digest)
        if raw not in files:
            return None  # in packs are whole objects only
        try:
            header, _ = read_header(backend, in_file(object_key(raw), files[raw]))
        except KeyAbsent:
            return None
        except Malformed as error:
            raise IntegrityError(
                f"object {digest} is damaged ({error}), and so nobody knows what it is made against: nothing is swept",
                hint="repair it with reenact scrub --repair-from, or put it aside with reenact scrub --quarantine",
            ) from error
        return None if header.base is None else digests.from_raw(header.base)

    bases = closure(marked, base_of)
    return {digests.to_raw(digest) for digest in {*marked, *bases, *bases.values()}}


def _deltas_first(backend: Backend, entries: Iterable[Listed]) -> list[Dead]:
    """Order dead objects so that none is left whose base is gone: a writer could take it for whole."""
    sizes = {
        raw: Dead(entry.key, entry.size_bytes) for entry in entries if (raw := named_object(entry.key)) is not None
    }
    bases: dict[bytes, bytes] = {}
    for raw, value in sizes.items():
        try:
            header, _ = read_header(backend, in_file(value.key, value.stored_bytes))
        except (Malformed, KeyAbsent):
            continue
        if header.base in sizes:
            bases[raw] = header.base
    above: dict[bytes, int] = dict.fromkeys(sizes, 0)
    for base in bases.values():
        above[base] += 1
    free = [raw for raw, count in above.items() if not count]
    ordered = []
    while free:
        ordered.append(free.pop())
        below = bases.get(ordered[-1])
        if below is not None:
            above[below] -= 1
            if not above[below]:
                free.append(below)
    circle = [raw for raw, count in above.items() if count]  # only a hand makes one
    return [sizes[raw] for raw in [*ordered, *circle]]


class Sweep:
    """One sweep, step by step: `condemn`, `waits_for` until it is empty, `delete`; or `withdraw`."""

    def __init__(
        self,
        backend: Backend,
        index: ObjectIndex,
        mark: Callable[[], AbstractSet[Digest]],
        *,
        gone: Callable[[Lease], bool] | None = None,
    ) -> None:
        """Prepare.

        Args:
            backend: The store's.
            index: Its packs.
            mark: Finds all that records refer to, as it is when it is called.
            gone: Tells whether what a lease protects is given up; as a rule, whether its process is gone.
        """
        self._backend = backend
        self._index = index
        self._mark = mark
        self._gone = gone or (lambda lease: is_gone(lease.holder))
        self._id = ids.new_run_id(clock.now_ns())
        self._leases: list[Lease] = []
        self._others: list[str] = []
        self._keys: list[Dead] = []

    def condemn(self, values: Iterable[Dead]) -> None:
        """Name what is going to be deleted.

        Raises:
            StoreError: another sweep is at work; or the store cannot be written.
        """
        self._keys = list(dict.fromkeys(values))
        head = json.dumps(describe_process(), sort_keys=True)
        data = "".join(f"{line}\n" for line in [head, *(value.key for value in self._keys)])
        self._backend.put_if_absent(self._key, data.encode())
        sweeps = Leases(self._backend, CONDEMNED).all()
        self._others = [lease.key for lease in sweeps if lease.key != self._key and self._gone(lease)]
        living = [lease for lease in sweeps if lease.key != self._key and lease.key not in self._others]
        if living:
            self.withdraw()
            host = living[0].holder.get("host", "an unknown host")
            raise StoreError(
                f"another sweep of this store is going on, on {host} since {living[0].holder.get('time', '?')}",
                hint="wait for it to end; one whose host is lost is passed over after --abandoned-after",
            )
        self._leases = Leases(self._backend).all()

    def waits_for(self) -> list[Lease]:
        """Give the writers that were at work before the condemnation, and still are."""
        there = set(self._backend.list(f"{WRITERS}/")) if self._leases else set()
        self._leases = [lease for lease in self._leases if lease.key in there and not self._gone(lease)]
        return self._leases

    def delete(self) -> Iterator[Dead]:
        """Delete what is still dead, giving each value after it is gone; then the condemnation ends.

        Raises:
            IntegrityError, StoreError: as :func:`survey`; what is left stays condemned until the next sweep.
        """
        if self.waits_for():
            raise StoreError("writers are at work: nothing can be deleted yet")
        self._index.look_again([])
        self._index.forget_packs()
        spared = self._spared()
        for value in self._keys:
            if value.key not in spared:
                self._backend.delete(value.key)
                yield value
        for lease in Leases(self._backend).all():
            # Those of processes that are gone protect nobody any more; one that is of none ends with its run.
            if not lease.kept and self._gone(lease):
                self._backend.delete(lease.key)
        for key in [*self._others, self._key]:
            self._backend.delete(key)

    def withdraw(self) -> None:
        """Give up: what was condemned is as it was."""
        self._backend.delete(self._key)

    @property
    def _key(self) -> str:
        return f"{CONDEMNED}/{self._id}"

    def _spared(self) -> set[str]:
        """Find what of the condemned is needed by now, and nowhere else."""
        marked = self._mark()
        keys = frozenset(value.key for value in self._keys)
        now = survey(self._backend, marked, now=float("inf"))
        spared = {key for key in keys if (raw := named_object(key)) is not None and raw in now.needed}
        for key in now.unreadable:
            # It could be read when it was condemned; what is in it is not known any more.
            spared.update(keys_of_pack(key.rpartition("/")[2].removesuffix(".idx")))
        for pack in now.packs:
            name = pack.contents.name
            if keys.isdisjoint(keys_of_pack(name)):
                continue
            if not all(self._is_elsewhere(raw, keys) for raw in pack.needed):
                spared.update(keys_of_pack(name))
        return spared

    def _is_elsewhere(self, raw: bytes, keys: frozenset[str]) -> bool:
        if self._index.holds(raw, keys):
            return True
        key = object_key(raw)
        return key not in keys and self._backend.exists(key)


def pack_values(backend: Backend, names: Iterable[str]) -> list[Dead]:
    """Give the values of packs in the order they may be deleted."""
    found = []
    for name in names:
        for key in (index_key(name), pack_key(name)):
            try:
                found.append(Dead(key, backend.size(key)))
            except KeyAbsent:
                continue
    return found
