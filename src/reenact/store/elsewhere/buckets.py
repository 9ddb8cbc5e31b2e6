"""Bytes in a bucket of an object store, by their address and, where it is known, their version.

The version is that of the store (``version:…``) where the bucket keeps versions, else the entity tag (``etag:…``). Not through
:mod:`reenact.store.backends.object_store`: objects of others have names that no store of ours would give, and are asked for by
version.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from reenact.store.bucket_library import load_library
from reenact.store.elsewhere.interface import BLOCK_BYTES, Place, Unavailable

__all__ = ["bucket_place", "version_of"]

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
_PATIENCE: Final = timedelta(seconds=20)
_ASK_PATIENCE: Final = timedelta(seconds=3)
"""A recording does not wait longer to learn a version: without it the digest still tells whether the bytes are the same."""


def bucket_place(url: str, version: str | None) -> Place:
    """Give the place of an object.

    Args:
        url: ``s3://bucket/key``, also ``gs://`` and ``az://``.
        version: See the module; None for whatever is there.
    """
    what = f"the object {url}" + (f", {version.replace(':', ' ', 1)}" if version else "")
    return Place(what=what, blocks=lambda: _blocks(url, version, what))


def version_of(url: str) -> str:
    """Ask for the version of an object that is there now.

    Raises:
        Unavailable: it cannot be told.
    """
    what = f"the object {url}"
    library, store, key = _opened(url, what, _ASK_PATIENCE)
    try:
        found = library.head(store, key)
    except (library.exceptions.BaseError, OSError, ValueError) as error:
        raise Unavailable(f"{what} cannot be asked for: {_first_line(error)}") from error
    if found.get("version"):
        return f"version:{found['version']}"
    if found.get("e_tag"):
        return f"etag:{found['e_tag'].strip(chr(34))}"
    raise Unavailable(f"{what} has neither a version nor an entity tag")


def _blocks(url: str, version: str | None, what: str) -> Iterator[bytes]:
    library, store, key = _opened(url, what, _PATIENCE)
    kind, _, value = (version or "").partition(":")
    options: dict[str, str] = {"version": value} if kind == "version" else {}
    try:
        # An entity tag is not asked for: bytes that went up again in other parts have another one, and the digest decides.
        for block in library.get(store, key, options=options).stream(min_chunk_size=BLOCK_BYTES):
            yield bytes(block)
    except (library.exceptions.BaseError, OSError, ValueError) as error:
        raise Unavailable(f"{what} cannot be read: {_first_line(error)}") from error


def _opened(url: str, what: str, patience: timedelta) -> tuple[Any, Any, str]:
    """Give the library, the bucket and the key."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    try:
        library, stores = load_library()
    except ImportError:
        raise Unavailable(f"{what} cannot be read: install reenact[s3]") from None
    except RuntimeError as error:
        raise Unavailable(f"{what} cannot be read from this process: {error}") from None
    plain_http = any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
    client: dict[str, Any] = {"timeout": timedelta(minutes=5), "connect_timeout": timedelta(seconds=10)}
    if plain_http:
        client["allow_http"] = True
    open_bucket: Any = stores.from_url  # its overloads take constants only
    try:
        opened = open_bucket(
            f"{scheme}://{bucket}", client_options=client, retry_config={"retry_timeout": patience, "max_retries": 3}
        )
    except (library.exceptions.BaseError, ValueError) as error:
        raise Unavailable(f"{what} cannot be opened: {_first_line(error)}") from error
    return library, opened, key


def _first_line(error: BaseException) -> str:
    """Give what an error says, without the request it repeats below."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
