"""Open a store: find its place, make it when wanted, and refuse what this version cannot read.

Cheap: one small file is read. The caches are opened when first asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from reenact import atomic
from reenact.errors import KeyAbsent, StoreError, StoreKeysChanged
from reenact.ids import RunId
from reenact.store.access import Access, connect, guarded, spared
from reenact.store.backends.folder import FolderBackend
from reenact.store.custody import Custody
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.description import (
    DESCRIPTION,
    FORMAT,
    KEYS_FOLDER,
    SCHEME,
    Description,
    check_encryption,
    is_remote,
    journals_folder,
    kept_description,
    parse_description,
    private_folders,
)
from reenact.store.failures import store_error
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.leases import Leases, condemned
from reenact.store.local import cache_folder, private_folder, stat_cache_name, temporary_folder
from reenact.store.public_keys import PublicKeyFolder
from reenact.store.runs import Runs
from reenact.store.statcache import StatCache
from reenact.store.versions import Versions
from reenact.store.writer import ObjectWriter, temporary_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from reenact.digests import Digest
    from reenact.store.backends.encrypted import EncryptedBackend
    from reenact.store.crypt.keyring import KeyRing
    from reenact.store.leases import Lease
    from reenact.store.objects import ObjectReader
    from reenact.store.publishing import Ready
    from reenact.store.repacking import Packed
    from reenact.store.scrub import Scrubber
    from reenact.store.sweep import Dead, Sweep

__all__ = ["FORMAT", "Store", "open_store"]


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
        access: Access = Access(),  # noqa: B008 - frozen
        staging: str | None = None,
        sealed: EncryptedBackend | None = None,
    ) -> None:
        """Put a store together; see :func:`open_store`.

        Args:
            backend: Where its values are.
            store_id: A UUID, in the store since it was made.
            journals: Local folder for live runs; made by whoever writes the first.
            cache: Local folder for derived, deletable files; made likewise.
            deltas: What its writers may keep as deltas.
            access: How it is reached; told for whoever opens it again.
            staging: Local folder for files that are being made, where the backend has none; made when needed.
            sealed: What encrypts and decrypts its values; None where nothing does.
        """
        self.backend = backend
        self.id = store_id
        self.journals = journals
        self.cache = cache
        self.deltas = deltas
        self.access = access
        self._staging_folder = staging
        self.sealed = sealed
        self.runs = Runs(backend)
        self.keys = PublicKeyFolder(backend)
        self.leases = Leases(backend)
        self.custody = Custody(backend)
        self._index = ObjectIndex(backend, os.path.join(cache, "objects.sqlite"))

    @property
    def location(self) -> str:
        """What a person would write to name this store."""
        return self.backend.location

    @property
    def folders(self) -> tuple[str, ...]:
        """Local folders that are the store's, on this host."""
        own = () if is_remote(self.location) else (self.location,)
        return (*own, os.path.dirname(self.journals), self.cache)

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

    def writer(self, run_id: RunId, folder: str | None = None) -> ObjectWriter:
        """Make a writer for the objects of a run, in the process that will use it.

        What it relies upon is kept by any sweep until the run is put, or this process ends.

        Args:
            run_id: Which run.
            folder: Where its temporary files go, below :meth:`staging`; without one there.

        Raises:
            StoreError: the store cannot be written.
        """
        folder = folder or self.staging()
        self.leases.take(run_id)
        # In this order: whoever sweeps waits for the lease, or has named what it will delete before.
        named = condemned(self.backend)
        self._index.forget_packs()
        return ObjectWriter(self.backend, self._index, run_id, folder, self.deltas, named)

    def sweep(self, mark: Callable[[], AbstractSet[Digest]], *, gone: Callable[[Lease], bool]) -> Sweep:
        """Prepare a sweep; see :class:`reenact.store.sweep.Sweep`."""
        from reenact.store.sweep import Sweep  # noqa: PLC0415 - most who open a store do not sweep it

        return Sweep(self.backend, self._index, mark, gone=gone)

    def scrubber(self, backend: Backend, *, content: bool) -> Scrubber:
        """Prepare to hash what is stored of objects, read through a backend; see :class:`reenact.store.scrub.Scrubber`."""
        from reenact.store.scrub import Scrubber  # noqa: PLC0415 - same

        return Scrubber(backend, self._index, content=content)

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

        names, damaged = repack(self.backend, packs, self.staging(), note)
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
        folders = {self.staging()}
        if self.sealed is not None and (encrypted := self.sealed.inner.staging()) is not None:
            folders.add(encrypted)
        deleted = sum(_clear(folder, temporary_prefix(run_id)) for folder in folders)
        self.leases.release(run_id)
        return deleted

    def clear_leftovers(self) -> int:
        """Delete the old unfinished files of killed processes in local folders; give the bytes that were freed."""
        from reenact.store.leftovers import clear_leftovers  # noqa: PLC0415 - rare

        folders = {self.staging()}
        if os.path.isdir(self.location):
            folders.add(self.location)
        return clear_leftovers(folders, {lease.subject for lease in self.leases.all()})

    def close(self) -> None:
        """Close the caches; the next use opens them again."""
        self._index.close()
        for name in ("stats", "versions"):
            if name in self.__dict__:
                getattr(self, name).close()

    def staging(self) -> str:
        """Give the existing local folder where unfinished files of this store are made.

        Raises:
            StoreError: it cannot be made.
        """
        folder = self.backend.staging()
        if folder is None:
            folder = self._staging_folder or temporary_folder()
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            except OSError as error:
                raise store_error(error, f"make {folder}") from error
        return folder


