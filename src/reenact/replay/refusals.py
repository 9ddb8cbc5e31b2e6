"""Why a run must not be replayed in a fresh folder on this machine: every reason at once, before anything runs.

The job runs on the real machine, so nothing may lead it out of its folder to the files it worked on when it was recorded: neither
a file it is known to have used elsewhere, nor the path of its old folder in a word, a variable or a file it is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reenact.digests import Digest
from reenact.errors import ReenactError
from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle
from reenact.model.paths import from_text
from reenact.replay.fresh import FOLDER_LISTS, Place, known_paths, told
from reenact.replay.layout import is_laid_out
from reenact.replay.ownership import is_inside

__all__ = ["SEARCHED_BYTES", "refusals"]

SEARCHED_BYTES: Final = 4 << 20
"""Larger inputs are not searched for the path: they are data, not programs or settings."""
_END: Final = r"(?![\w-])"
"""What goes on after the folder's name is another folder's."""
_HARMLESS: Final = frozenset({"PWD", "OLDPWD", "_"}) | FOLDER_LISTS
_USES: Final = frozenset({"read", "executed", "listed", "updated", "appended", "created", "deleted"})


def refusals(
    bundle: Bundle, place: Place, variables: Mapping[str, str], *, read: Callable[[Digest], bytes]
) -> Iterator[str]:
    """Give the reasons; none means the run may be replayed in a folder of its own.

    Args:
        bundle: The record.
        place: Where the environments it used would be; its mirror need not be there yet.
        variables: What the job would be given.
        read: Gives an object's bytes; one that cannot be had is a lack, named by the plan.
    """
    root = place.root
    if root == "/":
        yield "the job's root is /: there is no folder to replay it in"
        return
    if not is_inside(from_text(bundle.launch.cwd), root):
        yield f"the job was started in {bundle.launch.cwd}, outside its root {bundle.launch.root}"
    yield from _outside(bundle, place)
    names = _names_of_the_folder(bundle, place)
    mentions = re.compile("|".join(re.escape(name) + _END for name in names))
    known = known_paths(bundle)
    for number, word in enumerate(map(from_text, bundle.launch.argv)):
        if (found := mentions.search(word)) and not _is_led(place, word, known):
            yield f"argument {number} has the recorded folder {found[0]} in it: the job would work there"
    for name, value in sorted(variables.items()):
        if name not in _HARMLESS and (found := mentions.search(value)) and not _is_led(place, value, known):
            yield f"variable {name} has the recorded folder {found[0]} in it: the job would work there"
    yield from _in_files(bundle, place, names, read)


def _names_of_the_folder(bundle: Bundle, place: Place) -> list[str]:
    """Give every path that leads to the recorded folder, or into it: its own, and those through links the run has met."""
    links = []
    for entry in (artifact.entry for artifact in bundle.inputs):
        path = from_text(entry.path)
        if entry.type == "symlink" and entry.target is not None and not place.holds(path):
            links.append((path, os.path.normpath(os.path.join(os.path.dirname(path), from_text(entry.target)))))
    names = [place.root]
    for name in names:  # it grows: a link may lead to a link
        for path, target in links:
            led = path + name[len(target) :] if is_inside(name, target) else path if is_inside(target, name) else None
            if led is not None and led not in names:
                names.append(led)
    return names


def _is_led(place: Place, word: str, known: frozenset[str]) -> bool:
    """Tell whether a word leads to the new folder, or into an environment, which is not what the job works on."""
    return told(place, word, known) != word or any(is_inside(word, prefix) for prefix in place.environments)


def _outside(bundle: Bundle, place: Place) -> Iterator[str]:
    """Name the files outside the root that the job used; what is only asked about, or a by-product, is let be."""
    for word, artifacts in (("reads", bundle.inputs), ("writes", bundle.outputs)):
        for artifact in artifacts:
            path = from_text(artifact.entry.path)
            used = not _USES.isdisjoint(artifact.access) and artifact.entry.type != "device"
            if used and not artifact.temporary and is_laid_out(path) and not _is_at_home(path, place):
                yield f"the job {_verb(artifact, word)} {artifact.entry.path}, which lies outside its root"


def _is_at_home(path: str, place: Place) -> bool:
    return place.holds(path) or is_inside(path, place.root)


def _verb(artifact: Artifact, word: str) -> str:
    return "deletes" if "deleted" in artifact.access else "lists" if artifact.access == ("listed",) else word


def _in_files(bundle: Bundle, place: Place, names: list[str], read: Callable[[Digest], bytes]) -> Iterator[str]:
    """Name the inputs that lead to the recorded folder: links to it, and programs and settings that name it."""
    mentions = re.compile(b"|".join(re.escape(os.fsencode(name)) + _END.encode() for name in names))
    for artifact in bundle.inputs:
        entry = artifact.entry
        if not place.holds(from_text(entry.path)):
            continue
        if entry.type == "symlink" and entry.target is not None and _leads_into(from_text(entry.target), names):
            yield f"link {artifact.name} leads to {entry.target}, in the recorded folder"
        if entry.type == "file" and entry.digest is not None and entry.size_bytes <= SEARCHED_BYTES:
            try:
                found = mentions.search(read(entry.digest))
            except ReenactError:
                continue
            if found and not artifact.temporary:
                yield f"{artifact.name} has the recorded folder {os.fsdecode(found[0])} in it: the job would work there"


def _leads_into(target: str, names: list[str]) -> bool:
    return any(is_inside(target, name) for name in names)
