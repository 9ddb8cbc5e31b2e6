r"""The journal of a live run: append-only lines, each with its checksum, from which a run cut off at any byte is recovered.

A line is eight hex digits (CRC-32 of the rest), a space, a JSON array, a newline. The first item names the record:

====  ===================================================================================================================
run   ``header``: an object, see :class:`reenact.capture.session.Header`; always the first record
t     tracing has begun: whether no_new_privs had to be set
e     a path before its first touch: path, mode, size, mtime_ns, uid, gid, dev, ino, nlink, ctime_ns, blocks, rdev, target
b     its content is needed, as it is read: actor, path; and where there was no e before, what would be in that
n     its content is needed: path · ``l`` its names are needed: path, names in order · ``o`` it was opened and is absent: path
d     a folder's names are read, in this order, those the run made among them: path, names
s     a folder's own state is asked for: path
i     a folder of ours, which is no part of the run, is come across: path
m     it is changed: path, how (w written, t replaced, a appended, u removed, x metadata)
p     its bytes before that: path, where they are kept, reason when nowhere
v     its bytes are now at another path: path, present path
c     a path exists now because of the run · ``g`` a path is gone
r     a rename: old, new, actor, exchange
a     who: actor, path, how (r read, w written, x executed, l listed, d deleted)
f     a process: actor, parent actor, time_ns
x     it executes: actor, time_ns, program path, argv, cwd
q     it ends: actor, exit code, time_ns
k     a contact: time_ns, kind, endpoint, actor
h     a gap: code, message, subject
end   the recording stops: time_ns, notifications answered
====  ===================================================================================================================

Paths are JSON strings with lone surrogates for undecodable bytes (``\udcXX`` escapes), which Python's json reads back.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["JournalWriter", "decode", "leave_reason", "read_records", "reason_left"]

_BROKEN: Final = "events.broken"
"""Name of the file beside a journal that says why it could not be written to its end."""

_FLUSH_BYTES: Final = 1 << 15
_json: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def _plainly(record: list[Any]) -> bytes:
    return _json(record).encode("ascii")


def _fast_encoder() -> Callable[[list[Any]], bytes]:
    from msgspec.json import Encoder  # noqa: PLC0415 - the import costs as much as encoding a thousand records by json

    return Encoder().encode


class JournalWriter:
    """Appends records; buffered, so call :meth:`flush` when idle. One process writes a journal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._encode: Callable[[list[Any]], bytes] = _plainly
        self.position = os.fstat(descriptor).st_size
        """The journal's length with all that was written, flushed or not; once broken, that of its whole lines."""
        self.broken = ""
        """Why nothing more is written (the disk is full), else empty."""
        self.after_flush: Callable[[], None] | None = None
        """Called when a full buffer was handed to the kernel: whoever reads along need not wait until the writer is idle."""

    def write(self, record: list[Any]) -> int:
        """Append a record; give the journal's length after it, in bytes."""
        if self.broken:
            return self.position
        try:
            body = self._encode(record)
        except ValueError:  # a lone surrogate, which msgspec's encoder refuses
            body = _plainly(record)
        line = b"%08x %b\n" % (zlib.crc32(body), body)
        length = len(line)
        self._buffer.append(line)
        self._buffered += length
        self.position += length
        if self._buffered >= _FLUSH_BYTES:
            self._filled()
        return self.position

    def _filled(self) -> None:
        self.flush()
        if self._encode is _plainly:
            self._encode = _fast_encoder()
        if self.after_flush is not None:
            self.after_flush()

    @property
    def pending(self) -> bool:
        """Whether anything waits to be flushed."""
        return bool(self._buffer)

    def flush(self) -> None:
        """Hand what is buffered to the kernel. A failure is remembered in `broken`, never raised: the job goes on."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:] if done else data)
        except OSError as error:
            self.broken = os.strerror(error.errno or 0)
            # Whoever waits until the journal is read that far must not wait for what no reader will find.
            self.position -= len(data) - (data.rfind(b"\n", 0, done) + 1)


def _parse(text: bytes) -> object:
    """Read one JSON value; None when it is none."""
    import msgspec  # noqa: PLC0415 - the writer, which starts early, does without

    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)  # it may hold lone surrogates
    except (ValueError, RecursionError):
        return None


def decode(line: bytes) -> list[Any] | None:
    """Read one line without its newline; None when it is damaged."""
    try:
        if line[8:9] != b" " or int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
    except ValueError:
        return None
    record = _parse(line[9:])
    return record if isinstance(record, list) and record else None


def read_records(data: bytes) -> Iterator[list[Any]]:
    """Read the records of a journal up to the first line that is cut off or damaged."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        record = decode(data[start:end])
        if record is None:
            return
        yield record
        start = end + 1


def leave_reason(folder: str, reason: str) -> None:
    """Say beside a journal why it has no end: it takes nothing more itself. Never fails."""
    with contextlib.suppress(OSError), open(f"{folder}/{_BROKEN}", "w", encoding="utf-8") as file:
        file.write(reason)


def reason_left(folder: str) -> str:
    """Give the reason that was left beside a journal, or nothing."""
    try:
        with open(f"{folder}/{_BROKEN}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
