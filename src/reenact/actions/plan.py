"""Plan a replay: what it needs, what is missing, what stands in the way. Runs nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reenact.actions.opening import opened, read_bundle, resolve
from reenact.capture.host import cpu, system
from reenact.errors import IntegrityError
from reenact.model import manifest as manifests
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest
from reenact.replay.drift import Host
from reenact.replay.plan import Plan, make_plan
from reenact.replay.probe import Probe, probe

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Prepared", "plan", "prepare", "worlds_folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan with what it was made from."""

    plan: Plan
    bundle: Bundle
    manifest: Manifest | None
    host_files: Manifest | None
    probe: Probe


def worlds_folder(store: Store) -> Path:
    """Give the folder of cached layers and of the worlds in use: beside the store's other derived files."""
    return Path(store.cache) / "worlds"


def _manifest(store: Store, digest: Digest | None) -> Manifest | None:
    """Read a manifest; None when it cannot be had, which the plan then names."""
    if digest is None:
        return None
    try:
        return manifests.load(store.objects.read(digest))
    except IntegrityError:
        return None


def prepare(store: Store, reference: str) -> Prepared:
    """Plan the replay of the run a reference names.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record is not what was signed.
    """
    bundle = read_bundle(store, resolve(store, reference))
    manifest = _manifest(store, bundle.environment.manifest)
    host_files = _manifest(store, bundle.capture.host_files)
    folder = worlds_folder(store)
    os.makedirs(folder, exist_ok=True)
    tried = probe(folder)
    made = make_plan(
        bundle,
        manifest,
        store.objects,
        now=Host(system=system(), cpu=cpu()),
        probe=tried,
        host_files=host_files,
    )
    return Prepared(plan=made, bundle=bundle, manifest=manifest, host_files=host_files, probe=tried)


def plan(settings: Settings, reference: str) -> Plan:
    """Say what a replay of a run would need and meet; see :func:`prepare`."""
    return prepare(opened(settings), reference).plan
