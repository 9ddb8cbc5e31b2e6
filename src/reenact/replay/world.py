"""The world of one replay: layers from the cache, an upper layer that begins with what the job will change.

Everything is laid out before anything runs; the world itself is then one overlay (see mounts.py) that is thrown away at the
end, with all that the job wrote, after the caller has taken what it wants from it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reenact import digests
from reenact.errors import SandboxError, UnreplayableError
from reenact.model import manifest as manifests
from reenact.model.artifact import Entry
from reenact.model.bundle import Bundle, Launch
from reenact.model.environment import Manifest
from reenact.model.paths import from_text
from reenact.replay.arrangement import Arrangement, arrange
from reenact.replay.claims import claimed
from reenact.replay.interface import ObjectSource
from reenact.replay.layers import LayerCache
from reenact.replay.layout import lay_out
from reenact.replay.mounts import View
from reenact.replay.ownership import Ownership, is_inside
from reenact.replay.probe import Probe
from reenact.replay.sandbox import Mode

__all__ = ["World", "not_isolated", "open_world"]

_OPAQUE: Final[dict[Mode, str]] = {"root": "trusted.overlay.opaque", "user": "user.overlay.opaque"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A laid-out world, ready for a :class:`reenact.replay.sandbox.Sandbox`."""

    view: View
    arrangement: Arrangement
    upper: Path
    """What the job wrote, and what it began with of that, at its paths below this folder."""


@contextlib.contextmanager
def open_world(
    bundle: Bundle,
    manifest: Manifest,
    *,
    source: ObjectSource,
    cache: Path,
    probe: Probe,
    limit_bytes: int,
    host: Sequence[Entry] = (),
    rehash: bool = False,
) -> Iterator[World]:
    """Lay out the world of a run's record; it is deleted when the context ends.

    Args:
        bundle: The record.
        manifest: Its sealed environment, as read from the object the bundle names.
        source: Gives contents.
        cache: Folder of cached layers (made when missing).
        probe: What this machine allows.
        limit_bytes: Bound of the cache's size.
        host: Entries of files that described the recording machine (/sys).
        rehash: Read cached layers again instead of trusting their times.

    Raises:
        UnreplayableError: the bundle has no sealed environment.
        MalformedBundle, ObjectMissing, ObjectDamaged, SandboxError: as :func:`reenact.replay.layout.lay_out`, or no world
            is possible here.
    """
    if bundle.environment.manifest is None:
        raise UnreplayableError("the record has no sealed environment, so no closed world can be made from it")
    mode, scratch = probe.require()
    ownership = _ownership(bundle.launch, manifest, mode)
    layers = LayerCache(cache, source=source, ownership=ownership, limit_bytes=limit_bytes)
    arrangement = arrange(bundle, manifest, opaque_attribute=_OPAQUE[mode], host=host)
    inputs_key = digests.of_bytes(manifests.dump(list(arrangement.inputs)))
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(layers.layer(bundle.environment.manifest, manifest.entries, rehash=rehash))
        inputs = stack.enter_context(layers.layer(inputs_key, arrangement.inputs, shared=False, rehash=rehash))
        place = stack.enter_context(_scratch(scratch))
        lay_out(arrangement.seed, f"{place}/upper", source=source, ownership=ownership)
        view = View(
            lowers=(inputs, environment),
            upper=f"{place}/upper",
            work=f"{place}/work",
            mount_point=f"{place}/mount",
            user_namespace=mode == "user",
            read_only=_read_only(ownership, bundle, arrangement),
            shared_memory=arrangement.shared_memory,
        )
        yield World(view=view, arrangement=arrangement, upper=Path(place, "upper"))


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(claimed(folder))
            for name in ("upper", "work", "mount"):
                os.mkdir(f"{place}/{name}")
        except OSError as error:
            raise SandboxError(f"no writable layer can be made in {folder}: {error}") from error
        yield place


def _ownership(launch: Launch, manifest: Manifest, mode: Mode) -> Ownership:
    plain = Ownership(exact=mode == "root", uid=launch.uid, gid=launch.gid, groups=launch.groups)
    return dataclasses.replace(plain, read_only=plain.closed(manifest.entries))


def _read_only(ownership: Ownership, bundle: Bundle, arrangement: Arrangement) -> tuple[str, ...]:
    """Give the closed folders, without those in which the job was seen to change or make something after all."""
    changed = [entry.path for entry in (*arrangement.seed, *(artifact.entry for artifact in bundle.outputs))]
    own = [entry.path for entry in arrangement.inputs if entry.type == "directory" and entry.uid == ownership.uid]
    return tuple(
        from_text(folder)
        for folder in ownership.read_only
        if not any(is_inside(path, folder) for path in (*changed, *own))
    )


def not_isolated(launch: Launch, mode: Mode) -> tuple[str, ...]:
    """Name what a closed world does not keep apart from the present machine, or cannot show as it was."""
    notes = [
        "kernel, processor and clock are those of this machine",
        "/proc and /dev show this machine's processors, memory and devices",
    ]
    if mode == "user":
        if launch.uid == 0:
            notes.append("recorded by root, replayed in a user namespace: root there has no power over the machine")
        notes.append("files of every owner belong to the job's user, and cannot be given to another")
    return tuple(notes)
