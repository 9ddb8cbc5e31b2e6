"""How a store is reached, as values, and the backends put together that way.

From the place outwards: the connection, the pace, trying again, looking ahead, decryption (:mod:`reenact.store.opening`), what
is kept on this host, and the refusal to write. Each is a backend before a backend.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from reenact.store.interface import Backend

__all__ = ["Access", "connect", "guarded", "spared"]


class Access(NamedTuple):
    """What may be chosen about reaching a store."""

    read_only: bool = False
    """Refuse to write, whatever the place would allow."""
    encrypted_only: bool = False
    """Refuse a store that is not encrypted, and make none."""
    retry_seconds: float = 60.0
    """How long a place in a bucket that does not answer is asked again; 0 for once."""
    cache_max_bytes: int = 2 << 30
    """How much of what was read from a bucket this host keeps; 0 for nothing."""
    max_rate_bytes: int = 0
    """Most bytes a second to and from a bucket; 0 for any number."""
    requests_at_once: int = 16
    """Most requests to a bucket under way at a time."""
    looks_ahead: bool = True
    """Whether a listing may answer for what is asked one by one, for a minute, and values in a row be read before they are
    asked for. Not for who deletes by the answers."""


def connect(url: str, access: Access) -> Backend:
    """Give a backend for a store in a bucket, without what is kept on this host and what is encrypted.

    Raises:
        StoreError: there can be no connection, for the reason given.
    """
    from reenact.store.backends.object_store import ObjectStoreBackend  # noqa: PLC0415 - only for stores in buckets
    from reenact.store.backends.relay import RelayedBackend  # noqa: PLC0415
    from reenact.store.backends.remote import RemoteBackend  # noqa: PLC0415
    from reenact.store.backends.retry import RetryingBackend  # noqa: PLC0415
    from reenact.store.backends.throttle import Pace, ThrottledBackend  # noqa: PLC0415

    pace = Pace(access.max_rate_bytes) if access.max_rate_bytes else None
    patience = access.retry_seconds

    def direct() -> Backend:
        return ObjectStoreBackend(url, os.environ, patience_seconds=patience, pace=None if pace is None else pace.take)

    def relayed() -> Backend:
        return RelayedBackend(url, patience_seconds=patience, pace_bytes=access.max_rate_bytes)

    connection = RemoteBackend(direct, relayed)
    return RetryingBackend(ThrottledBackend(connection, pace, access.requests_at_once, files=False), patience)


def spared(backend: Backend, access: Access, cache: str) -> Backend:
    """Put before a place far away what spares it questions. Below any encryption: what is kept is as the place keeps it.

    Args:
        backend: The place.
        access: What was chosen.
        cache: This host's folder for derived files of the store.
    """
    from reenact.store.backends.ahead import AheadBackend  # noqa: PLC0415 - only for stores in buckets
    from reenact.store.backends.cache import CachingBackend  # noqa: PLC0415
    from reenact.store.backends.listed import ListedBackend  # noqa: PLC0415

    if access.looks_ahead:
        backend = AheadBackend(ListedBackend(backend))
    if access.cache_max_bytes:
        backend = CachingBackend(backend, os.path.join(cache, "values"), access.cache_max_bytes)
    return backend


def guarded(backend: Backend, access: Access) -> Backend:
    """Put before a backend, at the very top, what may not be done with it."""
    if access.read_only:
        from reenact.store.backends.read_only import ReadOnlyBackend  # noqa: PLC0415 - hardly ever

        backend = ReadOnlyBackend(backend)
    return backend
