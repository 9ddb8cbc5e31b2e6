"""Where an object may be read from, as far as is known without listing anything."""

from __future__ import annotations

from collections.abc import Iterator

from reenact import digests
from reenact.digests import Digest
from reenact.errors import KeyAbsent
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import object_key
from reenact.store.stored import Place, in_file, in_pack

__all__ = ["places_of"]


def places_of(backend: Backend, index: ObjectIndex, digest: Digest) -> Iterator[Place]:
    """Give the places of an object: packs first, then a file of its own."""
    raw = digests.to_raw(digest)
    for pack, record in index.places(raw):
        yield in_pack(pack.name, record)
    key = object_key(raw)
    try:
        yield in_file(key, backend.size(key))
    except KeyAbsent:
        return
