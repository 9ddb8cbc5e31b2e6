"""A backend in the bucket of an object store: Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

A value is an object; it is put by one request that the server refuses when there is one (``If-None-Match: *``). Only a file
longer than :data:`SINGLE_PUT_BYTES` goes up in parts, whose completion servers do not make conditional (radosgw ignores the
header): two writers of one such file at the same time may both be told that they put it, and the later one's bytes stay. Such
files are stored objects and packs, whose names say what is in them, so nothing is lost by that.

For the process that made it: see :mod:`reenact.store.backends.remote`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

from reenact.atomic import AnyPath
from reenact.errors import KeyAbsent, StoreError
from reenact.store.backends.refusals import beyond_the_end, refusal, says_no_bucket
from reenact.store.bucket_library import load_library
from reenact.store.failures import store_error
from reenact.store.interface import Backend, Listed, check_key

__all__ = ["SINGLE_PUT_BYTES", "ObjectStoreBackend", "split_url"]

SINGLE_PUT_BYTES: Final = 32 << 20
"""Up to this length a file is put by one conditional request, from memory."""
_PART_BYTES: Final = 16 << 20
_MOST_PARTS: Final = 10_000
"""What S3 allows; a file of more than 156 GiB gets longer parts."""
_PARTS_AT_ONCE: Final = 3
_TIMEOUT: Final = timedelta(minutes=5)
"""Of one request with all its bytes: a single put then needs 110 kB/s."""
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_PAGE: Final = 1000
_LAST_OF_A_SECOND: Final = 0.999
_AFTER_ALL: Final = "~"
"""Sorts behind every character a key may have."""

_ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": (),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Variables that name another server, by the scheme of the URL."""
_URL: Final = re.compile(
    r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*)(?:/([A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*))?/?"
)


def split_url(url: str) -> tuple[str, str, str]:
    """Take a location apart: scheme, bucket (or container), prefix without slashes at its ends.

    Raises:
        StoreError: it is none.
    """
    found = _URL.fullmatch(url)
    if found is None:
        scheme = url.partition("://")[0]
        problem = "that is no location in a bucket" if scheme in _ENDPOINTS else f"{scheme} is not known"
        # The rest is not repeated: it may hold a password that somebody believed to belong there.
        raise StoreError(
            f"no store can be opened at {scheme}://…: {problem}",
            hint="write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, with letters, digits, . _ and - in"
            " the prefix; credentials come from the environment",
        )
    return found[1], found[2], found[3] or ""


