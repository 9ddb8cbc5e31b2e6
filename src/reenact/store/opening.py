"""Open a store: find its place, make it when wanted, and refuse what this version cannot read.

Cheap: one small file is read. The caches are opened when first asked.
"""

from __future__ import annotations

import contextlib
import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from reenact import atomic
from reenact.errors import KeyAbsent, StoreError
from reenact.ids import RunId
from reenact.store.backends.folder import FolderBackend
from reenact.store.custody import Custody
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.failures import store_error
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.leases import Leases, condemned
from reenact.store.local import cache_folder, stat_cache_name, temporary_folder
from reenact.store.public_keys import PublicKeyFolder
from reenact.store.runs import Runs
from reenact.store.statcache import StatCache
from reenact.store.versions import Versions
from reenact.store.writer import ObjectWriter, temporary_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from reenact.digests import Digest
    from reenact.store.leases import Lease
    from reenact.store.objects import ObjectReader
    from reenact.store.publishing import Ready
    from reenact.store.repacking import Packed
    from reenact.store.sweep import Dead, Sweep

__all__ = ["FORMAT", "Store", "open_store"]

FORMAT: Final = 1
"""The layout this version reads and writes."""
_DESCRIPTION: Final = "store.json"
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Store:
    """An open store. Usable across a fork; its parts say what they allow among threads."""

    def __init__(
        self,
        *,
        backend: Backend,
        store_id: str,
        journals: str,
        cache: str,
        deltas: DeltaPolicy = DeltaPolicy(),  # noqa: B008 - frozen
    ) -> None:
        """Put a store together; see :func:`open_store`.

        Args:
            backend: Where its values are.
            store_id: A UUID, in the store since it was made.
            journals: Local folder for live runs; made by whoever writes the first.
            cache: Local folder for derived, deletable files; made likewise.
            deltas: What its writers may keep as deltas.
        """
        self.backend = backend
        self.id = store_id
        self.journals = journals
        self.cache = cache
        self.deltas = deltas
        self.runs = Runs(backend)
        self.keys = PublicKeyFolder(backend)
        self.leases = Leases(backend)
        self.custody = Custody(backend)
        self._index = ObjectIndex(backend, os.path.join(cache, "objects.sqlite"))

    @property
    def location(self) -> str:
        """What a person would write to name this store."""
        return self.backend.location

    @cached_property
    def objects(self) -> ObjectReader:
        """Its objects."""
        from reenact.store.objects import ObjectReader  # noqa: PLC0415 - 10 ms that most recordings do not need

        return ObjectReader(self.backend, self._index)

    @cached_property
    def stats(self) -> StatCache:
        """What files of this host were, by their stat."""
        return StatCache(os.path.join(self.cache, stat_cache_name()))

    @cached_property
    def versions(self) -> Versions:
        """What the files of jobs held last, to this host's knowledge."""
        return Versions(os.path.join(self.cache, "versions.sqlite"))

    def writer(self, run_id: RunId) -> ObjectWriter:
        """Make a writer for the objects of a run, in the process that will use it.

        What it relies upon is kept by any sweep until the run is put, or this process ends.

        Raises:
            StoreError: the store cannot be written.
        """
        staging = self._staging()
        self.leases.take(run_id)
        # In this order: whoever sweeps waits for the lease, or has named what it will delete before.
        named = condemned(self.backend)
        self._index.forget_packs()
        return ObjectWriter(self.backend, self._index, run_id, staging, self.deltas, named)

    def sweep(self, mark: Callable[[], AbstractSet[Digest]], *, gone: Callable[[Lease], bool]) -> Sweep:
        """Prepare a sweep; see :class:`reenact.store.sweep.Sweep`."""
        from reenact.store.sweep import Sweep  # noqa: PLC0415 - most who open a store do not sweep it

        return Sweep(self.backend, self._index, mark, gone=gone)

    def repack(self, packs: Iterable[Packed]) -> tuple[list[str], list[str], int]:
        """Write what is needed of packs into new ones; see :func:`reenact.store.repacking.repack`.

        Returns:
            The names of the packs that can go, and of those that are damaged; and the bytes that were written.

        Raises:
            StoreError: the store cannot be read or written.
        """
        from reenact.store.repacking import repack  # noqa: PLC0415 - same

        written = 0

        def note(pack: Ready) -> None:
            nonlocal written
            written += pack.pack_bytes + len(pack.contents)
            self._index.add_pack(pack.name, pack.digests)

        names, damaged = repack(self.backend, packs, self._staging(), note)
        return names, damaged, written

    def values_of_packs(self, names: Iterable[str]) -> list[Dead]:
        """Give the keys and sizes of packs and their indexes, for a sweep to delete."""
        from reenact.store.sweep import pack_values  # noqa: PLC0415 - same

        return pack_values(self.backend, names)

    def discard_unfinished(self, run_id: RunId) -> int:
        """Delete what writers of a run left that were killed; give the number of files. Only when none is alive.

        Raises:
            StoreError: the store cannot be written.
        """
        folder = self._staging()
        prefix = temporary_prefix(run_id)
        deleted = 0
        try:
            for name in os.listdir(folder):
                if name.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(folder, name))
                        deleted += 1
        except OSError as error:
            raise store_error(error, f"clear {folder}") from error
        self.leases.release(run_id)
        return deleted

    def close(self) -> None:
        """Close the caches; the next use opens them again."""
        self._index.close()
        for name in ("stats", "versions"):
            if name in self.__dict__:
                getattr(self, name).close()

    def _staging(self) -> str:
        return self.backend.staging() or temporary_folder()


