"""A backend whose values and names are encrypted before another backend keeps them.

What is above it, packs, deltas, deduplication, the log, does not notice. The other backend, and whoever can read or write what
it keeps, learns lengths, times, run ids and the number of things; docs/spec/encryption.md has the whole list. What was changed
there is refused with :class:`~reenact.errors.ValueDamaged`, never given out.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from reenact.atomic import TEMPORARY_PREFIX, AnyPath
from reenact.errors import KeyAbsent, ReenactError, ValueDamaged
from reenact.store.crypt.files import reseal, seal_file
from reenact.store.crypt.keyring import KeyRing
from reenact.store.crypt.names import KeyedNames
from reenact.store.crypt.values import (
    CHUNK_BYTES,
    HEADER_BYTES,
    ValueCipher,
    content_length,
    epoch_of,
    open_header,
    open_value,
    seal_value,
)
from reenact.store.description import DESCRIPTION, KEYS_FOLDER
from reenact.store.failures import store_error
from reenact.store.interface import Backend, Listed, check_key
from reenact.store.local import private_folder

__all__ = ["EncryptedBackend"]

_T = TypeVar("_T")

_REMEMBERED: Final = 256
"""Headers of values that ranges were read of, kept with their keys."""
_RENEWING: Final = f"{TEMPORARY_PREFIX}renew-"
_OLD_SECONDS: Final = 86_400.0
"""No value takes that long to be encrypted anew."""
_ATTEMPTS: Final = 3
"""Times a range is tried: a rotation may put a value in place of another between the look at its header and at its chunks."""


def _is_open(key: str) -> bool:
    """Tell whether a value is kept as it is: the store's wrapped keys and its description, without which nothing is decrypted."""
    return key in (DESCRIPTION, KEYS_FOLDER) or key.startswith(f"{KEYS_FOLDER}/")


