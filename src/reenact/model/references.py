"""What a bundle refers to: every object that has to be in the store for the record to be whole."""

from __future__ import annotations

from collections.abc import Iterator

from reenact.digests import Digest
from reenact.model.artifact import Entry
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest

__all__ = ["of_bundle", "of_manifest"]


def of_bundle(bundle: Bundle) -> dict[Digest, str]:
    """Give the digests of all objects a bundle refers to, each with a word about what it was; the environment's files excepted.

    Those are in the manifest, see :func:`of_manifest`.
    """
    return dict(_reversed_unique(_of_bundle(bundle)))


def of_manifest(manifest: Manifest) -> dict[Digest, str]:
    """Give the digests of all files of an environment, each with its path."""
    return dict(_reversed_unique(_of_entries(manifest.entries, "environment ")))


def _reversed_unique(pairs: Iterator[tuple[Digest, str]]) -> list[tuple[Digest, str]]:
    """Let the first of several names of one object be the one that a dictionary keeps."""
    return list(pairs)[::-1]


def _of_bundle(bundle: Bundle) -> Iterator[tuple[Digest, str]]:
    yield from _of_entries(tuple(a.entry for a in bundle.inputs), "input ", [a.name for a in bundle.inputs])
    yield from _of_entries(tuple(a.entry for a in bundle.outputs), "output ", [a.name for a in bundle.outputs])
    launch = bundle.launch
    for name, stream in (("stdin", launch.stdin), ("stdout", launch.stdout), ("stderr", launch.stderr)):
        if stream.pointer is not None:
            yield stream.pointer.digest, name
    for digest, what in (
        (bundle.environment.manifest, "environment manifest"),
        (bundle.environment.lock, "environment lock"),
        (bundle.capture.host_files, "host files manifest"),
        (bundle.capture.absent, "list of absent paths"),
        (bundle.capture.listings, "order of listings"),
        (bundle.capture.stat_facts, "host facts"),
    ):
        if digest is not None:
            yield digest, what
    for name, digest in bundle.determinism.tapes.items():
        yield digest, f"tape {name}"


def _of_entries(entries: tuple[Entry, ...], what: str, names: list[str] | None = None) -> Iterator[tuple[Digest, str]]:
    """Entries whose bytes were kept carry their digest; a name beside the path makes a better message."""
    for place, entry in enumerate(entries):
        if entry.digest is not None:
            yield entry.digest, what + (entry.path if names is None else names[place])