def _clear(folder: str, prefix: str) -> int:
    deleted = 0
    try:
        for name in os.listdir(folder):
            if name.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))
                    deleted += 1
    except OSError as error:
        raise store_error(error, f"clear {folder}") from error
    return deleted


def open_store(
    location: str,
    *,
    create: bool,
    deltas: DeltaPolicy = DeltaPolicy(),  # noqa: B008 - frozen
    access: Access = Access(),  # noqa: B008 - frozen
    encrypt_to: Sequence[str] = (),
) -> Store:
    """Open the store at a location: the path of a folder, or the URL of a place in a bucket.

    Args:
        location: Where it is.
        create: Make it when it is not there; safe when several processes do.
        deltas: What writers may keep as deltas.
        access: How to reach it.
        encrypt_to: Recipients of age: a store that is made is encrypted, and they can read it. One that is there must be
            encrypted, and is left as it is.

    Raises:
        StoreError: there is none, it cannot be made, or it is of a kind or version this program does not know.
        StoreLocked: it is encrypted, and no identity at hand is for it.
        StoreKeysChanged: it is encrypted, and its keys are not those it had.
        UsageError: a recipient is none.
    """
    remote = is_remote(location)
    if not remote:
        location = os.path.abspath(location)
    backend = connect(location, access) if remote else FolderBackend(location)
    may_make = create and not access.read_only and bool(encrypt_to or not access.encrypted_only)
    told, description = _described(backend, encrypt_to, create=may_make)
    check_encryption(told, location, wanted=bool(encrypt_to), required=access.encrypted_only)
    _check_downgrade(told, backend)
    private = private_folders(told, os.environ)
    cache = private[1] if private else cache_folder(location, told.id, os.environ)
    staging = os.path.join(private[0], "staging") if private else None
    if remote:
        _keep_description(backend.location, description)
        backend = spared(backend, access, cache)
    sealed = None
    if told.encryption is not None and staging is not None:
        sealed = _unlocked(backend, told, staging)
        for folder in private:
            private_folder(folder)
    return Store(
        backend=guarded(sealed or backend, access),
        store_id=told.id,
        journals=journals_folder(location, told, os.environ),
        cache=cache,
        deltas=deltas,
        access=access,
        staging=staging,
        sealed=sealed,
    )


def _check_downgrade(told: Description, backend: Backend) -> None:
    # In a bucket that would be one request more for every command; storage.encryption = "required" guards both.
    if told.encryption is None and not is_remote(backend.location) and backend.names(f"{KEYS_FOLDER}/{told.id}"):
        raise StoreKeysChanged(
            f"the store at {backend.location} has the keys of an encrypted store, and says that it is none",
            hint=f"restore its {DESCRIPTION} from a copy you trust",
        )


def _unlocked(backend: Backend, told: Description, staging: str) -> EncryptedBackend:
    from reenact.store.backends.encrypted import EncryptedBackend  # noqa: PLC0415 - for encrypted stores only
    from reenact.store.crypt.unlocking import unlock  # noqa: PLC0415 - same

    def keys() -> KeyRing:
        return unlock(backend, told.id, os.environ)

    return EncryptedBackend(backend, keys(), staging, keys)


def _described(backend: Backend, encrypt_to: Sequence[str], *, create: bool) -> tuple[Description, bytes]:
    """Read what a store says of itself, after it was made where that is wanted."""
    try:
        description = backend.get(DESCRIPTION)
    except KeyAbsent:
        if not create:
            raise StoreError(
                f"there is no store at {backend.location}",
                hint="name one with --store or REENACT_STORE, or make one: reenact init (--encrypt for an encrypted one)",
            ) from None
        description = _create(backend, encrypt_to)
    return parse_description(description, backend.location), description


def _create(backend: Backend, encrypt_to: Sequence[str]) -> bytes:
    """Make a store, or lose to another process that does; give its description."""
    from reenact import canonical, digests  # noqa: PLC0415 - only where a store is made

    store_id = _new_id()
    keys: dict[str, bytes] = {}
    if encrypt_to:
        from reenact.store.crypt.unlocking import first_record  # noqa: PLC0415 - for encrypted stores only

        keys = first_record(store_id, encrypt_to)
    description: dict[str, object] = {
        "format": FORMAT,
        "id": store_id,
        "digest_names": "keyed" if encrypt_to else "plain",
        "encryption": SCHEME if encrypt_to else None,
    }
    # A changed byte must not make another store of it.
    description["check"] = digests.of_bytes(canonical.dumps_plain(description))
    if isinstance(backend, FolderBackend):
        _make_folder(backend.location)
    # Keys are under the id of their store: whoever loses the race leaves none that could be taken for the winner's.
    backend.put_group(keys, DESCRIPTION, canonical.dumps_plain(description) + b"\n")
    return backend.get(DESCRIPTION)


def _make_folder(root: str) -> None:
    try:
        # It will hold copies of whatever jobs read, so at first it is for its owner alone; opening it is one chmod.
        os.makedirs(os.path.dirname(root), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(root, mode=0o700)
        # A store often lies in a work tree; its content is never meant for git.
        atomic.put_if_absent(os.path.join(root, ".gitignore"), b"*\n", durable=False)
    except OSError as error:
        raise store_error(error, f"make a store at {root}") from error


def _keep_description(location: str, description: bytes) -> None:
    """Keep what a store in a bucket says of itself, so that the next recording can begin without asking it."""
    path = kept_description(location, os.environ)
    try:
        with open(path, "rb") as file:
            if file.read() == description:
                return
    except OSError:
        pass
    with contextlib.suppress(OSError):  # the next one asks again
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        atomic.replace(path, description, mode=0o600, durable=False)


def _new_id() -> str:
    import uuid  # noqa: PLC0415 - only where a store is made

    return str(uuid.uuid4())
