"""What the rung ``rebuilt`` builds again of a recorded environment: one Python with its packages. Pure; nothing is built here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reenact.capture import python_packages
from reenact.model.bundle import Bundle
from reenact.model.environment import Distribution, Interpreter, Manifest
from reenact.model.paths import from_text
from reenact.replay.ownership import is_inside

__all__ = ["Recipe", "environments_of", "python_of", "recipe_of"]

_MARK: Final = "/pyvenv.cfg"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_SITE: Final = re.compile(r"(?P<prefix>.+)/lib(?:64)?/python(?P<version>\d+\.\d+)/site-packages\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to build the environment."""

    python: str
    """Version: ``3.11.2``."""
    requirements: str
    """The recorded lock; empty when the run read no package."""
    hashed: bool
    """The lock tells the hash of every archive."""
    unhashed: tuple[str, ...]
    """Packages, as ``name==version``, of which it tells none."""
    environments: tuple[str, ...]
    """Prefixes of the virtual environments it takes the place of."""
    instead_of: frozenset[str]
    """Interpreters outside of those that it takes the place of, when the job was started with one by its path."""
    sites: tuple[str, ...]
    """Folders the recorded packages lay in."""


def environments_of(bundle: Bundle, manifest: Manifest | None) -> tuple[str, ...]:
    """Find the prefixes of the virtual environments a run used, as far as the record tells."""
    found = set()
    for entry in manifest.entries if manifest is not None else ():
        if entry.path.endswith(_MARK):
            found.add(from_text(entry.path)[: -len(_MARK)])
    variable = from_text(bundle.environment.variables.get("VIRTUAL_ENV", ""))
    executables = {from_text(interpreter.path) for interpreter in bundle.environment.interpreters}
    for distribution in _python_packages(bundle):
        site = _SITE.match(from_text(distribution.location))
        # A described record has no pyvenv.cfg; packages beside an interpreter that was executed lie in no environment.
        if site and (site["prefix"] == variable or not _is_of_the_system(site["prefix"], executables)):
            found.add(site["prefix"])
    return tuple(sorted(found))


def _is_of_the_system(prefix: str, executables: set[str]) -> bool:
    beside = any(is_inside(path, prefix) for path in executables)
    return beside or prefix in {"/usr", "/usr/local"} or prefix.endswith("/.local")


def recipe_of(bundle: Bundle, manifest: Manifest | None, lock: bytes | None) -> tuple[Recipe | None, tuple[str, ...]]:
    """Read from a record how its Python environment can be built again.

    Args:
        bundle: The record.
        manifest: Its sealed environment, where there is one.
        lock: The object it names as lock; None when it names none, or when that cannot be read.

    Returns:
        The recipe, None when there is an obstacle; and every obstacle in words.
    """
    interpreter = python_of(bundle)
    if interpreter is None:
        return None, (
            "the run executed no Python, so there is nothing to rebuild: its programs are tried by the rung here",
        )
    obstacles = list(_obstacles(bundle, interpreter, lock))
    version = _VERSION.match(interpreter.version or "")
    if obstacles or version is None:
        return None, tuple(obstacles)
    requirements = (lock or b"").decode("utf-8", "replace")
    lines = requirements.splitlines()
    environments = environments_of(bundle, manifest)
    return Recipe(
        python=version[0],
        requirements=requirements,
        hashed=bool(lines) and all("--hash=" in line for line in lines),
        unhashed=tuple(line for line in lines if "sha256" not in line),
        environments=environments,
        instead_of=frozenset({from_text(interpreter.path)}),
        sites=tuple(sorted({from_text(d.location) for d in _python_packages(bundle)})),
    ), ()


def _python_packages(bundle: Bundle) -> Iterator[Distribution]:
    return (d for d in bundle.environment.distributions if d.ecosystem == python_packages.ECOSYSTEM)


def python_of(bundle: Bundle) -> Interpreter | None:
    """Choose the interpreter whose packages were read most; without packages the one the job was started with."""
    found = [interpreter for interpreter in bundle.environment.interpreters if interpreter.name == "python"]
    most = max(_python_packages(bundle), key=lambda d: d.files_read, default=None)
    site = _SITE.match(from_text(most.location)) if most is not None else None

    def rank(interpreter: Interpreter) -> tuple[bool, bool]:
        fits = site is not None and (interpreter.version or "").startswith(site["version"] + ".")
        return fits, interpreter.path == bundle.launch.executable

    return max(found, key=rank, default=None)


def _obstacles(bundle: Bundle, interpreter: Interpreter, lock: bytes | None) -> Iterator[str]:
    if _VERSION.match(interpreter.version or "") is None:
        yield f"the version of {interpreter.path} is not recorded"
    if lock is None and bundle.environment.lock is not None:
        yield f"the lock of its packages ({bundle.environment.lock}) is not in the store"
    for line in (lock or b"").decode("utf-8", "replace").splitlines():
        if line.startswith("#"):
            yield f"package {line.lstrip('# ')}: only the recording machine had it"
    for distribution in _python_packages(bundle):
        called = f"package {distribution.name}=={distribution.version}"
        if distribution.editable:
            yield f"{called}: it was installed in editable form, and no index has this version of it"
        elif distribution.record_digest is None:
            yield f"{called}: its installer kept no hashes of its files, so what an index has cannot be told to be the same"
