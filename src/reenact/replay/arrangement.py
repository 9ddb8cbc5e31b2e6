"""Decide what of a record goes where in its world: what is only read below, what the job changes above. Pure.

Lower layer: inputs that stay as they are, and the folders in which outputs appear. Upper layer: copies of what the job
changes, because the overlay cannot do all of it to a lower file: a folder of a lower layer cannot be renamed (EXDEV), and
changing one name of a hard-link group would split the group. See research rules on overlay: kernel's overlayfs.rst.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import msgspec

from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle, Launch
from reenact.model.environment import Manifest
from reenact.model.paths import from_text, to_text
from reenact.replay.layout import KERNEL_FOLDERS, is_laid_out

__all__ = ["Arrangement", "arrange"]

_CHANGES: Final = frozenset({"updated", "appended", "deleted"})
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a path inside the world
_SHARED_FOLDERS: Final = ("/tmp", "/var/tmp", _SHARED_MEMORY)  # noqa: S108 - paths inside the world
_SHARED_MODE: Final = 0o1777
_FOLDER_MODE: Final = 0o755
_KERNEL_MODE: Final = 0o555


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Where everything goes. Entries are sorted by path."""

    inputs: tuple[Entry, ...]
    """The lower layer above the environment."""
    seed: tuple[Entry, ...]
    """What the upper layer begins with; its root, at least."""
    shared_memory: bool
    """The record has files in /dev/shm."""


def arrange(
    bundle: Bundle, manifest: Manifest | None, *, opaque_attribute: str, host: Sequence[Entry] = ()
) -> Arrangement:
    """Arrange a run's record.

    Args:
        bundle: The record.
        manifest: Its sealed environment; a layer of its own, here only asked for folders' facts.
        opaque_attribute: The attribute that makes a folder of the upper layer hide what is below it.
        host: Frozen copies of what described the recording machine (/sys).
    """
    return _Arranger(bundle, manifest, host).arrange(opaque_attribute)


