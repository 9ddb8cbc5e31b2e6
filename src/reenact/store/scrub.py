"""Hash all that is stored of objects: every file of one, every pack and every index, whatever refers to them.

Several threads, each with a block or two in memory. What is found is reported and never changed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec

from reenact import digests
from reenact.digests import BLOCK_BYTES, Digest
from reenact.errors import IntegrityError, KeyAbsent, StoreError
from reenact.store.bases import Bases
from reenact.store.forms import DELTA, LONGEST_HEADER_BYTES, SEGMENTS, Malformed, decode_header
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import named_object
from reenact.store.locate import places_of
from reenact.store.packs import FOLDER as PACKS
from reenact.store.packs import PACK_MAGIC, PackIndex, Record, index_key, pack_key
from reenact.store.stored import Place, content_digest, damage_of_stored, in_file, in_pack, whole_content

__all__ = ["OBJECTS", "Damage", "Scrubber", "each", "scan_pack"]

OBJECTS: Final = "objects"
THREADS: Final = 2

Kind = Literal["missing", "damaged", "stray"]


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one value."""

    key: str
    problem: Kind
    """`stray`: it is no part of a store, or not yet."""
    detail: str
    objects: tuple[Digest, ...] = ()
    """Those that it harms."""


def each(keys: Iterable[str], work: Callable[[str], None], threads: int = THREADS) -> None:
    """Do something for every key, several at once; the first error ends it, and is raised."""
    waiting = iter(keys)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def run() -> None:
        while not failures:
            with lock:
                key = next(waiting, None)
            if key is None:
                return
            try:
                work(key)
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                failures.append(error)

    others = [threading.Thread(target=run, name="reenact-scrub", daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    run()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]


class Scrubber:
    """Checks what is stored of objects. Safe for threads."""

    def __init__(self, backend: Backend, index: ObjectIndex, *, content: bool) -> None:
        """Prepare.

        Args:
            backend: Where they are.
            index: The store's packs.
            content: Decode objects and hash their content, too, not only their stored bytes.
        """
        self._backend = backend
        self._content = content
        self._bases = Bases(backend, lambda digest: places_of(backend, index, digest))

    def keys(self) -> list[str]:
        """Give what is to be checked: files of objects, and packs by the keys of their indexes."""
        found = list(self._backend.list(f"{OBJECTS}/"))
        names: dict[str, None] = {}
        for key in [*self._backend.list(f"{PACKS}/")]:
            name, _, suffix = key.rpartition("/")[2].rpartition(".")
            if suffix in {"idx", "pack"} and key in (index_key(name), pack_key(name)):
                names[name] = None
            else:
                found.append(key)
        return [*found, *map(index_key, names)]

    def check(self, key: str) -> list[Damage]:
        """Check one of :meth:`keys`."""
        try:
            if key.startswith(f"{OBJECTS}/"):
                return self._object(key)
            name = key.rpartition("/")[2].removesuffix(".idx")
            if key != index_key(name):
                return [Damage(key=key, problem="stray", detail="it is no pack and no index of one")]
            return self._pack(name)
        except KeyAbsent:
            return []  # deleted meanwhile; who needs it will be told
        except StoreError as error:
            return [Damage(key=key, problem="damaged", detail=str(error), objects=_named(key))]

    def _object(self, key: str) -> list[Damage]:
        named = _named(key)
        if not named:
            return [Damage(key=key, problem="stray", detail="its name is not that of an object")]
        (digest,) = named
        place = in_file(key, self._backend.size(key))
        found = damage_of_stored(self._backend, place, digests.to_raw(digest))
        if not found and self._content:
            found = self._wrong_content(place, digest)
        return [Damage(key=key, problem="damaged", detail=found, objects=named)] if found else []

    def _wrong_content(self, place: Place, digest: Digest) -> str:
        try:
            got = content_digest(self._bases.blocks(place, digest))
        except Malformed as error:
            # Of what it is made against, its own line will tell.
            return "" if "its base" in str(error) else str(error)
        return "" if got == digest else f"content with digest {got}"

    def _pack(self, name: str) -> list[Damage]:
        key = pack_key(name)
        try:
            index = PackIndex(name, self._backend.get(index_key(name)))
        except KeyAbsent:
            detail = "a pack without its index, which was deleted, or never put: nothing in it is found"
            return [Damage(key=key, problem="stray", detail=detail, objects=_scanned(self._backend, name))]
        except (IntegrityError, StoreError) as error:
            found = _scanned(self._backend, name)
            return [Damage(key=index_key(name), problem="damaged", detail=str(error), objects=found)]
        try:
            got = _digest(self._backend, key)
        except KeyAbsent:
            detail = "its index is there, and the pack is not"
            objects = tuple(map(digests.from_raw, index.digests()))
            return [Damage(key=key, problem="missing", detail=detail, objects=objects)]
        if got == name:
            return self._contents(index) if self._content else []
        harmed = tuple(
            digest for digest, record in _records(index) if _damage_in_pack(self._backend, name, digest, record)
        )
        detail = f"bytes with digest {got}, which harms {len(harmed)} of its {index.count} objects"
        return [Damage(key=key, problem="damaged", detail=detail, objects=harmed)]

    def _contents(self, index: PackIndex) -> list[Damage]:
        """Check the contents of a pack whose bytes are good."""
        bad = []
        for digest, record in _records(index):
            found = self._wrong_content(in_pack(index.name, record), digest)
            if found:
                bad.append(Damage(key=pack_key(index.name), problem="damaged", detail=found, objects=(digest,)))
        return bad


def _named(key: str) -> tuple[Digest, ...]:
    raw = named_object(key)
    return () if raw is None else (digests.from_raw(raw),)


def _digest(backend: Backend, key: str) -> str:
    state = hashlib.sha256()
    size_bytes = backend.size(key)
    for at in range(0, size_bytes, BLOCK_BYTES):
        state.update(backend.get_range(key, at, BLOCK_BYTES))
    return state.hexdigest()


def _records(index: PackIndex) -> Iterator[tuple[Digest, Record]]:
    for raw in index.digests():
        record = index.find(raw)
        if record is not None:
            yield digests.from_raw(raw), record


def _damage_in_pack(backend: Backend, name: str, digest: Digest, record: Record) -> str:
    try:
        return damage_of_stored(backend, in_pack(name, record), digests.to_raw(digest))
    except StoreError as error:
        return str(error)


def _scanned(backend: Backend, name: str) -> tuple[Digest, ...]:
    return tuple(digests.from_raw(raw) for raw, _ in scan_pack(backend, name))


def scan_pack(backend: Backend, name: str) -> Iterator[tuple[bytes, Record]]:
    """Find the objects of a pack without its index, up to the first that is damaged; raw digests, and where they are.

    What is found is good: each was decoded and hashed. Memory: the largest object.
    """
    at = len(PACK_MAGIC)
    key = pack_key(name)
    try:
        end = backend.size(key)
        while at < end:
            header = decode_header(backend.get_range(key, at, LONGEST_HEADER_BYTES))
            if header.form in {DELTA, SEGMENTS} or header.stored_bytes > end - at:
                return
            stored = backend.get_range(key, at, header.stored_bytes)
            payload = hashlib.sha256(memoryview(stored)[header.header_bytes :]).digest()
            record = Record(at, header.stored_bytes, header.content_bytes, payload)
            yield hashlib.sha256(whole_content(in_pack(name, record), stored)).digest(), record
            at += header.stored_bytes
    except (Malformed, StoreError):
        return
