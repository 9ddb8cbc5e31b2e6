"""Taking content into the store while the job runs: what was asked for in the journal, read once, checked against its stat."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from reenact import digests
from reenact.capture.observation import PathRecord
from reenact.digests import Digest
from reenact.model.paths import to_text

__all__ = ["Content", "Intake", "StatCache", "Writer", "user_attributes"]

_HEAD_BYTES: Final = 512
_VOLATILE: Final = ("/sys/",)
"""Files the kernel writes as they are read: their times say nothing."""


class _Added(Protocol):
    @property
    def digest(self) -> Digest: ...
    @property
    def size_bytes(self) -> int: ...


class Writer(Protocol):
    """The part of the store's object writer used here."""

    def add_descriptor(
        self, descriptor: int, previous: Digest | None = None, /, *, likely_held: bool = False
    ) -> _Added:
        """Store what can be read from an open file.

        It may resemble an object that is there (`previous`), and the store may well have it (`likely_held`).
        """

    def holds(self, digest: Digest, /) -> bool:
        """Tell whether the store has an object."""


class StatCache(Protocol):
    """Remembers the digest of a file that has not changed since."""

    def lookup(self, found: os.stat_result, /) -> Digest | None:
        """Give the digest of a file with exactly this stat, if its bytes are in the store."""


class Content(msgspec.Struct, frozen=True):
    """Bytes that were read, and are in the store unless it says otherwise."""

    digest: Digest
    size_bytes: int
    head: bytes
    """The first bytes, from which the media type is told."""
    attributes: dict[str, str] | None = None
    """The ``user.`` extended attributes the file had when it was read; None when nobody looked."""
    elsewhere: bool = False
    """They are not in the store, as they are kept as a pointer."""


def user_attributes(at: str | int) -> dict[str, str]:
    """Read the ``user.`` extended attributes of an open file, or of what is at a path (a link itself); values in base64."""
    found: dict[str, str] = {}
    follow = isinstance(at, int)
    with contextlib.suppress(OSError):
        for name in os.listxattr(at, follow_symlinks=follow):
            if name.startswith("user.") and not name.startswith("user.overlay."):
                value = os.getxattr(at, name, follow_symlinks=follow)
                found[to_text(name)] = base64.b64encode(value).decode("ascii")
    return found


