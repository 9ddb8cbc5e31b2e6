"""Artifacts: the named inputs and outputs of a run, and the entries of an environment manifest.

An :class:`Entry` is what one path was: enough to lay it out again in a closed world. An :class:`Artifact` is an entry that
a run read or wrote, with its name and how it was used.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reenact.digests import Digest

__all__ = ["Access", "Artifact", "Entry", "EntryType", "Need", "Origin", "Pointer", "TableFacts"]

Access = Literal["read", "executed", "updated", "created", "appended", "deleted", "listed", "probed"]
"""How a run used an artifact. `probed`: only asked about (stat, access, readlink)."""

EntryType = Literal["file", "directory", "symlink", "fifo", "socket", "device"]

Need = Literal["stat", "list", "content"]
"""What a replay needs of an entry: that it is there with its size and times, its names, or its bytes."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes came from and can be fetched again."""

    kind: str
    """``path``, ``git``, ``object-store``, ``http``, and later ``query``."""
    location: str
    """For ``path`` the absolute path; for ``git`` the path inside the repository; else the URL, without credentials."""
    version: str | None = None
    """For ``git`` the commit; for ``object-store`` ``version:`` or ``etag:`` and that, where the store told it."""
    repository: str | None = None
    """For ``git`` the URL of the remote, without credentials, where there is one."""


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """Names bytes without holding them."""

    digest: Digest
    size_bytes: int
    media_type: str
    origin: Origin | None = None


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an artifact that is a table."""

    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    """Column name and logical type, in order."""
    logical_digest: Digest | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One path before a run first touched it (or, for an output, after the run)."""

    path: str
    """Absolute and free of symbolic links on the way, in the text form of :mod:`reenact.model.paths`."""
    type: EntryType
    mode: int
    """Permission bits, 0 to 0o7777."""
    mtime_ns: str
    """Modification time, nanoseconds since the epoch, as decimal text (too large for a JSON integer)."""
    need: Need
    size_bytes: int = 0
    uid: int = 0
    gid: int = 0
    digest: Digest | None = None
    """Of the content; files only, and only when its bytes were kept."""
    target: str | None = None
    """What a symbolic link says, in text form."""
    names: tuple[str, ...] | None = None
    """The names in a directory that was listed, sorted, in text form."""
    xattrs: dict[str, str] = {}
    """Extended attributes in the ``user.`` namespace, values in base64."""
    link: str | None = None
    """Files that are one file under several names carry the first of those paths here."""
    sparse: bool = False
    """The file has holes."""
    device: tuple[int, int] | None = None
    """Major and minor number of a device node."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A named input or output of a run."""

    name: str
    """Relative to the job's root when inside it, else the absolute path; text form."""
    access: tuple[Access, ...]
    """Sorted; never empty."""
    entry: Entry
    pointer: Pointer | None = None
    """None where there are no bytes (a folder, a link, a deletion) or where none were kept; `Bundle.unobserved` says why."""
    keep: Literal["bytes", "pointer"] = "bytes"
    """``pointer``: the store does not keep the bytes, and the entry has no digest; the pointer says what and where they are."""
    kind: Literal["data", "code"] = "data"
    temporary: bool = False
    table: TableFacts | None = None