class EncryptedBackend(Backend):
    """Encrypts for another backend."""

    def __init__(
        self, inner: Backend, ring: KeyRing, staging: str, reload: Callable[[], KeyRing] | None = None
    ) -> None:
        """Prepare.

        Args:
            inner: What keeps the encrypted values.
            ring: The keys.
            staging: A local folder, this user's alone, for files that are not encrypted yet; made when asked for.
            reload: Gives the keys anew; asked where a value is of an epoch that began since.
        """
        self.inner, self._ring, self._staging, self._reload = inner, ring, staging, reload
        self._names = KeyedNames(ring.names_key)
        self._ciphers: OrderedDict[str, ValueCipher] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def ring(self) -> KeyRing:
        """The keys it works with."""
        return self._ring

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return self.inner.location

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        hidden = self._hide(key)
        return self.inner.put_if_absent(hidden, self._sealed(key, data))

    def put_group(self, before: Mapping[str, bytes], key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        values = {self._hide(name): self._sealed(name, value) for name, value in before.items()}
        return self.inner.put_group(values, self._hide(key), self._sealed(key, data))

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`. The file is read once and written once more, encrypted, where the other backend wants it."""
        hidden = self._hide(key)
        if _is_open(key):
            return self.inner.put_file_if_absent(hidden, path)
        target = self._beside(os.path.basename(path))
        with self._encrypting(target):
            seal_file(self._ring, key, path, target)
            put = self.inner.put_file_if_absent(hidden, target)
        with contextlib.suppress(OSError):
            os.unlink(path)
        return put

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        hidden = self._hide(key)
        if _is_open(key):
            return self.inner.replace_file(hidden, path)
        target = self._beside(os.path.basename(path))
        with self._encrypting(target):
            seal_file(self._ring, key, path, target)
            replaced = self.inner.replace_file(hidden, target)
        self._forget(key)
        with contextlib.suppress(OSError):
            os.unlink(path)
        return replaced

    def renew(self, key: str) -> bool:
        """Encrypt a value anew with the keys of the current epoch; tell whether it was of an earlier one, and there.

        Raises:
            ValueDamaged: it cannot be decrypted; it stays as it is.
            StoreError: it cannot be read or written.
        """
        hidden = self._hide(key)
        if _is_open(key):
            return False
        try:
            cipher = self._header(key, hidden)
            if cipher.epoch == self._ring.epoch:
                return False
            try:
                return self._renew(key, hidden, cipher)
            except ValueDamaged:
                if self._header(key, hidden).header != cipher.header:
                    return False  # somebody else renewed it meanwhile
                raise
        except KeyAbsent:
            return False  # deleted meanwhile

    def discard_unfinished(self) -> int:
        """Delete what calls of :meth:`renew` left that were killed, a day after; give the number of files.

        Raises:
            StoreError: the folder cannot be read.
        """
        folder = self.inner.staging() or private_folder(self._staging)
        deleted = 0
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    old = entry.name.startswith(_RENEWING) and time.time() - entry.stat().st_mtime > _OLD_SECONDS
                    if old:
                        os.unlink(entry.path)
                        deleted += 1
        except FileNotFoundError:
            return deleted  # somebody else clears, too
        except OSError as error:
            raise store_error(error, f"clear {folder}") from error
        return deleted

    def _renew(self, key: str, hidden: str, cipher: ValueCipher) -> bool:
        target = self._beside(f"{_RENEWING}{os.getpid()}-{os.urandom(6).hex()}")
        with self._encrypting(target):
            reseal(self._ring, key, cipher, partial(self.inner.get_range, hidden), target)
            renewed = self.inner.replace_file(hidden, target)
        self._forget(key)
        return renewed

    def _header(self, key: str, hidden: str) -> ValueCipher:
        try:
            return self._read_header(key, hidden)
        except ValueDamaged:
            self.inner.refresh(hidden)
            return self._read_header(key, hidden)

    def _read_header(self, key: str, hidden: str) -> ValueCipher:
        header = self.inner.get_range(hidden, 0, HEADER_BYTES)
        return open_header(self._ring_for(key, header), key, header)

    def _ring_for(self, key: str, header: bytes) -> KeyRing:
        """Give keys that may have the one a value needs: a reader that lives long sees epochs begin."""
        if epoch_of(header) > self._ring.epoch and self._reload is not None:
            try:
                self._ring = self._reload()
            except ReenactError as error:
                raise ValueDamaged(key, f"the key of its epoch {epoch_of(header)} cannot be had: {error}") from error
        return self._ring

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        stored = self._found(key, self.inner.get)
        return stored if _is_open(key) else open_value(self._ring_for(key, stored), key, stored)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`. Reads and checks the chunks that hold the range."""
        if _is_open(key):
            return self.inner.get_range(self._hide(key), offset, length)
        return self._found(key, lambda hidden: self._range(key, hidden, offset, length))

    def size(self, key: str) -> int:
        """See :class:`Backend`. From the length of what is stored: of a value cut short, what could be left of it."""
        found = self._found(key, self.inner.size)
        return found if _is_open(key) else content_length(found)

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return self._found(key, self.inner.modified)

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return self.inner.exists(self._hide(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`. What lies under the prefix's folder is held in memory, to be sorted by the names it stands for."""
        found = (self._reveal(hidden) for hidden in self.inner.list(self._hidden_folder(prefix)))
        return iter(sorted(key for key in found if key is not None and key.startswith(prefix)))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`."""
        found = []
        for hidden, size_bytes, modified in self.inner.listing(self._hidden_folder(prefix)):
            key = self._reveal(hidden)
            if key is not None and key.startswith(prefix):
                found.append(Listed(key, size_bytes if _is_open(key) else content_length(size_bytes), modified))
        return iter(sorted(found))

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        hidden = self.inner.names(self._hide(folder))
        if _is_open(folder):
            return hidden
        return sorted(name for part in hidden if (name := self._names.reveal_part(part, folder)) is not None)

    def refresh(self, key: str) -> None:
        """See :class:`Backend`."""
        self._forget(key)
        self.inner.refresh(self._hide(key))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self.inner.delete(self._hide(key))
        self._forget(key)

    def staging(self) -> str | None:
        """See :class:`Backend`. Not where the store is: files are encrypted when they get there."""
        return private_folder(self._staging)

    def _hide(self, key: str) -> str:
        return check_key(key) if _is_open(key) else self._names.hide(key)

    def _reveal(self, hidden: str) -> str | None:
        return hidden if _is_open(hidden) else self._names.reveal(hidden)

    def _hidden_folder(self, prefix: str) -> str:
        folder = prefix.rpartition("/")[0]
        return f"{self._hide(folder)}/" if folder else ""

    def _sealed(self, key: str, data: bytes) -> bytes:
        return data if _is_open(key) else seal_value(self._ring, key, data)

    def _found(self, key: str, ask: Callable[[str], _T]) -> _T:
        hidden = self._hide(key)
        try:
            return ask(hidden)
        except KeyAbsent:
            raise KeyAbsent(key) from None

    @contextlib.contextmanager
    def _encrypting(self, target: str) -> Iterator[None]:
        """Turn refusals into store errors, and delete the temporary file after one."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(target)
            if isinstance(error, OSError):
                raise store_error(error, f"write {target}") from error
            raise

    def _beside(self, name: str) -> str:
        """Name a temporary file in a folder from which the other backend takes files over."""
        name = name if name.startswith(TEMPORARY_PREFIX) else TEMPORARY_PREFIX + name
        return os.path.join(self.inner.staging() or private_folder(self._staging), f"{name}.sealed")

    def _range(self, key: str, hidden: str, offset: int, length: int) -> bytes:
        for attempt in range(_ATTEMPTS):
            cipher = self._cipher(key, hidden)
            try:
                return self._chunks(cipher, key, hidden, offset, length)
            except ValueDamaged:
                self.refresh(key)
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _chunks(self, cipher: ValueCipher, key: str, hidden: str, offset: int, length: int) -> bytes:
        end = min(offset + length, cipher.content_bytes)
        if offset >= end:
            # The header's check vouches for the length; whether the value is still there is another question.
            self.inner.size(hidden)
            return b""
        first, last = offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        content = b"".join(cipher.open_all(first, self.inner.get_range(hidden, *cipher.place(first, last))))
        skipped = first * CHUNK_BYTES
        if len(content) < end - skipped:
            raise ValueDamaged(key, f"it ends after {skipped + len(content)} of {cipher.content_bytes} bytes")
        return content[offset - skipped : end - skipped]

    def _cipher(self, key: str, hidden: str) -> ValueCipher:
        with self._lock:
            found = self._ciphers.get(key)
            if found is not None:
                self._ciphers.move_to_end(key)
                return found
        found = self._header(key, hidden)
        with self._lock:
            self._ciphers[key] = found
            if len(self._ciphers) > _REMEMBERED:
                self._ciphers.popitem(last=False)
        return found

    def _forget(self, key: str) -> None:
        with self._lock:
            self._ciphers.pop(key, None)
