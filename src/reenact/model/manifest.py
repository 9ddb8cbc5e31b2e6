"""Environment manifests as bytes: canonical JSON of :class:`reenact.model.environment.Manifest`."""

from __future__ import annotations

import msgspec

from reenact import canonical
from reenact.errors import MalformedBundle
from reenact.model.artifact import Entry
from reenact.model.environment import MANIFEST_FORMAT, Manifest

__all__ = ["dump", "load"]


def dump(entries: list[Entry]) -> bytes:
    """Encode entries, sorted by path; equal environments give equal bytes."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.path))
    return canonical.dumps_plain(Manifest(format=MANIFEST_FORMAT, entries=ordered))


def load(data: bytes) -> Manifest:
    """Decode a manifest object.

    Raises:
        MalformedBundle: the bytes are not a manifest of a format this program knows.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBundle(f"not an environment manifest: {error}") from error
    if manifest.format != MANIFEST_FORMAT:
        raise MalformedBundle(f"environment manifest of unknown format {manifest.format!r}")
    return manifest
