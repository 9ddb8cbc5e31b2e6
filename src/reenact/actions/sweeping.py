"""Sweep a store: survey, condemn, wait for writers, delete; and repack on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

from reenact.actions.marking import Marks
from reenact.actions.unsealed import is_kept_here
from reenact.errors import KeyAbsent
from reenact.ids import RunId
from reenact.store.leases import Lease, is_gone
from reenact.store.opening import Store
from reenact.store.repacking import Packed, worth_repacking
from reenact.store.sweep import ABANDONED_SECONDS, GRACE_SECONDS, OBJECTS, Survey, Sweep, survey

__all__ = ["SweepRequest", "Swept", "sweep", "would_sweep"]

_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """How to sweep."""

    grace_seconds: float = GRACE_SECONDS
    abandoned_seconds: float = ABANDONED_SECONDS
    wait_seconds: float = 60.0
    """How long to wait for recordings that are going on; after that nothing is deleted."""
    repack: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was deleted, or would be."""

    objects: int = 0
    """Files of single objects."""
    packs: int = 0
    repacked: int = 0
    """Packs that were written anew into others."""
    freed_bytes: int = 0
    """What the store is smaller by: what was deleted, less what repacking wrote."""
    young_bytes: int = 0
    """Unreferenced, and left because they are within the grace period."""
    dead_in_packs_bytes: int = 0
    """Unreferenced, and left because others in their packs are needed: repacking frees them."""
    waiting_for: tuple[str, ...] = ()
    """Runs that are being recorded: because of them nothing was deleted."""
    unreadable: tuple[str, ...] = ()
    """Packs and indexes that are damaged, and were left alone."""


def would_sweep(store: Store, marks: Marks, request: SweepRequest, *, but_not: Container[RunId] = ()) -> Swept:
    """Tell what a sweep would do now.

    Args:
        store: The store.
        marks: What its runs refer to.
        request: How it would be done.
        but_not: Runs that count as gone.

    Raises:
        IntegrityError: a record cannot be read, so that nobody knows what it refers to.
        StoreError: the store cannot be read.
    """
    found = survey(store.backend, marks.marked(but_not), now=time.time(), grace_seconds=request.grace_seconds)
    chosen = worth_repacking(found.packs) if request.repack else []
    gained = sum(_dead_bytes(pack) for pack in chosen)
    return _summary(found, found.dead_bytes + gained, repacked=len(chosen), left=_dead_in_packs(found) - gained)


def sweep(store: Store, marks: Marks, request: SweepRequest, say: Callable[[str], None] = lambda _: None) -> Swept:
    """Delete what no record refers to.

    Raises:
        IntegrityError, StoreError: as :func:`would_sweep`; or another sweep is going on, or the store cannot be written.
    """
    say("looking for what nothing refers to")
    found = survey(store.backend, marks.marked(), now=time.time(), grace_seconds=request.grace_seconds)
    values, repacked, written = list(found.dead), 0, 0
    damaged: tuple[str, ...] = ()
    if request.repack and (chosen := worth_repacking(found.packs)):
        say(f"repacking {len(chosen)} packs")
        names, bad, written = store.repack(chosen)
        repacked, damaged = len(names), tuple(bad)
        values += store.values_of_packs(names)
    work = store.sweep(marks.marked, gone=lambda lease: _is_gone(store, lease, request.abandoned_seconds))
    work.condemn(values)
    waiting = _wait(work, request.wait_seconds, say)
    if waiting:
        work.withdraw()
        return _summary(found, -written, repacked=repacked, damaged=damaged, waiting=waiting, deleted=())
    deleted = []
    for value in work.delete():
        deleted.append(value.key)
        say(f"deleted {len(deleted)} of {len(values)} values")
    gone = set(deleted)
    freed = sum(value.stored_bytes for value in values if value.key in gone)
    return _summary(found, freed - written, repacked=repacked, damaged=damaged, deleted=tuple(deleted))


def _wait(work: Sweep, seconds: float, say: Callable[[str], None]) -> tuple[str, ...]:
    """Wait for writers that were at work before; give the runs of those that still are."""
    until = time.monotonic() + seconds
    while waiting := work.waits_for():
        if time.monotonic() >= until:
            return tuple(sorted({lease.subject for lease in waiting}))
        say(f"waiting for the recording of run {waiting[0].subject} to end")
        time.sleep(_LOOK_SECONDS)
    return ()


def _is_gone(store: Store, lease: Lease, abandoned_seconds: float) -> bool:
    if is_gone(lease.holder):
        return True
    if lease.kept and is_kept_here(store, lease.subject):
        return True  # What that run refers to is marked.
    try:
        return time.time() - store.backend.modified(lease.key) > abandoned_seconds
    except KeyAbsent:
        return True


def _summary(
    found: Survey,
    freed: int,
    *,
    repacked: int = 0,
    left: int | None = None,
    damaged: tuple[str, ...] = (),
    waiting: tuple[str, ...] = (),
    deleted: tuple[str, ...] | None = None,
) -> Swept:
    keys = [value.key for value in found.dead] if deleted is None else list(deleted)
    files = sum(key.startswith(f"{OBJECTS}/") for key in keys)
    packs = sum(key.endswith(".pack") for key in keys) - (repacked if deleted is not None else 0)
    return Swept(
        objects=files,
        packs=max(packs, 0),
        repacked=repacked,
        freed_bytes=freed,
        young_bytes=found.young,
        dead_in_packs_bytes=_dead_in_packs(found) if left is None else left,
        waiting_for=waiting,
        unreadable=(*found.unreadable, *damaged),
    )


def _dead_in_packs(found: Survey) -> int:
    return sum(_dead_bytes(pack) for pack in found.packs if pack.needed)


def _dead_bytes(pack: Packed) -> int:
    return max(pack.contents.pack_bytes - 8 - pack.needed_bytes, 0)
