"""Write artifacts below a folder, under their names, in such a way that no recorded name can lead out of it.

Every step goes through descriptors of real folders (``O_NOFOLLOW``), so neither ``..`` nor a symbolic link, recorded or made
meanwhile by somebody else, is ever followed. Nothing that exists is overwritten. Set-user-id bits are not restored.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from reenact.atomic import TEMPORARY_PREFIX
from reenact.digests import Digest
from reenact.errors import IntegrityError, UsageError
from reenact.model.artifact import Artifact
from reenact.model.paths import from_text, to_text

__all__ = ["ObjectSource", "Placed", "place"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PERMISSIONS: Final = 0o777


class ObjectSource(Protocol):
    """Where the bytes come from: the store's reader."""

    def copy_to(self, digest: Digest, descriptor: int, *, sparse: bool = False) -> object:
        """Write an object's verified bytes to a descriptor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One artifact that was written."""

    name: str
    path: str
    """Where it is now; text form."""
    type: str
    digest: Digest | None
    size_bytes: int | None


def place(objects: ObjectSource, artifacts: Sequence[Artifact], to: Path) -> list[Placed]:
    """Write files, folders, links and fifos; anything else (a socket, a device) is left out.

    Raises:
        UsageError: something is in the way; all such names are given, and nothing was written.
        IntegrityError: a recorded name is none that an artifact can have.
        ObjectMissing, ObjectDamaged: as the reader raises them; what was written before stays.
        OSError: the folder cannot be written.
    """
    to.mkdir(parents=True, exist_ok=True)
    wanted = [(artifact, _parts(artifact.name)) for artifact in artifacts]
    top = os.open(to, _FOLDER & ~os.O_NOFOLLOW)
    try:
        _refuse_taken(top, wanted, to)
        placed = [_place_one(objects, artifact, parts, top, to) for artifact, parts in _in_order(wanted)]
        _finish_folders(top, wanted)
    finally:
        os.close(top)
    return sorted((p for p in placed if p is not None), key=lambda p: p.name)


def _parts(name: str) -> list[str]:
    """Split a name; one outside the job's root keeps its whole path, from its first folder on."""
    path = from_text(name)
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        raise IntegrityError(
            f"no artifact can be called {name!r}", hint="the record was not made by reenact; trust none of it"
        )
    return parts


def _in_order(wanted: Iterable[tuple[Artifact, list[str]]]) -> list[tuple[Artifact, list[str]]]:
    """Folders first, and links last: until then nothing but folders is on the way to a file."""
    rank = {"directory": 0, "symlink": 2}
    return sorted(wanted, key=lambda pair: (rank.get(pair[0].entry.type, 1), pair[1]))


def _refuse_taken(top: int, wanted: Iterable[tuple[Artifact, list[str]]], to: Path) -> None:
    taken = [a.name for a, parts in wanted if parts and a.entry.type != "directory" and _exists(top, parts)]
    if taken:
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""  # noqa: PLR2004 - as many as a line holds
        raise UsageError(f"in {to} there is already {', '.join(taken[:3])}{more}", hint="name another folder")


def _exists(top: int, parts: Sequence[str]) -> bool:
    try:
        with _folder(top, parts[:-1], make=False) as parent:
            os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextlib.contextmanager
def _folder(top: int, parts: Sequence[str], *, make: bool) -> Iterator[int]:
    """Open a folder below `top` without following a link on the way."""
    current = os.dup(top)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
            try:
                below = os.open(part, _FOLDER, dir_fd=current)
            except OSError as error:
                # O_NOFOLLOW and O_DIRECTORY on a link: ENOTDIR on most file systems, ELOOP on some.
                if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                    raise
                raise NotADirectoryError(errno.ENOTDIR, "not a folder (links are not followed here)", part) from error
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _place_one(objects: ObjectSource, artifact: Artifact, parts: list[str], top: int, to: Path) -> Placed | None:
    entry = artifact.entry
    if entry.type in {"socket", "device"} or (entry.type == "file" and entry.digest is None):
        return None
    if entry.type == "directory":
        with _folder(top, parts, make=True):
            pass
    else:
        with _folder(top, parts[:-1], make=True) as parent:
            if entry.type == "symlink":
                os.symlink(from_text(entry.target or ""), parts[-1], dir_fd=parent)
            elif entry.type == "fifo":
                os.mkfifo(parts[-1], entry.mode & _PERMISSIONS, dir_fd=parent)
            elif entry.digest is not None:
                _write_file(objects, artifact, entry.digest, parts[-1], parent)
    return Placed(
        name=artifact.name,
        path=to_text(str(to.joinpath(*parts))),
        type=entry.type,
        digest=entry.digest,
        size_bytes=entry.size_bytes if entry.type == "file" else None,
    )


def _write_file(objects: ObjectSource, artifact: Artifact, digest: Digest, name: str, parent: int) -> None:
    """Make a file whole or not at all; its name appears only when its bytes were verified."""
    entry = artifact.entry
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(
        temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
    )
    try:
        objects.copy_to(digest, descriptor, sparse=entry.sparse)
        os.fchmod(descriptor, entry.mode & _PERMISSIONS)
        moment = int(entry.mtime_ns)
        os.utime(descriptor, ns=(moment, moment))
        os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(descriptor)
        os.unlink(temporary, dir_fd=parent)


def _finish_folders(top: int, wanted: Iterable[tuple[Artifact, list[str]]]) -> None:
    """Give folders their modes when all is in them, the deepest first: a recorded folder may be read-only."""
    folders = [(a, parts) for a, parts in wanted if a.entry.type == "directory" and parts]
    for artifact, parts in sorted(folders, key=lambda pair: -len(pair[1])):
        with _folder(top, parts, make=False) as descriptor:
            # The owner keeps the right to clear up.
            os.fchmod(descriptor, artifact.entry.mode & _PERMISSIONS | stat.S_IRWXU)