class _Arranger:
    def __init__(self, bundle: Bundle, manifest: Manifest | None, host: Sequence[Entry]) -> None:
        self._launch = bundle.launch
        self._inputs = {path: artifact for path, artifact in _by_path(bundle.inputs) if is_laid_out(path)}
        self._outputs = {path: artifact for path, artifact in _by_path(bundle.outputs) if is_laid_out(path)}
        self._host = {path: entry for entry in host if is_laid_out(path := from_text(entry.path))}
        self._environment = {from_text(entry.path): entry for entry in manifest.entries} if manifest else {}
        self._made = {path for path, artifact in self._outputs.items() if self._is_made(path, artifact)}

    def arrange(self, opaque_attribute: str) -> Arrangement:
        """Do it; see :func:`arrange`."""
        moved = self._moved_folders()
        above = self._changed(moved)
        seed = {path: self._recorded(path) for path in above}
        below = dict(self._host)
        below |= {path: artifact.entry for path, artifact in self._inputs.items() if path not in above}
        below |= {path: self._folder(path) for path in self._names_without_entry() if path not in seed}
        for path in (*below, *self._needed_folders()):
            self._add_folders(below, path, stop_at=above)
        for path in (*above, *self._stream_files()):
            self._add_folders(seed, path, stop_at=frozenset())
        for path in moved:
            if any(known.startswith(path + "/") for known in self._environment):
                seed[path] = _with_attribute(seed[path], opaque_attribute)
        seed.setdefault("/", self._folder("/"))
        below.setdefault("/", self._folder("/"))
        paths = (*self._inputs, *self._outputs)
        return Arrangement(
            inputs=tuple(below[path] for path in sorted(below)),
            seed=tuple(seed[path] for path in sorted(seed)),
            shared_memory=any(path.startswith(_SHARED_MEMORY + "/") for path in paths),
        )

    def _is_made(self, path: str, artifact: Artifact) -> bool:
        """Tell whether the job itself made a folder that was not there before."""
        if artifact.entry.type != "directory" or path in self._inputs or path in self._environment:
            return False
        return artifact.temporary or "created" in artifact.access

    def _recorded(self, path: str) -> Entry:
        return self._inputs[path].entry if path in self._inputs else self._environment[path]

    def _is_changed(self, path: str, artifact: Artifact) -> bool:
        after = self._outputs.get(path)
        return not _CHANGES.isdisjoint(artifact.access) or (after is not None and artifact.entry.type != "directory")

    def _moved_folders(self) -> list[str]:
        """Find the folders that were removed, or renamed with all that is in them.

        An updated folder counts: it may have been renamed and then made anew.
        """
        touched = (*self._inputs.items(), *self._outputs.items())
        gone = {path for path, artifact in touched if not _CHANGES.isdisjoint(artifact.access)}
        known = {path for path in gone - {"/"} if path in self._inputs or path in self._environment}
        return sorted(path for path in known if self._recorded(path).type == "directory")

    def _changed(self, moved: list[str]) -> set[str]:
        """Everything that must be a copy in the upper layer."""
        changed = {
            path
            for path, artifact in self._inputs.items()
            if artifact.entry.type != "directory" and self._is_changed(path, artifact)
        }
        changed |= {path for path in self._outputs if path in self._environment and path not in self._inputs}
        inside = tuple(path + "/" for path in moved)
        changed.update(moved)
        if inside:
            changed |= {path for path in (*self._inputs, *self._environment) if path.startswith(inside)}
        groups = {self._recorded(path).link or to_text(path) for path in changed}
        known = {**self._environment, **{path: artifact.entry for path, artifact in self._inputs.items()}}
        return changed | {path for path, entry in known.items() if (entry.link or entry.path) in groups}

    def _stream_files(self) -> Iterator[str]:
        """Give the files standard output goes to: they are opened from outside the world, straight in the upper layer."""
        for stream in (self._launch.stdout, self._launch.stderr):
            if stream.kind == "file" and stream.path is not None and is_laid_out(from_text(stream.path)):
                yield from_text(stream.path)

    def _names_without_entry(self) -> Iterator[str]:
        """Give the names that were listed and are described nowhere: folders the recording itself kept out of, as its store."""
        listed = (*self._environment.items(), *((path, artifact.entry) for path, artifact in self._inputs.items()))
        known = (self._inputs, self._environment, self._host)
        for folder, entry in listed:
            for name in entry.names or ():
                path = f"{folder.rstrip('/')}/{from_text(name)}"
                if is_laid_out(path) and not any(path in paths for paths in known):
                    yield path

    def _needed_folders(self) -> Iterator[str]:
        """Give a path in each folder that must be there; its parents are what is added."""
        for path in self._outputs:
            if not any(folder in self._made for folder in _folders_of(path)):
                yield path
        for path in (from_text(self._launch.cwd), from_text(self._launch.root)):
            yield path.rstrip("/") + "/."
        for path in (*KERNEL_FOLDERS, *_SHARED_FOLDERS[:1]):
            yield path + "/."
        if any(path.startswith(_SHARED_MEMORY + "/") for path in (*self._inputs, *self._outputs)):
            yield _SHARED_MEMORY + "/."

    def _add_folders(self, entries: dict[str, Entry], path: str, *, stop_at: AbstractSet[str]) -> None:
        """Add the folders on the way to `path`, up to one that is there or in `stop_at`, whose own are added with it."""
        for folder in _folders_of(path):
            if folder in entries or folder in stop_at:
                return
            entries[folder] = self._folder(folder)

    def _folder(self, path: str) -> Entry:
        """Describe a folder as recorded; where it was not, as such folders usually are."""
        for known in (self._inputs[path].entry if path in self._inputs else None, self._environment.get(path)):
            if known is not None and known.type == "directory":
                return known
        return _assumed_folder(path, self._launch)


def _by_path(artifacts: Iterable[Artifact]) -> Iterator[tuple[str, Artifact]]:
    for artifact in artifacts:
        yield from_text(artifact.entry.path), artifact


def _folders_of(path: str) -> Iterator[str]:
    """Give the folders on the way to a path, nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _assumed_folder(path: str, launch: Launch) -> Entry:
    uid, gid, mode = 0, 0, _FOLDER_MODE
    if path in KERNEL_FOLDERS:
        mode = _KERNEL_MODE
    elif path in _SHARED_FOLDERS:
        mode = _SHARED_MODE
    elif path != "/":
        uid, gid = launch.uid, launch.gid  # the job wrote into it or stood in it
    return Entry(path=to_text(path), type="directory", mode=mode, mtime_ns="0", need="stat", uid=uid, gid=gid)


def _with_attribute(entry: Entry, name: str) -> Entry:
    return msgspec.structs.replace(entry, xattrs={**entry.xattrs, name: base64.b64encode(b"y").decode()})
