"""Make a pack that was written count: the pack, then its index, each put if it is absent, and replaced where it is damaged."""

from __future__ import annotations

from typing import NamedTuple

from reenact.errors import ValueDamaged
from reenact.store.interface import Backend
from reenact.store.packs import index_key, pack_key

__all__ = ["Ready", "publish"]


class Ready(NamedTuple):
    """A pack that is written and durable in a temporary file."""

    name: str
    """Hex SHA-256 of its bytes."""
    pack_bytes: int
    path: str
    contents: bytes
    """Its index."""
    digests: list[bytes]
    """Raw digests of its objects, sorted."""


def publish(backend: Backend, pack: Ready) -> None:
    """Put a pack and its index; the file is taken over.

    Raises:
        StoreError: they cannot be written.
    """
    key = pack_key(pack.name)
    if backend.exists(key) and backend.size(key) != pack.pack_bytes:
        # Cut short by a failing disk or a hand; what it is named for is put in its place.
        backend.delete(key)
    backend.put_file_if_absent(key, pack.path)
    # The index last: a pack counts from then on.
    key = index_key(pack.name)
    if not backend.put_if_absent(key, pack.contents) and not _holds(backend, key, pack.contents):
        backend.delete(key)
        backend.put_if_absent(key, pack.contents)


def _holds(backend: Backend, key: str, contents: bytes) -> bool:
    try:
        return backend.get(key) == contents
    except ValueDamaged:
        return False
