"""Find all objects that the records of a store refer to: what a sweep must leave."""

from __future__ import annotations

from collections.abc import Container

from reenact.actions.opening import peek_bundle
from reenact.actions.unsealed import kept_bundles
from reenact.digests import Digest
from reenact.errors import IntegrityError, KeyAbsent, RunNotFound
from reenact.ids import RunId
from reenact.model import manifest, references
from reenact.model.bundle import Bundle
from reenact.store.opening import Store

__all__ = ["Marks"]


class Marks:
    """What runs refer to. Remembers it, as bundles and manifests never change: looking again costs the new runs only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[RunId, frozenset[Digest]] = {}
        self._manifests: dict[Digest, frozenset[Digest]] = {}

    def marked(self, but_not: Container[RunId] = ()) -> set[Digest]:
        """Give what all runs refer to that are there now, or kept on this host until they can be signed.

        Args:
            but_not: Runs that count as gone.

        Raises:
            IntegrityError: a record cannot be read, so that nobody knows what it refers to.
        """
        found: set[Digest] = set()
        # First those: one that comes to be sealed meanwhile is seen as the one or the other.
        for bundle in kept_bundles(self._store):
            found |= self._of_bundle(RunId(bundle.run_id), bundle)
        for run_id in self._store.runs.ids():
            if run_id not in but_not:
                found |= self.of_run(run_id)
        return found

    def of_run(self, run_id: RunId) -> set[Digest]:
        """Give what one run refers to; nothing when it is gone.

        Raises:
            IntegrityError: as :meth:`marked`.
        """
        if run_id not in self._runs:
            try:
                bundle = peek_bundle(self._store, run_id)
            except RunNotFound:
                return set()
            except (IntegrityError, KeyAbsent) as error:
                raise IntegrityError(
                    f"run {run_id} cannot be read, and so nobody knows what it refers to: {error}",
                    hint=f"restore it with reenact scrub --repair-from, or give it up with reenact prune --run {run_id}",
                ) from error
            return self._of_bundle(run_id, bundle)
        return self._with_manifests(run_id)

    def _of_bundle(self, run_id: RunId, bundle: Bundle) -> set[Digest]:
        manifests = {digest: self._of_manifest(run_id, digest) for digest in _manifests(bundle)}
        self._manifests |= manifests
        self._runs[run_id] = frozenset(references.of_bundle(bundle))
        return self._with_manifests(run_id)

    def _with_manifests(self, run_id: RunId) -> set[Digest]:
        found = set(self._runs[run_id])
        for digest in self._runs[run_id] & self._manifests.keys():
            found |= self._manifests[digest]
        return found

    def _of_manifest(self, run_id: RunId, digest: Digest) -> frozenset[Digest]:
        if digest in self._manifests:
            return self._manifests[digest]
        try:
            return frozenset(references.of_manifest(manifest.load(self._store.objects.read(digest))))
        except IntegrityError as error:
            raise IntegrityError(
                f"the manifest {digest} of run {run_id} cannot be read, and so nobody knows what it refers to: {error}",
                hint=f"restore it with reenact scrub --repair-from, or give the run up with reenact prune --run {run_id}",
            ) from error


def _manifests(bundle: Bundle) -> list[Digest]:
    return [digest for digest in (bundle.environment.manifest, bundle.capture.host_files) if digest is not None]
