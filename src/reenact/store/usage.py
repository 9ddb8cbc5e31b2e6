"""What each stored object takes, and in which form: headers and indexes are read, contents are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from reenact.errors import IntegrityError, KeyAbsent, StoreError
from reenact.store.forms import FORM_NAMES, HEADER_BYTES, RAW, ZSTD, Malformed
from reenact.store.interface import Backend
from reenact.store.large import named_object
from reenact.store.packs import FOLDER as PACKS
from reenact.store.packs import PackIndex
from reenact.store.scrub import OBJECTS
from reenact.store.stored import in_file, read_header

__all__ = ["UNREADABLE", "StoredObject", "stored_objects"]

UNREADABLE: Final = "unreadable"


class StoredObject(NamedTuple):
    """One object at one place."""

    digest: bytes
    """Raw."""
    form: str
    """As in :data:`reenact.store.forms.FORM_NAMES`, with `packed` before it in a pack."""
    content_bytes: int
    stored_bytes: int
    base: bytes | None
    """Raw digest of what it is made against."""


def stored_objects(backend: Backend) -> Iterator[StoredObject]:
    """Give all that is stored of objects; what cannot be read has the form :data:`UNREADABLE`. One small read a file.

    Raises:
        StoreError: the store cannot be listed.
    """
    for entry in [*backend.listing(f"{OBJECTS}/")]:
        raw = named_object(entry.key)
        if raw is None:
            continue
        try:
            header, _ = read_header(backend, in_file(entry.key, entry.size_bytes))
        except KeyAbsent:
            continue
        except (Malformed, StoreError):
            yield StoredObject(raw, UNREADABLE, 0, entry.size_bytes, None)
            continue
        yield StoredObject(raw, FORM_NAMES[header.form], header.content_bytes, entry.size_bytes, header.base)
    for key in [*backend.list(f"{PACKS}/")]:
        if key.endswith(".idx"):
            yield from _packed(backend, key)


def _packed(backend: Backend, key: str) -> Iterator[StoredObject]:
    try:
        index = PackIndex(key.rpartition("/")[2].removesuffix(".idx"), backend.get(key))
    except (IntegrityError, StoreError):
        return
    for raw in index.digests():
        record = index.find(raw)
        if record is not None:
            # In packs are whole objects only, and one that does not shrink stays as it is.
            form = RAW if record.stored_bytes - HEADER_BYTES == record.content_bytes else ZSTD
            name = f"packed {FORM_NAMES[form]}"
            yield StoredObject(raw, name, record.content_bytes, record.stored_bytes, None)