class ObjectStoreBackend(Backend):
    """Values as objects of one bucket, below a prefix. For the process that made it and its threads."""

    def __init__(
        self, url: str, environment: Mapping[str, str], *, patience_seconds: float, pace: Callable[[int], None] | None
    ) -> None:
        """Prepare; no request is made.

        Args:
            url: As :func:`split_url` reads it.
            environment: Says where plain HTTP is wanted: by an endpoint that begins with ``http://``.
            patience_seconds: How long a part of a long file may be tried again. Nothing else is.
            pace: Called with the length of a file, or of each part of a long one, before that is sent.

        Raises:
            StoreError: the library is not there, or what the environment says cannot be used.
        """
        self._scheme, self._bucket, prefix = split_url(url)
        self._url = f"{self._scheme}://{self._bucket}" + (f"/{prefix}" if prefix else "")
        self._pace = pace
        try:
            self._library, stores = load_library()
        except ImportError as error:
            raise StoreError(
                f"{self._url} cannot be opened: the library obstore is not installed",
                hint="install it: pip install 'reenact[s3]'",
            ) from error
        errors = self._library.exceptions
        plain_http = any(environment.get(name, "").startswith("http://") for name in _ENDPOINTS[self._scheme])
        client: dict[str, Any] = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT}
        if plain_http:
            client["allow_http"] = True

        def make(retry: dict[str, Any]) -> Any:  # noqa: ANN401 - the library's
            try:
                return stores.from_url(self._url, client_options=client, retry_config=retry)
            except (errors.BaseError, ValueError) as error:
                raise refusal(error, "open it", self._url) from error

        # A put that is tried again inside the library would find its own value and call that another's.
        self._store = make({"max_retries": 0})
        self._patient = make({"retry_timeout": timedelta(seconds=patience_seconds)})

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return self._url

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self._put(check_key(key), data)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`, and the module about long files."""
        check_key(key)

        def put(descriptor: int, size_bytes: int) -> bool:
            if size_bytes <= SINGLE_PUT_BYTES:
                self._wait_for(size_bytes)
                return self._put(key, _read(descriptor, size_bytes))
            if self.exists(key):
                return False
            self._put_parts(key, descriptor, size_bytes)
            return True

        return _taking_over(path, put)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`. A value that is deleted while this goes on may come back."""

        def put(descriptor: int, size_bytes: int) -> bool:
            there = self.exists(key)
            if there and size_bytes <= SINGLE_PUT_BYTES:
                self._wait_for(size_bytes)
                self._put(key, _read(descriptor, size_bytes), mode="overwrite")
            elif there:
                self._put_parts(key, descriptor, size_bytes)
            return there

        return _taking_over(path, put)

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        check_key(key)
        return bytes(self._ask(key, "read", lambda: self._library.get(self._store, key).bytes()))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        check_key(key)
        if length == 0:
            self.size(key)
            return b""
        try:
            return bytes(
                self._ask(key, "read", lambda: self._library.get_range(self._store, key, start=offset, length=length))
            )
        except StoreError as error:
            if beyond_the_end(error.__cause__):
                return b""
            raise

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return int(self._head(key)["size"])

    def modified(self, key: str) -> float:
        """See :class:`Backend`. Of a value that went up in parts some servers tell when that began."""
        # The header has whole seconds, cut off.
        return float(self._head(key)["last_modified"].timestamp()) + _LAST_OF_A_SECOND

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        try:
            self._head(key)
        except KeyAbsent:
            return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return (item.key for item in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`. A request for a thousand.

        Raises:
            StoreError: the bucket lists in no order (those of S3 Express One Zone do).
        """
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        last = ""
        for page in self._pages(folder, _just_before(prefix) if prefix != f"{folder}/" else None):
            for found in page:
                key = found["path"]
                if key <= last:
                    raise StoreError(
                        f"{self._url} does not list its objects in order", hint="use a general purpose bucket"
                    )
                last = key
                if key.startswith(prefix):
                    yield Listed(key, found["size"], found["last_modified"].timestamp())
                elif key > prefix:
                    return

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`. A request for a thousand."""
        found = self._ask(
            check_key(folder), "list", lambda: self._library.list_with_delimiter(self._store, folder), absent=False
        )
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted({path.rstrip("/").rpartition("/")[2] for path in paths})

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        check_key(key)
        try:
            self._ask(key, "delete", lambda: self._library.delete(self._store, key))
        except KeyAbsent:
            return

    def staging(self) -> str | None:
        """See :class:`Backend`."""
        return None

    def _put(self, key: str, data: bytes, mode: Literal["create", "overwrite"] = "create") -> bool:
        errors = self._library.exceptions
        try:
            self._library.put(self._store, key, data, mode=mode, use_multipart=False)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            return False
        except (errors.BaseError, OSError, ValueError) as error:
            raise refusal(error, f"write {key}", self._url) from error
        return True

    def _wait_for(self, count: int) -> None:
        if self._pace is not None:
            self._pace(count)

    def _put_parts(self, key: str, descriptor: int, size_bytes: int) -> None:
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MOST_PARTS))

        def parts() -> Iterator[bytes]:
            for offset in range(0, size_bytes, part_bytes):
                length = min(part_bytes, size_bytes - offset)
                self._wait_for(length)
                yield os.pread(descriptor, length, offset)

        try:
            self._library.put(
                self._patient,
                key,
                parts(),
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except (self._library.exceptions.BaseError, FileNotFoundError, ValueError) as error:
            raise refusal(error, f"write {key}", self._url) from error

    def _head(self, key: str) -> Mapping[str, Any]:
        check_key(key)
        return self._ask(key, "read", lambda: self._library.head(self._store, key))  # type: ignore[no-any-return]

    def _pages(self, folder: str, offset: str | None) -> Iterator[Any]:
        pages = iter(self._library.list(self._store, folder or None, offset=offset, chunk_size=_PAGE))
        while (page := self._ask(folder or "the store", "list", lambda: next(pages, None), absent=False)) is not None:
            yield page

    def _ask(self, key: str, doing: str, request: Callable[[], Any], *, absent: bool = True) -> Any:  # noqa: ANN401 - what the library gives
        """Make a request; its refusals are ours, with the library's behind them."""
        try:
            return request()
        except FileNotFoundError as error:
            if absent and not says_no_bucket(error):
                raise KeyAbsent(key) from None
            raise refusal(error, f"{doing} {key}", self._url) from error
        except (self._library.exceptions.BaseError, OSError, ValueError) as error:
            raise refusal(error, f"{doing} {key}", self._url) from error


def _taking_over(path: AnyPath, put: Callable[[int, int], bool]) -> bool:
    """Put an open file of some length, and delete it unless that fails."""
    try:
        with open(path, "rb") as file:
            done = put(file.fileno(), os.fstat(file.fileno()).st_size)
        os.unlink(path)
    except OSError as error:
        raise store_error(error, f"take over {os.fspath(path)}") from error
    return done


def _read(descriptor: int, size_bytes: int) -> bytes:
    data = os.pread(descriptor, size_bytes, 0)
    if len(data) != size_bytes:
        raise StoreError(f"a file that was to be put has {len(data)} bytes, not {size_bytes}")
    return data


def _just_before(prefix: str) -> str | None:
    """Give a text that sorts before all keys that start with a prefix, and behind all keys before them."""
    return prefix[:-1] + chr(ord(prefix[-1]) - 1) + _AFTER_ALL if prefix else None