class Intake:
    """Stores contents and remembers what became of each path."""

    def __init__(
        self,
        writer: Writer,
        cache: StatCache,
        *,
        prefix: str = "",
        known: Callable[[str], tuple[Digest, int] | None] = lambda _: None,
        earlier: Callable[[str, int], Digest | None] = lambda *_: None,
        pointers: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Set up.

        Args:
            writer: Where bytes go.
            cache: Digests of unchanged files.
            prefix: Put before every path of the job's (see LiveFileSystem).
            known: Gives digest and size of a path whose bytes are known without reading (a replay's own layers).
            earlier: Gives what a path held in an earlier run, if a file of this size is worth the question.
            pointers: Tells which inputs are kept as pointers, as long as the run leaves them as they are.
        """
        self._writer, self._cache, self._prefix, self._known = writer, cache, prefix, known
        self._earlier, self._pointers = earlier, pointers
        self.contents: dict[str, Content] = {}
        self.lost: dict[str, str] = {}
        """Path to the reason why its bytes are not kept."""
        self.changed: set[str] = set()
        """Paths that somebody outside the run changed between its first touch and our reading."""
        self.fresh: list[tuple[os.stat_result, Digest, int]] = []
        """What the stat cache may learn: stat before reading, digest, time of reading in nanoseconds."""

    def take(self, record: PathRecord) -> None:
        """Store the content a path had before the run; call again when its bytes were moved or kept meanwhile."""
        path = record.path
        held = self.contents.get(path)
        if held is not None and not (held.elsewhere and _destroyed(record)):
            return
        known = self._known(path)
        # Whoever sweeps may have taken it since the replay was planned; its bytes are read like any other's then.
        if known is not None and ((elsewhere := self._pointers(path)) or self._writer.holds(known[0])):
            self.contents[path] = Content(known[0], known[1], b"", elsewhere=elsewhere)
            return
        if held is not None:
            del self.contents[path]  # what a pointer to it leads to is not that any more
        where, reason, original = path, "", True
        if record.kept is not None:
            where, reason = record.kept
            original = False
        elif record.now_at is not None:
            where = record.now_at  # moving a file changes neither its size nor its times
        if not where:
            if held is not None and reason == "stored":
                reason = "it was kept as a pointer, and the run changed it"
            if reason != "stored":
                self.lost[path] = reason
                self.changed.discard(path)  # it was the run itself
            return
        outside = record.kept is None
        self._read(record, self._prefix + where if outside else where, original)

    def _read(self, record: PathRecord, where: str, original: bool) -> None:
        try:
            descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._lose(record.path, f"cannot be read: {os.strerror(error.errno or 0)}")
            return
        volatile = record.path.startswith(_VOLATILE)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                self._lose(record.path, "it is no file any more" if stat.S_ISREG(record.mode) else "it is no file")
                return
            attributes = {} if volatile else user_attributes(descriptor)
            if self._pointers(record.path) and not _destroyed(record):
                content, after = self._hashed(descriptor, found, attributes)
            else:
                content, after = self._content(record.path, descriptor, found, attributes)
        except OSError as error:
            # A disk's error, or a file of the kernel's that answers a read with an error: the job met the same.
            self._lose(record.path, f"cannot be read: {os.strerror(error.errno or 0)}")
            return
        finally:
            os.close(descriptor)
        # Bytes kept as another name of the same file can still be changed in place, by whoever has it under a third.
        original = original or (found.st_dev, found.st_ino) == (record.device, record.inode)
        if original and not volatile and not self._unchanged(record, found, after):
            # Another look later: the journal may tell that its bytes were kept before the run itself changed them.
            self._lose(record.path, "changed before it could be read")
            self.changed.add(record.path)
            return
        self.lost.pop(record.path, None)
        self.changed.discard(record.path)
        self.contents[record.path] = content

    def keep_bytes(self, record: PathRecord) -> Content | None:
        """Store the bytes of an input that was taken as a pointer; None when they cannot be had any more."""
        self.contents.pop(record.path, None)
        self._pointers, pointers = (lambda _: False), self._pointers
        try:
            self.take(record)
        finally:
            self._pointers = pointers
        return self.contents.get(record.path)

    def _hashed(
        self, descriptor: int, found: os.stat_result, attributes: dict[str, str]
    ) -> tuple[Content, os.stat_result]:
        """Digest an open file and store nothing."""
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        digest = self._cache.lookup(found)
        if digest is None:
            begun = time.time_ns()
            digest = digests.of_descriptor(descriptor)
            self.fresh.append((found, digest, begun))
        return Content(digest, found.st_size, head, attributes, elsewhere=True), os.fstat(descriptor)

    def _lose(self, path: str, reason: str) -> None:
        self.lost[path] = reason
        self.changed.discard(path)

    @staticmethod
    def _unchanged(record: PathRecord, before: os.stat_result, after: os.stat_result) -> bool:
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            return False
        if before.st_size != record.size:
            return False
        # The run may set the times itself (metadata change); else they must be those of the first touch.
        return before.st_mtime_ns == record.mtime_ns or "x" in record.changes

    def _content(
        self,
        path: str,
        descriptor: int,
        found: os.stat_result,
        attributes: dict[str, str] | None = None,
        *,
        likely_held: bool = False,
    ) -> tuple[Content, os.stat_result]:
        """Store an open file; give its content, and its stat after it was read."""
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        digest = self._cache.lookup(found)
        if digest is not None and self._writer.holds(digest):
            return Content(digest, found.st_size, head, attributes), found
        begun = time.time_ns()
        added = self._writer.add_descriptor(descriptor, self._earlier(path, found.st_size), likely_held=likely_held)
        self.fresh.append((found, added.digest, begun))
        return Content(added.digest, added.size_bytes, head, attributes), os.fstat(descriptor)

    def take_file(self, path: str, *, inside: bool = True) -> tuple[os.stat_result, Content | None]:
        """Store what is at a path now (an output); content only for regular files.

        Raises:
            OSError: nothing is there, or it cannot be read.
        """
        where = self._prefix + path if inside else path
        found = os.lstat(where)
        if not stat.S_ISREG(found.st_mode):
            return found, None
        descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            for _ in range(3):
                # A job that is run again, or replayed, mostly makes again what it made before.
                content, after = self._content(path, descriptor, found, likely_held=True)
                if (after.st_mtime_ns, after.st_size) == (found.st_mtime_ns, found.st_size):
                    return found, content
                found = after
        finally:
            os.close(descriptor)
        raise OSError(errno.EBUSY, "keeps changing", path)


def _destroyed(record: PathRecord) -> bool:
    """Tell whether the run did more to a file than read it, or change what is said about it."""
    return bool(record.changes.strip("x")) or record.kept is not None or record.now_at is not None
