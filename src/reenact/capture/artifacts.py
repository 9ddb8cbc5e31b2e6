"""From what was observed of paths to entries and artifacts: inputs, outputs, and the environment manifest. Pure but for `Intake`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from reenact.capture.classify import Classifier, is_by_product
from reenact.capture.intake import Content, Intake, user_attributes
from reenact.capture.observation import Observation, PathRecord
from reenact.capture.scratch import Scratch
from reenact.compare.media import is_code, media_type
from reenact.digests import Digest
from reenact.model.artifact import Access, Artifact, Entry, EntryType, Need, Origin, Pointer
from reenact.model.paths import relative_name, to_text
from reenact.store.elsewhere.interface import Wanted

__all__ = ["Sorted", "checksums", "entry_type", "inputs", "output", "outputs"]

_TYPES: Final[dict[int, EntryType]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_HOST_FILES: Final = "/sys"


def entry_type(mode: int) -> EntryType:
    """Name the type of a file mode."""
    return _TYPES.get(stat.S_IFMT(mode), "device")


class Sorted(msgspec.Struct):
    """Every path a run touched that was there before, sorted by what it is."""

    environment: list[Entry] = []
    host: list[Entry] = []
    """Files of /sys: they describe the machine."""
    artifacts: list[Artifact] = []
    unobserved: dict[str, str] = {}
    lost: list[tuple[str, str]] = []
    """Name and reason of every content a replay needs and that was not kept."""


def _link_groups(records: Iterable[PathRecord]) -> dict[str, str]:
    """Give each path that shares its inode with others the first of their paths."""
    groups: dict[tuple[int, int], list[str]] = {}
    for record in records:
        if record.links > 1 and stat.S_ISREG(record.mode):
            groups.setdefault((record.device, record.inode), []).append(record.path)
    return {path: min(paths) for paths in groups.values() if len(paths) > 1 for path in paths}


def _attributes(record: PathRecord, content: Content | None, prefix: str) -> dict[str, str]:
    """Give the extended attributes of an input that stayed as it was."""
    if not record.needed or record.changes or record.path.startswith("/sys"):
        return {}
    if content is not None and content.attributes is not None:
        return content.attributes
    return user_attributes(prefix + record.path)


def _entry(record: PathRecord, content: Content | None, link: str | None, attributes: dict[str, str]) -> Entry:
    kind = entry_type(record.mode)
    # The times of a folder on the way to others change with whatever else is in it, and nobody asked for them.
    passed_through = kind == "directory" and not record.looked_at and record.names is None and not record.changes
    need: Need = "content" if record.needed else "list" if record.names is not None else "stat"
    return Entry(
        path=to_text(record.path),
        type=kind,
        mode=stat.S_IMODE(record.mode),
        mtime_ns="0" if passed_through else str(record.mtime_ns),
        need=need,
        size_bytes=record.size if kind == "file" else 0,
        uid=record.uid,
        gid=record.gid,
        digest=content.digest if content is not None and not content.elsewhere else None,
        target=to_text(record.target) if record.target is not None else None,
        names=tuple(sorted(to_text(name) for name in record.names)) if record.names is not None else None,
        xattrs=attributes,
        link=to_text(link) if link is not None else None,
        sparse=kind == "file" and record.blocks * 512 < record.size,
        device=(os.major(record.rdev), os.minor(record.rdev)) if kind == "device" else None,
    )


def _access(record: PathRecord, observation: Observation, exists: Callable[[str], bool]) -> tuple[Access, ...]:
    found: set[Access] = set()
    users = observation.users.get(record.path, {})
    if record.needed:
        found.add("executed" if users.get("x") else "read")
        if users.get("x") and users.get("r"):
            found.add("read")
    if record.names is not None:
        found.add("listed")
    for letter in record.changes:
        if letter == "u":
            found.add("updated" if exists(record.path) else "deleted")
        elif letter == "a":
            found.add("appended")
        else:
            found.add("updated")
    return tuple(sorted(found)) or ("probed",)


def _pointer(path: str, content: Content | None, origin: Origin | None = None) -> Pointer | None:
    if content is None:
        return None
    return Pointer(
        digest=content.digest,
        size_bytes=content.size_bytes,
        media_type=media_type(path, content.head),
        origin=origin or Origin(kind="path", location=to_text(path)),
    )


def inputs(
    observation: Observation,
    intake: Intake,
    classifier: Classifier,
    root: str,
    exists: Callable[[str], bool],
    prefix: str = "",
    origin_of: Callable[[str, Wanted], Origin] = lambda path, _: Origin(kind="path", location=to_text(path)),
) -> Sorted:
    """Sort what was there before the run and was touched by it.

    Args:
        observation: The folded journal.
        intake: Where the contents went.
        classifier: Tells environment from code and data.
        root: The job's root; names are relative to it.
        exists: Whether a path exists after the run.
        prefix: Before paths, to read extended attributes.
        origin_of: Says where bytes that are not kept can be had again.
    """
    found = Sorted()
    links = _link_groups(observation.paths.values())
    for path, record in observation.paths.items():
        content = intake.contents.get(path)
        environment = not record.changes and classifier.is_environment(path)
        if content is not None and content.elsewhere and (environment or _is_host_file(path)):
            content = intake.keep_bytes(record)  # environments are shared between runs, and whole
        entry = _entry(record, content, links.get(path), _attributes(record, content, prefix))
        if record.needed and content is None:
            reason = intake.lost.get(path, "its bytes were not kept")
            name = to_text(relative_name(path, root))
            found.unobserved[f"inputs[{name}].pointer"] = reason
            found.lost.append((name, reason))
        if _is_host_file(path):
            found.host.append(entry)
        elif environment:
            found.environment.append(entry)
        else:
            elsewhere = record.needed and content is not None and content.elsewhere
            origin = origin_of(path, Wanted(content.digest, content.size_bytes)) if content and elsewhere else None
            found.artifacts.append(
                Artifact(
                    name=to_text(relative_name(path, root)),
                    access=_access(record, observation, exists),
                    entry=entry,
                    pointer=_pointer(path, content, origin) if record.needed else None,
                    keep="bytes" if origin is None else "pointer",
                    kind="code" if _is_code(path, record, content, observation) else "data",
                    temporary=is_by_product(path),
                )
            )
    found.artifacts.sort(key=lambda artifact: artifact.name)
    return found


def _is_host_file(path: str) -> bool:
    return path == _HOST_FILES or path.startswith(_HOST_FILES + "/")


def _is_code(path: str, record: PathRecord, content: Content | None, observation: Observation) -> bool:
    if not record.needed or record.changes.strip("x"):
        return False
    return bool(observation.users.get(path, {}).get("x")) or is_code(path, content.head if content is not None else b"")


def output(
    path: str,
    root: str,
    found: os.stat_result,
    content: Content | None,
    access: Access,
    target: str | None,
    *,
    temporary: bool = False,
) -> Artifact:
    """Describe what a run left at a path; `temporary` when it is not there to stay."""
    kind = entry_type(found.st_mode)
    entry = Entry(
        path=to_text(path),
        type=kind,
        mode=stat.S_IMODE(found.st_mode),
        mtime_ns=str(found.st_mtime_ns),
        need="content" if content is not None else "stat",
        size_bytes=found.st_size if kind == "file" else 0,
        uid=found.st_uid,
        gid=found.st_gid,
        digest=content.digest if content is not None else None,
        target=to_text(target) if target is not None else None,
        sparse=kind == "file" and found.st_blocks * 512 < found.st_size,
    )
    return Artifact(
        name=to_text(relative_name(path, root)),
        access=(access,),
        entry=entry,
        pointer=_pointer(path, content),
        temporary=temporary or is_by_product(path),
    )


def _same(record: PathRecord, found: os.stat_result) -> bool:
    """Tell whether a path is as it was before the run: what looked like a change was refused, or changed nothing.

    Any write or chmod moves a file's ctime. A folder's times change with the names in it, which are outputs themselves; but one
    that was renamed away and made anew is another folder.
    """
    if (record.mode, record.uid, record.gid) != (found.st_mode, found.st_uid, found.st_gid):
        return False
    if stat.S_ISDIR(record.mode):
        return found.st_ino == record.inode
    now = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return now == (record.inode, record.size, record.mtime_ns, record.ctime_ns)


def outputs(
    observation: Observation, intake: Intake, root: str, lstat: Callable[[str], os.stat_result], prefix: str = ""
) -> tuple[list[Artifact], dict[str, str], list[tuple[str, str]]]:
    """Store and describe what the run left: files made or changed, folders, links; and what it deleted.

    Returns:
        The artifacts by name, causes of what is unobserved, and name and reason of outputs that could not be read.
    """
    artifacts: list[Artifact] = []
    unobserved: dict[str, str] = {}
    unread: list[tuple[str, str]] = []
    changed = {path for path, record in observation.paths.items() if record.changes}
    scratch = Scratch(observation)
    for path in sorted(observation.made | changed):
        before = observation.paths.get(path)
        name = to_text(relative_name(path, root))
        try:
            found = lstat(path)
        except OSError:
            if before is not None and observation.actors(path, "d"):
                artifacts.append(Artifact(name=name, access=("deleted",), entry=_entry(before, None, None, {})))
            elif before is not None:
                unread.append((name, "it is not there any more, and the run was not seen to delete it"))
            continue
        if before is not None and _same(before, found):
            # A folder that was moved away and back is the same; but a replay must be able to move it, too.
            before.changes = "u" if stat.S_ISDIR(before.mode) and "u" in before.changes else ""
            continue
        content: Content | None = None
        target = None
        try:
            found, content = intake.take_file(path)
            if stat.S_ISLNK(found.st_mode):
                target = os.readlink(prefix + path)
        except OSError as error:
            unobserved[f"outputs[{name}].pointer"] = f"cannot be read: {error.strerror}"
            unread.append((name, f"cannot be read: {error.strerror}"))
            if stat.S_ISLNK(found.st_mode):
                continue  # it is gone by now, and a link is nothing but where it leads
        access: Access = "created" if before is None else "appended" if before.changes.strip("x") == "a" else "updated"
        temporary = before is None and scratch.holds(path)
        artifacts.append(output(path, root, found, content, access, target, temporary=temporary))
    artifacts.sort(key=lambda artifact: artifact.name)
    return artifacts, unobserved, unread


def checksums(artifacts: Iterable[Artifact]) -> dict[str, Digest]:
    """Give name and digest of the data artifacts whose bytes are known."""
    return {a.name: a.pointer.digest for a in artifacts if a.pointer is not None and a.kind == "data"}
