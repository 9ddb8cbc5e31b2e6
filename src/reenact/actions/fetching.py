"""Have the bytes of inputs that are kept as pointers again, so that plan, replay and restore find them like stored ones."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reenact.capture.pointers import location, means
from reenact.model.artifact import Artifact, Origin
from reenact.model.bundle import Bundle
from reenact.model.paths import from_text
from reenact.settings import Replay
from reenact.store.elsewhere.files import file_place
from reenact.store.elsewhere.interface import Place, Wanted
from reenact.store.elsewhere.obtain import obtain, prune
from reenact.store.interface import Finding

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.settings import Settings
    from reenact.settings.inputs import InputRule
    from reenact.store.opening import Store

__all__ = ["Checked", "fetch_pointers", "places_of", "pointers_of"]

_FOLDER = "fetched"


def pointers_of(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Give the artifacts whose bytes the store does not keep."""
    return [artifact for artifact in artifacts if artifact.keep == "pointer" and artifact.pointer is not None]


def fetch_pointers(
    store: Store, bundle: Bundle, settings: Settings | None, wanted: Sequence[Artifact] | None = None
) -> tuple[Bundle, dict[Digest, str]]:
    """Fetch what a run read and the store does not keep, and let the store's reader give it out.

    Tried in this order: the store itself (another run may have kept it), the path it was read from, where the record says it is,
    where the settings say now. Everything is checked by its digest.

    Args:
        store: Where the run is.
        bundle: Its record.
        settings: Where else to look, and how much of what was fetched this host keeps; without them nowhere, and by default.
        wanted: Which inputs; without them all.

    Returns:
        The record as if the bytes were kept, and for every digest that could not be had the reasons.

    Raises:
        StoreError: what was fetched cannot be kept on this host.
    """
    missing: dict[Digest, str] = {}
    pointers = pointers_of(bundle.inputs if wanted is None else wanted)
    if not pointers:
        return bundle, missing
    folder = os.path.join(store.cache, _FOLDER)
    rules = settings.inputs if settings is not None else ()
    limit_bytes = (settings.replay if settings is not None else Replay()).cache_max_bytes
    lent = set()
    for artifact in pointers:
        pointer = artifact.pointer
        if pointer is None or store.objects.holds(pointer.digest):
            continue
        places = places_of(artifact, rules)
        path, reasons = obtain(Wanted(pointer.digest, pointer.size_bytes), places, folder)
        if path is None:
            missing[pointer.digest] = "; ".join(reasons)
        else:
            store.objects.lend(pointer.digest, path)
            lent.add(path)
    prune(folder, limit_bytes, lent)
    return replace(bundle, inputs=tuple(_filled(artifact) for artifact in bundle.inputs)), missing


class Checked:
    """Checks objects as the store's reader does, and says of those that could not be fetched why."""

    def __init__(self, store: Store, missing: dict[Digest, str]) -> None:
        self._store, self._missing = store, missing

    def verify(self, wanted: Collection[Digest], /, *, content: bool) -> list[Finding]:
        """See :class:`reenact.replay.interface.ObjectChecker`."""
        found = self._store.objects.verify([d for d in wanted if d not in self._missing], content=content)
        found += [
            Finding(digest=digest, problem="missing", detail=self._missing[digest])
            for digest in wanted
            if digest in self._missing
        ]
        return found


def _filled(artifact: Artifact) -> Artifact:
    if artifact.keep != "pointer" or artifact.pointer is None:
        return artifact
    return replace(artifact, entry=replace(artifact.entry, digest=artifact.pointer.digest))


def places_of(artifact: Artifact, rules: Sequence[InputRule]) -> Iterator[Place]:
    """Give the places where the bytes of an input that is kept as a pointer may be, the likeliest first."""
    path = from_text(artifact.entry.path)
    yield file_place(path)
    origin = artifact.pointer.origin if artifact.pointer is not None else None
    rule = next((rule for rule in rules if means(rule.pattern, artifact.name, path)), None)
    if origin is not None:
        yield from _recorded(origin, path, rule.repository if rule is not None else None)
    if rule is not None and rule.source is not None:
        where = location(rule.source, artifact.name)
        if origin is None or where != origin.location:
            yield from _recorded(Origin(kind=_kind(where), location=where), path, None)


def _kind(where: str) -> str:
    scheme, separator, _ = where.partition("://")
    if not separator:
        return "path"
    return "http" if scheme in {"http", "https"} else "object-store"


def _recorded(origin: Origin, path: str, repository: str | None) -> Iterator[Place]:
    """Give the places an origin names; those of kinds that this version does not know are none."""
    where = from_text(origin.location)
    if origin.kind == "path" and where != path:
        yield file_place(where)
    elif origin.kind == "git" and origin.version is not None:
        from reenact.store.elsewhere.git import git_place  # noqa: PLC0415 - of four kinds mostly one is met

        folders = [*_upwards(os.path.dirname(path)), *([os.path.expanduser(repository)] if repository else [])]
        for folder in folders:
            yield git_place(folder, origin.version, where)
    elif origin.kind == "http":
        from reenact.store.elsewhere.web import web_place  # noqa: PLC0415 - same

        yield web_place(where)
    elif origin.kind == "object-store":
        from reenact.store.elsewhere.buckets import bucket_place  # noqa: PLC0415 - same

        yield bucket_place(where, origin.version)


def _upwards(folder: str) -> list[str]:
    """Give the nearest folder that is still there; the repository is found from it, where it is one."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return [folder]
