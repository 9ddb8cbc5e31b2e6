"""A replay's fresh folder: where recorded paths are in it, what is laid out there, and what the job is told. Pure.

Below the *mirror* the job's folder is at its recorded path: ``/work/job/in.csv`` is ``MIRROR/work/job/in.csv``. Only what lies
in the recorded root is laid out. A word of the command that is the path of a recorded file, and lists of folders such as
PATH, are told their new place; a path inside any other word is not touched (see refusals.py, which then refuses).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from reenact.capture.classify import is_by_product
from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle, Launch, Stream
from reenact.model.environment import Manifest
from reenact.model.paths import from_text, to_text
from reenact.replay.arrangement import arrange
from reenact.replay.judge import Evidence
from reenact.replay.layout import is_laid_out
from reenact.replay.ownership import is_inside

__all__ = [
    "FOLDER_LISTS",
    "Place",
    "as_recorded",
    "entries_of",
    "escaped",
    "known_paths",
    "moved",
    "stream_files",
    "told",
]

FOLDER_LISTS: Final = frozenset(
    {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "MANPATH", "CLASSPATH", "PERL5LIB", "NODE_PATH"}
)
"""Variables that hold folders, separated by colons."""
_WHERE: Final = frozenset({"PWD", "OLDPWD"})
"""Variables in which a shell keeps where it is."""
_LINK_MODE: Final = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the fresh folder is."""

    mirror: str
    """The folder that stands for ``/``."""
    root: str
    """The recorded root."""
    environments: Mapping[str, str]
    """Prefix of each recorded virtual environment to that of the one used in its place."""
    streams: frozenset[str] = frozenset()
    """Files that were given to the job as standard streams: wherever they were, they are opened for it in the folder."""

    def holds(self, path: str) -> bool:
        """Tell whether a recorded path is in the folder: the job's own files, but no virtual environment among them."""
        if path in self.streams:
            return True
        return is_inside(path, self.root) and not any(is_inside(path, prefix) for prefix in self.environments)

    def of(self, path: str) -> str:
        """Give the place of a recorded path; one that is neither in the root nor in an environment stays."""
        for recorded, used in self.environments.items():
            if is_inside(path, recorded):
                return used + path[len(recorded) :]
        return self.mirror + path if is_inside(path, self.root) or path in self.streams else path

    def recorded(self, path: str) -> str:
        """Give the recorded path of a place; the inverse, for what lies below the mirror."""
        return path[len(self.mirror) :] if path.startswith(self.mirror + "/") else path


def stream_files(launch: Launch) -> frozenset[str]:
    """Give the paths of the files that were the job's standard streams."""
    streams = (launch.stdin, launch.stdout, launch.stderr)
    return frozenset(from_text(s.path) for s in streams if s.kind == "file" and s.path is not None)


# --- what is laid out


def entries_of(bundle: Bundle, manifest: Manifest | None, place: Place) -> tuple[Entry, ...]:
    """Give what is laid out below the mirror, at recorded paths: inputs, folders for outputs, links to environments.

    Packages that lie in the job's folder but in no virtual environment (``node_modules``) are laid out as recorded.
    """

    def ours(artifact: Artifact) -> bool:
        return place.holds(from_text(artifact.entry.path))

    packages = tuple(
        Artifact(name=entry.path, access=("probed",), entry=entry)
        for entry in (manifest.entries if manifest is not None else ())
        if place.holds(from_text(entry.path))
    )
    inputs = {artifact.entry.path: artifact for artifact in (*packages, *filter(ours, bundle.inputs))}
    shrunk = msgspec.structs.replace(
        bundle, inputs=tuple(inputs.values()), outputs=tuple(filter(ours, bundle.outputs)), launch=bundle.launch
    )
    arrangement = arrange(shrunk, None, opaque_attribute="")
    laid_out = {entry.path: entry for entry in (*arrangement.inputs, *arrangement.seed)}
    found = {path: entry for path, entry in laid_out.items() if place.holds(from_text(path))}
    found |= {link.path: link for link in _links(place)}
    return tuple(found[path] for path in sorted(found))


def _links(place: Place) -> Iterator[Entry]:
    for recorded, used in place.environments.items():
        if is_inside(recorded, place.root) and recorded != place.root:
            target = to_text(used)
            yield Entry(
                path=to_text(recorded), type="symlink", mode=_LINK_MODE, mtime_ns="0", need="stat", target=target
            )


# --- what the job is told


def known_paths(bundle: Bundle) -> frozenset[str]:
    """Give every path of the record in the job's root, and the folders on the way to them."""
    root = from_text(bundle.launch.root)
    found = {root}
    paths = [from_text(artifact.entry.path) for artifact in (*bundle.inputs, *bundle.outputs)]
    for path in (*paths, from_text(bundle.launch.cwd)):
        while is_inside(path, root) and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]  # noqa: PLW2901 - upwards
    return frozenset(found)


