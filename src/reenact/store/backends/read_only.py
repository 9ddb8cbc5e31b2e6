"""A backend that nothing is written to: for stores of others, and for whoever only looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from reenact.atomic import AnyPath
from reenact.errors import StoreError
from reenact.store.backends.forwarding import ForwardingBackend
from reenact.store.interface import check_key

__all__ = ["ReadOnlyBackend"]


class ReadOnlyBackend(ForwardingBackend):
    """Refuses to put and to delete, whatever the place itself would allow."""

    def put_if_absent(self, key: str, data: bytes) -> NoReturn:  # noqa: ARG002 - the interface's
        """Refuse."""
        self._refuse(f"write {check_key(key)}")

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> NoReturn:  # noqa: ARG002 - the interface's
        """Refuse."""
        self._refuse(f"write {check_key(key)}")

    def put_file_if_absent(self, key: str, path: AnyPath) -> NoReturn:  # noqa: ARG002 - the interface's
        """Refuse; the file stays."""
        self._refuse(f"write {check_key(key)}")

    def replace_file(self, key: str, path: AnyPath) -> NoReturn:  # noqa: ARG002 - the interface's
        """Refuse; the file stays."""
        self._refuse(f"write {check_key(key)}")

    def delete(self, key: str) -> NoReturn:
        """Refuse."""
        self._refuse(f"delete {check_key(key)}")

    def staging(self) -> None:
        """Give none: a folder to make files in would have to be made."""
        return

    def _refuse(self, doing: str) -> NoReturn:
        raise StoreError(
            f"cannot {doing}: the store at {self.location} is opened for reading only",
            hint="storage.read_only says so (REENACT_STORAGE_READ_ONLY)",
        )
