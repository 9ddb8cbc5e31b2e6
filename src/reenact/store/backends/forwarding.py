"""The base of backends that stand before another one and change how it behaves, not what it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reenact.atomic import AnyPath
from reenact.store.interface import Backend, Listed

__all__ = ["ForwardingBackend"]


class ForwardingBackend(Backend):
    """Hands everything on; a behaviour overrides what it is about."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return self.inner.location

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self.inner.put_if_absent(key, data)

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return self.inner.put_group(before, key, data)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return self.inner.put_file_if_absent(key, path)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return self.inner.replace_file(key, path)

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return self.inner.get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        return self.inner.get_range(key, offset, length)

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return self.inner.size(key)

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return self.inner.modified(key)

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self.inner.exists(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return self.inner.list(prefix)

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`."""
        return self.inner.listing(prefix)

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return self.inner.names(folder)

    def refresh(self, key: str) -> None:
        """See :class:`Backend`."""
        self.inner.refresh(key)

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self.inner.delete(key)

    def staging(self) -> str | None:
        """See :class:`Backend`."""
        return self.inner.staging()
