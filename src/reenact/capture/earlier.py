"""Find the version of a large file that an earlier run of the job had, so that the new one can be kept as a delta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reenact.ids import RunId, is_run_id
from reenact.model.paths import from_text

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.model.bundle import Bundle
    from reenact.store.opening import Store

__all__ = ["Earlier"]

_MOST_RUNS: Final = 20
"""How far back a host looks that does not know a job yet."""


class Earlier:
    """Answers for one job in one store; looks only when it is asked about a file that is large enough to matter."""

    def __init__(self, store: Store, job: str) -> None:
        """Prepare; nothing is read.

        Args:
            store: Where the runs are.
            job: Whose.
        """
        self._store, self._job = store, job
        self._asked = False

    def find(self, path: str, size_bytes: int) -> Digest | None:
        """Give what a path held before; None when that is not known, or the file is too short to matter."""
        if not self._store.deltas.wants(size_bytes):
            return None
        if not self._asked:
            self._asked = True
            if not self._store.versions.knows(self._job):
                self._learn()
        return self._store.versions.previous(self._job, path)

    def remember(self, bundle: Bundle) -> None:
        """Remember what a run of the job read and wrote; a replay teaches nothing new."""
        if bundle.replay_of is None:
            self._store.versions.remember(self._job, self._large(bundle))

    def _learn(self) -> None:
        """Read the newest runs until one of the job is found: another host made it, or the cache was deleted."""
        # Only where a job is met for the first time.
        from reenact.errors import ReenactError  # noqa: PLC0415
        from reenact.model.statement import PAYLOAD_TYPE, load_bundle  # noqa: PLC0415
        from reenact.seal import envelope  # noqa: PLC0415

        try:
            names = self._store.backend.names("runs")
        except ReenactError:
            return
        newest = [RunId(name) for name in names if is_run_id(name)][: -_MOST_RUNS - 1 : -1]
        for run_id in newest:
            try:
                bundle = load_bundle(envelope.load(self._store.runs.envelope(run_id), PAYLOAD_TYPE).payload)
            except ReenactError:
                continue
            # The signature is not looked at: what a false record names is at worst an object that does not help.
            if bundle.job == self._job and bundle.replay_of is None:
                self.remember(bundle)
                return

    def _large(self, bundle: Bundle) -> list[tuple[str, Digest]]:
        return [
            (from_text(artifact.entry.path), artifact.pointer.digest)
            for artifact in (*bundle.inputs, *bundle.outputs)
            if artifact.pointer is not None
            and artifact.keep == "bytes"
            and self._store.deltas.wants(artifact.pointer.size_bytes)
        ]
