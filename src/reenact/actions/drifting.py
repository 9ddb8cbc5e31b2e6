"""Hold this machine against a job's latest run: inputs, code, packages, interpreters, environment, machine.

Only looks: files are hashed, records of installers read, and nothing that a record names is executed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reenact.actions.fetching import places_of
from reenact.actions.present import Present, Unreadable
from reenact.capture import git_folder, host, npm_packages, os_packages, python_packages
from reenact.errors import IntegrityError, StoreError
from reenact.govern.findings import make_finding
from reenact.model import manifest as manifests
from reenact.model.audit import AuditFinding
from reenact.model.paths import from_text
from reenact.replay.drift import Host, drift
from reenact.replay.factors import plain_name
from reenact.replay.ingredients import compiled_from
from reenact.store.elsewhere.interface import Wanted
from reenact.store.elsewhere.obtain import digest_at

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.model.artifact import Artifact
    from reenact.model.bundle import Bundle
    from reenact.model.environment import Distribution, Manifest, OsPackage
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Drift"]

_GONE: Final = "not there"
_MOST_NAMES: Final = 5
_REMOTE: Final = frozenset({"http", "object-store"})


class Drift:
    """Looks at one machine for several jobs; what they share is looked at once."""

    def __init__(self, store: Store, settings: Settings, files: Present, *, remote: bool) -> None:
        """Prepare.

        Args:
            store: Where the records are.
            settings: Where else pointers may lead.
            files: Those of this machine.
            remote: Read inputs in buckets and web servers, too.
        """
        self._store, self._settings, self._files, self._remote = store, settings, files, remote
        self._here = socket.gethostname()
        self._manifests: dict[Digest, tuple[Manifest | None, list[str], int]] = {}
        self._packages: dict[str, list[Distribution]] = {}
        self._owners: dict[Digest, dict[str, str] | None] = {}
        self.not_checked: list[str] = []

    def look(self, bundle: Bundle) -> Iterator[AuditFinding]:
        """Give what is not as it was when a run took place."""
        root = from_text(bundle.launch.root)
        if not os.path.isdir(root):
            self.not_checked.append(
                f"drift of job {bundle.job}: its folder {bundle.launch.root} is not on this machine, {self._here}"
            )
            return
        yield from self._inputs(bundle)
        yield from self._commit(bundle)
        yield from self._distributions(bundle)
        yield from self._interpreters(bundle)
        yield from self._system_packages(bundle)
        yield from self._environment(bundle)
        recorded = Host(system=bundle.environment.system, cpu=bundle.environment.cpu)
        for text in drift(recorded, Host(system=host.system(), cpu=host.cpu())):
            yield self._finding(bundle, "drift-machine", text.partition(":")[0], text)

    def _finding(
        self, bundle: Bundle, code: str, subject: str, message: str, expected: str | None = None, got: str | None = None
    ) -> AuditFinding:
        return make_finding(
            code,
            subject,
            message,
            run_id=bundle.run_id,
            job=bundle.job,
            expected=expected,
            got=got,
            environment=self._here,
        )

    # --- inputs and code

    def _inputs(self, bundle: Bundle) -> Iterator[AuditFinding]:
        made = {artifact.entry.path: artifact for artifact in bundle.outputs}
        # Where what the job says goes, it grows with every run.
        said = {bundle.launch.stdout.path, bundle.launch.stderr.path}
        for artifact in bundle.inputs:
            if artifact.entry.path in said:
                continue
            expected = artifact.entry.digest or (artifact.pointer.digest if artifact.pointer is not None else None)
            if artifact.entry.type != "file" or artifact.temporary or expected is None:
                continue
            after = made.get(artifact.entry.path)
            if after is not None and "deleted" in after.access:
                continue
            good = {expected} | ({after.pointer.digest} if after is not None and after.pointer is not None else set())
            try:
                got = self._files.digest(from_text(artifact.entry.path))
            except Unreadable as error:
                yield self._finding(bundle, "drift-unknown", artifact.name, str(error))
                continue
            if got not in good:
                yield from self._changed(bundle, artifact, expected, got)

    def _changed(
        self, bundle: Bundle, artifact: Artifact, expected: Digest, got: Digest | None
    ) -> Iterator[AuditFinding]:
        if compiled_from(artifact.entry.path) is not None:
            return  # made anew by whoever imports the module
        what = "is not there any more" if got is None else "is not what the run read"
        code = "drift-code" if artifact.kind == "code" else "drift-input"
        if artifact.keep == "pointer" and artifact.pointer is not None:
            unseen = self._is_elsewhere(artifact, expected)
            if unseen is None:
                code, what = "drift-pointer", f"{what}, nor is it where its pointer leads"
            elif unseen and got is None:
                self.not_checked.append(f"job {bundle.job}: {artifact.name}: {unseen}")
                return
        yield self._finding(bundle, code, artifact.name, what, expected, got or _GONE)

    def _is_elsewhere(self, artifact: Artifact, expected: Digest) -> str | None:
        """Tell whether a pointer's bytes can be had otherwise: empty when they can; None when not; else why that is not known."""
        if self._store.objects.holds(expected):
            return ""
        pointer = artifact.pointer
        origin = pointer.origin if pointer is not None else None
        if pointer is None or (origin is not None and origin.kind in _REMOTE and not self._remote):
            return "its bucket or server was not asked (--drift all does)"
        wanted = Wanted(expected, pointer.size_bytes)
        places = list(places_of(artifact, self._settings.inputs))
        return "" if any(digest_at(place, wanted) == expected for place in places[1:]) else None

    def _commit(self, bundle: Bundle) -> Iterator[AuditFinding]:
        if bundle.code.commit is None:
            return
        repository = git_folder.find(from_text(bundle.code.root or bundle.launch.root))
        commit = git_folder.head(repository)[0] if repository is not None else None
        if commit is not None and commit != bundle.code.commit:
            yield self._finding(bundle, "drift-commit", "HEAD", "it is another commit", bundle.code.commit, commit)

    # --- packages

    def _distributions(self, bundle: Bundle) -> Iterator[AuditFinding]:
        for recorded in bundle.environment.distributions:
            now = self._now(recorded)
            if any(self._is_same(recorded, one) for one in now):
                continue
            other = sorted({one.version for one in now})
            message = f"{recorded.ecosystem} package in {recorded.location}"
            expected, got = recorded.version, " and ".join(other) or _GONE
            if other == [recorded.version]:  # the same version was built or edited anew
                expected, got = _whole(recorded), _whole(now[0])
            yield self._finding(bundle, "drift-package", recorded.name, message, expected, got)

    def _now(self, recorded: Distribution) -> list[Distribution]:
        folder = from_text(recorded.location)
        if recorded.ecosystem == npm_packages.ECOSYSTEM:
            version = npm_packages.version_of(f"{folder}/{recorded.name}")
            # Of a package that goes by another name in its folder nothing can be told.
            return [recorded] if version == recorded.version else [_with_version(recorded, version)] if version else []
        if recorded.location not in self._packages:
            self._packages[recorded.location] = python_packages.installed_in(folder)
        name = plain_name(recorded.name)
        found = [one for one in self._packages[recorded.location] if plain_name(one.name) == name]
        # What is developed in place is found by a link, and its files are looked at as code.
        return [recorded] if not found and recorded.editable else found

    @staticmethod
    def _is_same(recorded: Distribution, now: Distribution) -> bool:
        files = (
            recorded.record_digest is None or now.record_digest is None or recorded.record_digest == now.record_digest
        )
        return recorded.version == now.version and files

    def _interpreters(self, bundle: Bundle) -> Iterator[AuditFinding]:
        for one in bundle.environment.interpreters:
            if one.digest is None:
                continue
            try:
                got = self._files.digest(from_text(one.path))
            except Unreadable as error:
                yield self._finding(bundle, "drift-unknown", one.path, str(error))
                continue
            if got != one.digest:
                expected = f"{one.name} {one.version or 'of unknown version'} ({one.digest})"
                yield self._finding(bundle, "drift-interpreter", one.path, "another program", expected, got or _GONE)

    def _system_packages(self, bundle: Bundle) -> Iterator[AuditFinding]:
        recorded = bundle.environment.os_packages
        key = bundle.environment.manifest
        if not recorded or key is None:
            return
        if key not in self._owners:
            found, _ = os_packages.find(self._paths(key), self._store.cache)
            self._owners[key] = None if found is None else {_package(one): one.version for one in found}
        now = self._owners[key]
        for one in recorded if now is not None else ():
            got = (now or {}).get(_package(one))
            if got is not None and got != one.version:
                yield self._finding(bundle, "drift-system-package", _package(one), "another version", one.version, got)

    # --- the environment

    def _environment(self, bundle: Bundle) -> Iterator[AuditFinding]:
        key = bundle.environment.manifest
        if key is None:
            return
        manifest, changed, unreadable = self._looked_at(key)
        if manifest is None:
            self.not_checked.append(f"drift of job {bundle.job}: the list of its environment's files cannot be read")
            return
        told = {one.path for one in bundle.environment.interpreters}
        changed = [path for path in changed if path not in told]
        if changed:
            more = f" and {len(changed) - _MOST_NAMES} more" if len(changed) > _MOST_NAMES else ""
            message = f"changed or gone: {', '.join(changed[:_MOST_NAMES])}{more}"
            counts = f"{len(manifest.entries)} files as recorded", f"{len(changed)} of them otherwise"
            yield self._finding(bundle, "drift-environment", "files", message, *counts)
        if unreadable:
            yield self._finding(bundle, "drift-unknown", "environment", f"{unreadable} of its files cannot be read")

    def _looked_at(self, key: Digest) -> tuple[Manifest | None, list[str], int]:
        """Read a manifest, and give the paths of its files that are not as it says, and the number of those nobody can read."""
        if key not in self._manifests:
            manifest = None
            with contextlib.suppress(IntegrityError, StoreError):
                manifest = manifests.load(self._store.objects.read(key))
            self._manifests[key] = (manifest, *self._changed_files(manifest))
        return self._manifests[key]

    def _changed_files(self, manifest: Manifest | None) -> tuple[list[str], int]:
        changed, unreadable = [], 0
        for entry in manifest.entries if manifest is not None else ():
            if entry.type != "file" or entry.digest is None or compiled_from(entry.path) is not None:
                continue
            try:
                if self._files.digest(from_text(entry.path)) != entry.digest:
                    changed.append(entry.path)
            except Unreadable:
                unreadable += 1
        return changed, unreadable

    def _paths(self, key: Digest) -> list[str]:
        manifest = self._looked_at(key)[0]
        return [from_text(entry.path) for entry in manifest.entries] if manifest is not None else []


def _whole(distribution: Distribution) -> str:
    return f"{distribution.version}, files {distribution.record_digest or 'unknown'}"


def _with_version(distribution: Distribution, version: str) -> Distribution:
    from msgspec.structs import replace  # noqa: PLC0415 - rare

    return replace(distribution, version=version)


def _package(package: OsPackage) -> str:
    return f"{package.name}:{package.architecture}"
