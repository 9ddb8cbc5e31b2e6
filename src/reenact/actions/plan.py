"""Plan a replay: what it needs, what is missing, what stands in the way. Runs nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reenact.actions.fetching import Checked, fetch_pointers
from reenact.actions.opening import opened, read_bundle, resolve
from reenact.capture.host import cpu, system
from reenact.capture.trace import filter as filter_program
from reenact.capture.trace import seccomp
from reenact.errors import IntegrityError
from reenact.model import manifest as manifests
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest
from reenact.model.paths import from_text
from reenact.replay import rebuild
from reenact.replay.drift import Host
from reenact.replay.fresh import Place, stream_files
from reenact.replay.interface import ObjectChecker
from reenact.replay.plan import Plan, make_folder_plan, make_plan
from reenact.replay.probe import Probe, probe
from reenact.replay.recipe import Recipe, environments_of, recipe_of
from reenact.replay.refusals import refusals
from reenact.replay.rungs import LowerRung, ReplayRung
from reenact.replay.today import here_variables, program_obstacles, rebuilt_program, rebuilt_variables

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Footing", "Prepared", "find_program", "here", "plan", "prepare", "worlds_folder"]

_PLANNED: Final = "/reenact-replay"
"""Stands for the folder that a replay will be in, while nothing of it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What a replay in a fresh folder stands on."""

    rung: LowerRung
    environments: tuple[str, ...]
    """Prefixes of the recorded virtual environments."""
    recipe: Recipe | None = None
    uv: str = ""
    python: str = ""
    """The interpreter to build with; these three are there on the rung ``rebuilt`` alone, when it is possible."""

    def place(self, bundle: Bundle, *, mirror: str, prefix: str) -> Place:
        """Say where everything is once the folder is there.

        Args:
            bundle: The record.
            mirror: The folder that stands for ``/``.
            prefix: Of the rebuilt environment.
        """
        used = {path: prefix if self.rung == "rebuilt" else path for path in self.environments}
        return Place(
            mirror=mirror, root=from_text(bundle.launch.root), environments=used, streams=stream_files(bundle.launch)
        )

    def variables(self, bundle: Bundle, prefix: str, today: Mapping[str, str]) -> dict[str, str]:
        """Give the variables of the job, before they are told where the folder is."""
        return rebuilt_variables(bundle, prefix) if self.rung == "rebuilt" else here_variables(bundle, today)

    def program(self, bundle: Bundle, prefix: str) -> str:
        """Give the program to start instead of the recorded one; empty to start that."""
        if self.recipe is None:
            return ""
        return rebuilt_program(bundle, self.recipe, prefix, os.path.realpath)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan with what it was made from."""

    plan: Plan
    bundle: Bundle
    manifest: Manifest | None
    host_files: Manifest | None
    probe: Probe | None
    """On the rung ``world``."""
    footing: Footing | None
    """On the others."""


def worlds_folder(store: Store) -> Path:
    """Give the folder of cached layers and of the worlds in use: beside the store's other derived files."""
    return Path(store.cache) / "worlds"


def find_program(name: str, path: str) -> str | None:
    """Find a program as a shell does; None when there is none that can be executed."""
    return shutil.which(name, path=path)


def _manifest(store: Store, digest: Digest | None) -> Manifest | None:
    """Read a manifest; None when it cannot be had, which the plan then names."""
    if digest is None:
        return None
    try:
        return manifests.load(store.objects.read(digest))
    except IntegrityError:
        return None


def prepare(store: Store, reference: str, rung: ReplayRung = "world", settings: Settings | None = None) -> Prepared:
    """Plan the replay of the run a reference names. Inputs that are kept as pointers are fetched.

    Args:
        store: Where it is.
        reference: Which run.
        rung: How.
        settings: Where else to look for what is not kept.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record is not what was signed.
        StoreError: what is fetched cannot be kept on this host.
    """
    bundle, missing = fetch_pointers(store, read_bundle(store, resolve(store, reference)), settings)
    checker: ObjectChecker = Checked(store, missing) if missing else store.objects
    manifest = _manifest(store, bundle.environment.manifest)
    if rung != "world":
        return _prepare_folder(store, bundle, manifest, rung, checker)
    host_files = _manifest(store, bundle.capture.host_files)
    folder = worlds_folder(store)
    os.makedirs(folder, exist_ok=True)
    tried = probe(folder)
    made = make_plan(bundle, manifest, checker, now=here(), probe=tried, host_files=host_files)
    return Prepared(plan=made, bundle=bundle, manifest=manifest, host_files=host_files, probe=tried, footing=None)


def here() -> Host:
    """Describe this machine, as far as it can change results."""
    return Host(system=system(), cpu=cpu())


def _prepare_folder(
    store: Store, bundle: Bundle, manifest: Manifest | None, rung: LowerRung, checker: ObjectChecker
) -> Prepared:
    footing, obstacles = _footing(store, bundle, manifest, rung)
    place = footing.place(bundle, mirror=_PLANNED, prefix=_PLANNED)
    variables = footing.variables(bundle, _PLANNED, os.environ)
    obstacles += refusals(bundle, place, variables, read=store.objects.read)
    obstacles += _programs(bundle, footing, variables)
    obstacles += _unobservable()
    made = make_folder_plan(bundle, manifest, checker, rung=rung, place=place, obstacles=obstacles, now=here())
    return Prepared(plan=made, bundle=bundle, manifest=manifest, host_files=None, probe=None, footing=footing)


def _footing(store: Store, bundle: Bundle, manifest: Manifest | None, rung: LowerRung) -> tuple[Footing, list[str]]:
    environments = environments_of(bundle, manifest)
    if rung == "here":
        return Footing(rung=rung, environments=environments), []
    recipe, found = recipe_of(bundle, manifest, _bytes(store.objects.read, bundle.environment.lock))
    obstacles = list(found)
    uv = rebuild.find_uv(os.environ)
    python = None
    if uv is None:
        obstacles.append("uv is not installed: it is looked for on PATH and beside the Python that reenact runs with")
    elif recipe is not None:
        python = rebuild.find_python(uv, recipe.python, os.environ)
        if python is None:
            obstacles.append(
                f"Python {recipe.python} is not on this machine; get it with: uv python install {recipe.python}"
            )
    return Footing(rung=rung, environments=environments, recipe=recipe, uv=uv or "", python=python or ""), obstacles


def _bytes(read: Callable[[Digest], bytes], digest: Digest | None) -> bytes | None:
    try:
        return None if digest is None else read(digest)
    except IntegrityError:
        return None


def _programs(bundle: Bundle, footing: Footing, variables: Mapping[str, str]) -> Iterator[str]:
    used = {path: path for path in footing.environments}
    yield from program_obstacles(bundle, variables, used, find_program, planned=footing.rung == "rebuilt")


def _unobservable() -> Iterator[str]:
    """Say so when the job could not be observed: then nothing could be said of what it did."""
    number = seccomp.probe(filter_program.build())
    if number:
        yield f"the replay could not be observed here: the kernel refuses a seccomp listener: {os.strerror(number)}"


def plan(settings: Settings, reference: str, rung: ReplayRung = "world") -> Plan:
    """Say what a replay of a run would need and meet; see :func:`prepare`."""
    return prepare(opened(settings), reference, rung, settings).plan
