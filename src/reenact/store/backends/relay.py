"""A backend that another process speaks to: for a process that was forked from one in which the library's threads ran.

The other process is started anew, carries out one call after the other, and ends when its standard input does. Each message is its length (4 bytes, little-endian) and MessagePack: the method's name and
arguments one way, a kind and a value the other.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, NoReturn, cast

import msgspec

from reenact.atomic import AnyPath
from reenact.errors import KeyAbsent, StoreError, StoreUnavailable
from reenact.store.backends.object_store import ObjectStoreBackend
from reenact.store.backends.throttle import Pace
from reenact.store.interface import Backend, Listed, check_key

__all__ = ["RelayedBackend", "serve"]

_LENGTH: Final = struct.Struct("<I")
_ERRORS: Final[dict[str, type[StoreError]]] = {
    error.__name__: error for error in (StoreError, StoreUnavailable, KeyAbsent)
}
_CALLS: Final = frozenset(
    {
        "put_if_absent",
        "put_file_if_absent",
        "replace_file",
        "get",
        "get_range",
        "size",
        "modified",
        "exists",
        "listing",
        "names",
        "delete",
    }
)


class RelayedBackend(Backend):
    """Hands calls to a process of its own. Safe for threads, which take turns; not for a process forked from this one."""

    def __init__(self, url: str, *, patience_seconds: float, pace_bytes: int) -> None:
        """Start the process.

        Args:
            url: See :class:`ObjectStoreBackend`, as for the next.
            patience_seconds: How long a part of a long file may be tried again.
            pace_bytes: Most bytes of long files a second; 0 for any number.

        Raises:
            StoreError: it cannot be started.
        """
        self._url = url
        self._lock = threading.Lock()
        # What can be imported here can be there, however that came about. -P: but not what lies in the job's folder.
        program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve(*sys.argv[1:])"
        command = [sys.executable, "-P", "-c", program, url, str(patience_seconds), str(pace_bytes)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the job's affair
            )
        except OSError as error:
            raise StoreError(f"cannot speak to {url}: {error.strerror}") from error

    @property
    def location(self) -> str:
        """See :class:`Backend`."""
        return self._url

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See :class:`Backend`."""
        return bool(self._call("put_if_absent", check_key(key), data))

    def put_file_if_absent(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return bool(self._call("put_file_if_absent", check_key(key), os.fsencode(os.path.abspath(path))))

    def replace_file(self, key: str, path: AnyPath) -> bool:
        """See :class:`Backend`."""
        return bool(self._call("replace_file", check_key(key), os.fsencode(os.path.abspath(path))))

    def get(self, key: str) -> bytes:
        """See :class:`Backend`."""
        return cast(bytes, self._call("get", check_key(key)))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """See :class:`Backend`."""
        return cast(bytes, self._call("get_range", check_key(key), offset, length))

    def size(self, key: str) -> int:
        """See :class:`Backend`."""
        return int(self._call("size", check_key(key)))

    def modified(self, key: str) -> float:
        """See :class:`Backend`."""
        return float(self._call("modified", check_key(key)))

    def exists(self, key: str) -> bool:
        """See :class:`Backend`."""
        return bool(self._call("exists", check_key(key)))

    def list(self, prefix: str) -> Iterator[str]:
        """See :class:`Backend`."""
        return (item.key for item in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """See :class:`Backend`. All of it is in memory."""
        return (Listed(*item) for item in self._call("listing", prefix))

    def names(self, folder: str) -> Sequence[str]:
        """See :class:`Backend`."""
        return cast("list[str]", self._call("names", check_key(folder)))

    def delete(self, key: str) -> None:
        """See :class:`Backend`."""
        self._call("delete", check_key(key))

    def staging(self) -> str | None:
        """See :class:`Backend`."""
        return None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._process.communicate()

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - what the method gives
        writer, reader = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        try:
            with self._lock:
                _send(writer, [name, *arguments])
                answer = _receive(reader)
        except (OSError, ValueError) as error:
            raise self._gone() from error
        if answer is None:
            raise self._gone()
        kind, value = answer
        if kind:
            _raise(kind, *value)
        return value

    def _gone(self) -> StoreError:
        return StoreError(f"the process that speaks to {self._url} has ended", hint="run the command again")


def _raise(kind: str, message: str, hint: str) -> NoReturn:
    if kind == "ValueError":
        raise ValueError(message)
    raise _ERRORS.get(kind, StoreError)(message, hint=hint)


def _send(writer: BinaryIO, message: object) -> None:
    data = msgspec.msgpack.encode(message)
    writer.write(_LENGTH.pack(len(data)))
    writer.write(data)
    writer.flush()


def _receive(reader: BinaryIO) -> Any:  # noqa: ANN401 - a message
    """Read one message; None where there is no further one, or only the beginning of one."""
    head = reader.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    data = reader.read(length)
    return msgspec.msgpack.decode(data) if len(data) == length else None


def _serve(backend: Backend, reader: BinaryIO, writer: BinaryIO) -> None:
    """Carry out calls until there are no more."""
    while (request := _receive(reader)) is not None:
        name, *arguments = request
        answer: list[Any]
        try:
            if name not in _CALLS:
                raise ValueError(f"no call of a backend: {name}")  # noqa: TRY301 - answered as any other
            value = getattr(backend, name)(*arguments)
            answer = ["", list(value) if name == "listing" else value]
        except KeyAbsent as error:
            answer = ["KeyAbsent", [error.key, error.hint()]]
        except StoreError as error:
            answer = [type(error).__name__, [str(error), error.hint()]]
        except ValueError as error:
            answer = ["ValueError", [str(error), ""]]
        _send(writer, answer)


def serve(url: str, patience_seconds: str, pace_bytes: str) -> None:
    """Carry out the calls of standard input; the other process's part."""
    pace = Pace(int(pace_bytes)).take if int(pace_bytes) else None
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    try:
        backend = ObjectStoreBackend(url, os.environ, patience_seconds=float(patience_seconds), pace=pace)
    except StoreError as error:
        while _receive(reader) is not None:
            _send(writer, [type(error).__name__, [str(error), error.hint()]])
        return
    _serve(backend, reader, writer)