def told(place: Place, word: str, known: frozenset[str]) -> str:
    """Give what the job is told in place of a whole word: the new place of a recorded path, else the word itself."""
    path = word.rstrip("/") or word
    if path in known or any(is_inside(path, prefix) for prefix in place.environments):
        return place.of(path) + word[len(path) :]
    return word


def _told_variable(place: Place, name: str, value: str, known: frozenset[str]) -> str:
    if name in _WHERE:
        return place.of(value)
    if name in FOLDER_LISTS:
        return ":".join(place.of(folder) for folder in value.split(":"))
    return told(place, value, known)


def moved(bundle: Bundle, place: Place, variables: Mapping[str, str], *, program: str = "") -> tuple[Bundle, list[str]]:
    """Rewrite a record so that it can be executed in the fresh folder.

    Args:
        bundle: The record.
        place: Where the folder is.
        variables: What the job is given: those of the record, as the rung changes them.
        program: What to start instead of the recorded program; empty to start that.

    Returns:
        The record as it is executed, and a word for everything in which the job is told something else.
    """
    launch, known = bundle.launch, known_paths(bundle)
    notes = []
    argv = [told(place, from_text(word), known) for word in launch.argv]
    if program:
        argv[0] = program
    notes += [f"argument {n}" for n, word in enumerate(argv) if word != from_text(launch.argv[n])]
    given = {name: _told_variable(place, name, value, known) for name, value in variables.items()}
    notes += [f"variable {name}" for name, value in sorted(given.items()) if value != variables[name]]
    new_launch = msgspec.structs.replace(
        launch,
        argv=tuple(to_text(word) for word in argv),
        cwd=to_text(place.mirror + from_text(launch.cwd)),
        root=to_text(place.mirror + place.root),
        stdin=_moved_stream(launch.stdin, place),
        stdout=_moved_stream(launch.stdout, place),
        stderr=_moved_stream(launch.stderr, place),
    )
    texts = {to_text(name): to_text(value) for name, value in sorted(given.items())}
    environment = msgspec.structs.replace(bundle.environment, variables=texts)
    return msgspec.structs.replace(bundle, launch=new_launch, environment=environment), notes


def _moved_stream(stream: Stream, place: Place) -> Stream:
    if stream.path is None:
        return stream
    return msgspec.structs.replace(stream, path=to_text(place.of(from_text(stream.path))))


# --- what came of it


def as_recorded(evidence: Evidence, place: Place) -> Evidence:
    """Give the record of a replay with the paths its original has, for the judge.

    The kernel's own folders are left out, and outside the folder what the job looked for and did not find: the rung does not
    claim to show the job the recorded machine. So is what :func:`escaped` names: it must not pass for what was recorded there.
    """

    def back(artifact: Artifact) -> Artifact:
        path = to_text(place.recorded(from_text(artifact.entry.path)))
        if path == artifact.entry.path:
            return artifact
        name = path if artifact.name == artifact.entry.path else artifact.name
        return msgspec.structs.replace(artifact, name=name, entry=msgspec.structs.replace(artifact.entry, path=path))

    def counts(artifact: Artifact) -> bool:
        path = from_text(artifact.entry.path)
        return is_laid_out(path) and not _is_of_the_recorded_folder(path, place)

    bundle = evidence.bundle
    absent = [path for path in map(from_text, evidence.absent) if is_inside(path, place.mirror + place.root)]
    return Evidence(
        bundle=msgspec.structs.replace(
            bundle,
            inputs=tuple(back(artifact) for artifact in bundle.inputs if counts(artifact)),
            outputs=tuple(back(artifact) for artifact in bundle.outputs if counts(artifact)),
            launch=_launch_as_recorded(bundle.launch, place),
        ),
        absent=tuple(to_text(place.recorded(path)) for path in absent if not is_by_product(path)),
    )


def escaped(evidence: Evidence, place: Place) -> tuple[str, ...]:
    """Name, in words, what a replay used in the recorded folder itself instead of its own: nothing it shows is proven then."""
    bundle = evidence.bundle
    paths = {
        artifact.entry.path
        for artifact in (*bundle.inputs, *bundle.outputs)
        if artifact.access != ("probed",) and _is_of_the_recorded_folder(from_text(artifact.entry.path), place)
    }
    return tuple(f"{path}: used in the recorded folder itself, not in the replay's" for path in sorted(paths))


def _is_of_the_recorded_folder(path: str, place: Place) -> bool:
    return not is_inside(path, place.mirror) and place.holds(path)


def _launch_as_recorded(launch: Launch, place: Place) -> Launch:
    return msgspec.structs.replace(
        launch,
        cwd=to_text(place.recorded(from_text(launch.cwd))),
        root=to_text(place.recorded(from_text(launch.root))),
    )
