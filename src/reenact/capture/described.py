"""The environment of a run in words: the machine, the runtimes, the packages that own what was read.

The slow part (packages, their owners, versions) depends only on which files were read and on what is installed. It is kept in
the cache folder, so that a repeated run pays a few stats for it. The cache can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

import reenact
from reenact.capture import derived, host, interpreters, os_packages, packages
from reenact.digests import Digest
from reenact.model.bundle import Hazard
from reenact.model.environment import Distribution, Environment, Interpreter, OsPackage
from reenact.model.paths import to_text

__all__ = ["describe"]

_FORMAT: Final = "reenact-described-1"
_FOLDER: Final = "described"
_MOST_KEPT: Final = 256
"""Descriptions in the cache; the oldest go first."""


class _Installed(msgspec.Struct, frozen=True, kw_only=True):
    """The slow part."""

    interpreters: tuple[Interpreter, ...]
    distributions: tuple[Distribution, ...]
    os_packages: tuple[OsPackage, ...] | None
    causes: dict[str, str] = {}


def describe(
    *,
    variables: Mapping[str, str],
    redacted: Mapping[str, str],
    paths: Sequence[str],
    programs: Mapping[str, Digest | None],
    manifest: Digest | None,
    mode: str,
    cache: str,
    put: Callable[[bytes], Digest],
) -> tuple[Environment, list[Hazard], dict[str, str]]:
    """Describe the environment of a run.

    Args:
        variables: The job's environment variables, those that are kept; not yet in text form.
        redacted: Names of the others, to the fingerprints of their values.
        paths: Files of the environment the run read: absolute, canonical, sorted.
        programs: Programs it executed: canonical path to digest.
        manifest: The manifest that lists the paths by content, when the environment is sealed.
        mode: ``sealed`` or ``described``.
        cache: A folder for derived data.
        put: Keeps an object (the lock file) and gives its digest.

    Returns:
        The description, its hazards, and the causes of what is None in it, by field (``environment.container`` ...).
    """
    installed = _installed(paths, programs, manifest, cache)
    container, no_container = host.container()
    locale, time_zone = host.locale_and_zone(variables)
    lock = packages.lock(installed.distributions)
    causes = dict(installed.causes)
    if container is None:
        causes["environment.container"] = no_container
    if manifest is None:
        causes["environment.manifest"] = "the environment was described, not sealed"
    if not lock:
        causes["environment.lock"] = "no package of Python was read"
    environment = Environment(
        mode=mode,
        manifest=manifest,
        system=host.system(),
        cpu=host.cpu(),
        interpreters=installed.interpreters,
        distributions=installed.distributions,
        os_packages=installed.os_packages,
        container=container,
        variables={to_text(name): to_text(value) for name, value in sorted(variables.items())},
        redacted={to_text(name): value for name, value in sorted(redacted.items())},
        locale=to_text(locale),
        time_zone=to_text(time_zone),
        threads={name: to_text(value) for name, value in host.thread_settings(variables).items()},
        lock=put(lock.encode("utf-8")) if lock else None,
    )
    return environment, list(packages.hazards(installed.distributions, sealed=mode == "sealed")), causes


def _installed(
    paths: Sequence[str], programs: Mapping[str, Digest | None], manifest: Digest | None, cache: str
) -> _Installed:
    path = f"{cache}/{_FOLDER}/{_key(paths, programs, manifest)}"
    saved = derived.load(path)
    if saved is not None:
        return msgspec.json.decode(saved, type=_Installed)
    found, lasting = _look(paths, programs, cache)
    if lasting:
        _keep(path, msgspec.json.encode(found))
    return found


def _key(paths: Sequence[str], programs: Mapping[str, Digest | None], manifest: Digest | None) -> str:
    """Digest everything the slow part depends on."""
    facts = [_FORMAT, reenact.__version__, manifest or "", os_packages.stamp()]
    facts += [f"{path}\t{digest}" for path, digest in sorted(programs.items())]
    for folder in sorted(packages.folders(paths)):
        # Installing and removing renames in this folder, so that its times change.
        with contextlib.suppress(OSError):
            facts.append(f"{folder}\t{os.stat(folder).st_mtime_ns}")
    facts += paths
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _look(paths: Sequence[str], programs: Mapping[str, Digest | None], cache: str) -> tuple[_Installed, bool]:
    """Look the slow part up; tell also whether the answer will do tomorrow: one that could not be had is asked for again."""
    owners, no_owners = os_packages.find(paths, cache)

    def package_version(path: str) -> str | None:
        found, _ = os_packages.find([path], cache)
        return found[0].version if found else None

    runtimes, causes = interpreters.find(programs, cache, package_version)
    lasting = not causes and (owners is not None or not os_packages.stamp())
    if owners is None:
        causes["environment.os_packages"] = no_owners
    return (
        _Installed(
            interpreters=runtimes, distributions=packages.distributions(paths), os_packages=owners, causes=causes
        ),
        lasting,
    )


def _keep(path: str, data: bytes) -> None:
    """Put an answer into the cache, and the oldest answers out of it."""
    derived.save(path, data)
    with contextlib.suppress(OSError):
        entries = sorted(os.scandir(os.path.dirname(path)), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[:-_MOST_KEPT]:
            os.unlink(entry.path)