def open_store(
    location: str,
    *,
    create: bool,
    deltas: DeltaPolicy = DeltaPolicy(),  # noqa: B008 - frozen
) -> Store:
    """Open the store at a location: the path of a folder.

    Args:
        location: Where it is.
        create: Make it when it is not there; safe when several processes do.
        deltas: What writers may keep as deltas.

    Raises:
        StoreError: there is none, it cannot be made, or it is of a kind or version this program does not know.
    """
    scheme, separator, _ = location.partition("://")
    if separator:
        raise StoreError(f"no store can be opened at {location!r}: {scheme} is not known", hint="name a folder")
    root = os.path.abspath(location)
    backend = FolderBackend(root)
    try:
        description = backend.get(_DESCRIPTION)
    except KeyAbsent:
        if not create:
            raise StoreError(
                f"there is no store at {root}", hint="name one with --store or REENACT_STORE, or make one: reenact init"
            ) from None
        description = _create(root, backend)
    store_id = _read_description(description, backend.location)
    return Store(
        backend=backend,
        store_id=store_id,
        journals=os.path.join(root, "journals"),
        cache=cache_folder(root, store_id, dict(os.environ)),
        deltas=deltas,
    )


def _create(root: str, backend: FolderBackend) -> bytes:
    """Make a store, or lose to another process that does; give its description."""
    from reenact import canonical  # noqa: PLC0415 - only where a store is made

    description = {
        "format": FORMAT,
        "id": _new_id(),
        "digest_names": "plain",
        "encryption": None,
    }
    try:
        # It will hold copies of whatever jobs read, so at first it is for its owner alone; opening it is one chmod.
        os.makedirs(os.path.dirname(root), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(root, mode=0o700)
        # A store often lies in a work tree; its content is never meant for git.
        atomic.put_if_absent(os.path.join(root, ".gitignore"), b"*\n", durable=False)
    except OSError as error:
        raise store_error(error, f"make a store at {root}") from error
    backend.put_if_absent(_DESCRIPTION, canonical.dumps_plain(description) + b"\n")
    return backend.get(_DESCRIPTION)


def _new_id() -> str:
    import uuid  # noqa: PLC0415 - only where a store is made

    return str(uuid.uuid4())


def _read_description(data: bytes, location: str) -> str:
    """Give the id of a store; refuse one this program would misread."""
    import json  # noqa: PLC0415 - a third of the time of the faster decoder's import

    try:
        description: Any = json.loads(data)
        layout, store_id = description["format"], description["id"]
        if _ID.fullmatch(store_id) is None:
            raise ValueError(f"not an id: {store_id!r}")  # noqa: TRY301 - as any other malformed field
        names, encryption = description["digest_names"], description["encryption"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{location}/{_DESCRIPTION} cannot be read: {error!r}", hint="restore it from a copy"
        ) from error
    if layout != FORMAT:
        raise StoreError(
            f"the store at {location} has format {layout!r}; this program reads format {FORMAT}",
            hint="upgrade reenact; the store is untouched",
        )
    if names != "plain" or encryption is not None:
        raise StoreError(
            f"the store at {location} is encrypted or names its objects by a key, which this program cannot read",
            hint="upgrade reenact; the store is untouched",
        )
    return str(store_id)
