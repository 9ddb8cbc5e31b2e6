"""Restore artifacts of a run straight from the store, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reenact import clock
from reenact.actions.fetching import fetch_pointers
from reenact.actions.opening import opened, read_bundle, resolve
from reenact.actions.placing import Placed, place
from reenact.digests import Digest
from reenact.errors import IntegrityError, UnreplayableError, UsageError
from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["chosen", "restore"]

_STREAM_MODE: Final = 0o644


def restore(settings: Settings, reference: str, names: Sequence[str], *, to: Path, inputs: bool) -> list[Placed]:
    """Write outputs (or inputs) of a run below a folder.

    Args:
        settings: Where the store is.
        reference: Which run.
        names: Which artifacts, as `show` names them, or ``stdout`` and ``stderr``; none means all outputs, or all inputs
            whose bytes were read.
        to: The folder; made when it is not there. Nothing in it is overwritten.
        inputs: What the run read, as it was before, instead of what it made.

    Raises:
        RunNotFound, SignatureInvalid, MalformedBundle: the record cannot be used.
        UsageError: a name is none of the run's, or something is in the way.
        UnreplayableError: bytes are missing; all of them are named, and nothing was written.
        IntegrityError: bytes are damaged; likewise.
    """
    store = opened(settings)
    bundle = read_bundle(store, resolve(store, reference))
    missing: dict[Digest, str] = {}
    if inputs:
        named = [artifact for artifact in bundle.inputs if not names or artifact.name in names]
        bundle, missing = fetch_pointers(store, bundle, settings, named)
    artifacts = chosen(bundle, names, inputs=inputs)
    _check(store, artifacts, missing)
    return place(store.objects, artifacts, to)


def chosen(bundle: Bundle, names: Sequence[str], *, inputs: bool) -> list[Artifact]:
    """Choose artifacts by name; without names all that can be restored.

    Raises:
        UsageError: the run has no such artifact, or nothing of it is there to restore.
    """
    known = {artifact.name: artifact for artifact in (bundle.inputs if inputs else bundle.outputs)}
    if not names:
        kept = [a for a in known.values() if not a.temporary and not _hollow(a, inputs=inputs)]
        return [a for a in kept if not inputs or a.entry.need == "content"]
    if not inputs:
        known = _streams(bundle) | known
    kind, other = ("input", "outputs") if inputs else ("output", "inputs")
    for name in names:
        if name not in known:
            hint = f"its {kind}s are: {', '.join(list(known)[:5]) or 'none'}; for {other} see --inputs"
            raise UsageError(f"run {bundle.run_id} has no {kind} {name!r}", hint=hint)
        if reason := _hollow(known[name], inputs=inputs):
            raise UsageError(f"{kind} {name!r} of run {bundle.run_id} cannot be restored: {reason}")
    return [known[name] for name in dict.fromkeys(names)]


def _streams(bundle: Bundle) -> dict[str, Artifact]:
    """Give what the job wrote to its standard streams as files, by name, where it was kept."""
    launch = bundle.launch
    kept = {"stdout": launch.stdout.pointer, "stderr": launch.stderr.pointer}
    mtime_ns = str(int(clock.parse(bundle.ended_at or bundle.timestamp).timestamp()) * 10**9)
    return {
        name: Artifact(
            name=name,
            access=("created",),
            entry=Entry(
                path=f"/{name}",
                type="file",
                mode=_STREAM_MODE,
                mtime_ns=mtime_ns,
                need="content",
                size_bytes=pointer.size_bytes,
                digest=pointer.digest,
            ),
            pointer=pointer,
        )
        for name, pointer in kept.items()
        if pointer is not None
    }


def _hollow(artifact: Artifact, *, inputs: bool) -> str:
    """Say why there is nothing to restore; empty when there is."""
    if not inputs and "deleted" in artifact.access:
        return "the run deleted it"
    if artifact.entry.type == "file" and artifact.entry.digest is None:
        return "the run only asked about it" if artifact.entry.need == "stat" else "its bytes were not kept"
    if artifact.entry.type in {"socket", "device"}:
        return f"it is a {artifact.entry.type}"
    return ""


def _check(store: Store, artifacts: Sequence[Artifact], unfetched: Mapping[Digest, str]) -> None:
    """Refuse before anything is written, naming all that is not there."""
    gone = [
        f"input {a.name}: {unfetched[a.entry.digest]}"
        for a in artifacts
        if a.entry.digest and a.entry.digest in unfetched
    ]
    if gone:
        raise UnreplayableError(
            "; ".join(gone), missing=tuple(gone), hint="say where its bytes are now in reenact.toml: [inputs.…] from"
        )
    names = {a.entry.digest: a.name for a in reversed(artifacts) if a.entry.digest is not None}
    findings = store.objects.verify(names, content=False)
    missing = tuple(names[f.digest] for f in findings if f.problem == "missing")
    damaged = tuple(names[f.digest] for f in findings if f.problem == "damaged")
    if damaged:
        raise IntegrityError(
            f"the store's bytes are damaged for: {', '.join(damaged)}", hint="see: reenact verify --all"
        )
    if missing:
        raise UnreplayableError(
            f"the store has no bytes for: {', '.join(missing)}", missing=missing, hint="see: reenact verify --all"
        )
