"""A backend that counts what it is asked, for tests of how many requests something takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reenact.atomic import AnyPath
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import Backend, Listed

__all__ = ["CountingBackend"]


class CountingBackend(ForwardingBackend):
    """Counts calls by method. A listing is counted once for every thousand values, as an object store would be asked."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        self.calls["put"] += 1
        return self.inner.put_if_absent(key, data)

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        self.calls["put"] += len(before) + 1
        return self.inner.put_group(before, key, data)

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        self.calls["put"] += 1
        return self.inner.put_file_if_absent(key, path)

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        self.calls["put"] += 1
        return self.inner.replace_file(key, path)

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        self.calls["get"] += 1
        return self.inner.get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        self.calls["get"] += 1
        return self.inner.get_range(key, offset, length)

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        self.calls["look"] += 1
        return self.inner.size(key)

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        self.calls["look"] += 1
        return self.inner.modified(key)

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        self.calls["look"] += 1
        return self.inner.exists(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return (item.key for item in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`."""
        for place, item in enumerate(self.inner.listing(prefix)):
            if place % 1000 == 0:
                self.calls["list"] += 1
            yield item

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        found = self.inner.names(folder)
        self.calls["list"] += 1 + len(found) // 1000
        return found

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self.calls["delete"] += 1
        self.inner.delete(key)
