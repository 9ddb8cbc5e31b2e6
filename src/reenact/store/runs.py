"""The records of runs: the signed bundle, its three views for people and tools, and the verdicts of replays.

A run exists from the moment its bundle is there; its views are put before. Signed bytes are given back as they came.

A bundle's file is a Zstandard frame and behind it a skippable frame (RFC 8878 section 3.1.2) with the SHA-256 of the first:
``zstd -d`` reads it, and any changed byte is found, also one that a decoder would not notice.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Container
from typing import TYPE_CHECKING, Any, Final

from reenact.errors import IntegrityError, KeyAbsent, RunNotFound, StoreError
from reenact.ids import RunId, is_run_id
from reenact.store.compression import Compressor, Corrupt, decompress
from reenact.store.interface import Backend
from reenact.store.leases import Leases

if TYPE_CHECKING:
    # Opening a store does not need to know what a bundle is: 28 ms.
    from reenact.model.artifact import Artifact, Origin
    from reenact.model.bundle import Bundle

__all__ = ["Runs", "pointer_lines"]

_FOLDER: Final = "runs"
_VERDICT_SUFFIX: Final = ".dsse.json"
_SKIPPABLE: Final = struct.pack("<II", 0x184D2A50, 32)
_TRAILER_BYTES: Final = len(_SKIPPABLE) + 32
_LARGEST_BUNDLE_BYTES: Final = 4 << 30
"""What a damaged or hostile file may expand to at most."""


def pointer_lines(artifacts: tuple[Artifact, ...]) -> bytes:
    """Write artifacts as pointers.jsonl: one canonical JSON object a line, in the order given."""
    from reenact import canonical  # noqa: PLC0415 - 30 ms that reading does not need

    return b"".join(canonical.dumps_plain(_pointer(artifact)) + b"\n" for artifact in artifacts)


def _pointer(artifact: Artifact) -> dict[str, Any]:
    pointer = artifact.pointer
    found = {
        "name": artifact.name,
        "path": artifact.entry.path,
        "access": artifact.access,
        "digest": pointer.digest if pointer is not None else None,
        "size_bytes": pointer.size_bytes if pointer is not None else None,
        "media_type": pointer.media_type if pointer is not None else None,
        "origin": _origin(pointer.origin) if pointer is not None else None,
    }
    # Said only where it is so: the views of earlier versions have neither.
    if artifact.keep != "bytes":
        found["keep"] = artifact.keep
    return found


def _origin(origin: Origin | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    found = {"kind": origin.kind, "location": origin.location, "version": origin.version}
    return found if origin.repository is None else {**found, "repository": origin.repository}


class Runs:
    """The runs of one store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put_run(self, run_id: RunId, envelope: bytes, bundle: Bundle) -> bool:
        """Put a run: its views, then its bundle; tell whether it was not there before. Durable on return.

        Trying again after an error or a crash is safe; views that an earlier attempt left are replaced.

        Args:
            run_id: Its id.
            envelope: The sealed bundle, kept as it is.
            bundle: What is in it.

        Raises:
            StoreError: it cannot be written, or the run is there with other bytes.
        """
        from reenact import canonical  # noqa: PLC0415 - 30 ms that reading does not need

        key = self._bundle_key(run_id)
        if not self._backend.exists(key):
            views = {
                self._key(run_id, "inputs/pointers.jsonl"): pointer_lines(bundle.inputs),
                self._key(run_id, "transformations/map.json"): canonical.dumps_plain(bundle.transformation_map),
                self._key(run_id, "outputs/pointers.jsonl"): pointer_lines(bundle.outputs),
            }
            # What views an attempt left that never came to its bundle is replaced: there was no run, and nothing refers to it.
            if self._backend.put_group(views, key, _pack(envelope)):
                # From now on the bundle says what is needed.
                Leases(self._backend).release(run_id)
                return True
        if self.envelope(run_id) != envelope:
            raise StoreError(
                f"run {run_id} is already recorded, with another bundle", hint="a record is never replaced"
            )
        Leases(self._backend).release(run_id)
        return False

    def envelope(self, run_id: RunId) -> bytes:
        """Give the sealed bundle of a run, byte for byte.

        Raises:
            RunNotFound: no such run.
            IntegrityError: its file is damaged.
        """
        try:
            data = self._backend.get(self._bundle_key(run_id))
        except KeyAbsent:
            raise RunNotFound(run_id) from None
        try:
            return _unpack(data)
        except Corrupt as error:
            raise IntegrityError(f"the bundle of run {run_id} is damaged: {error}") from error

    def drop(self, run_id: RunId) -> int:
        """Delete a run: its bundle, with which it ends to exist, then what is beside it; give the number of bytes.

        Only where a tombstone says so. Trying again after a crash deletes what was left.

        Raises:
            StoreError: it cannot be deleted.
        """
        keys = sorted(self._backend.list(self._key(run_id, "")), key=lambda key: key != self._bundle_key(run_id))
        freed = 0
        for key in keys:
            with contextlib.suppress(KeyAbsent):
                freed += self._backend.size(key)
            self._backend.delete(key)
        return freed

    def leftovers(self, run_id: RunId) -> bool:
        """Tell whether anything is under a run's name, complete or not."""
        return next(iter(self._backend.list(self._key(run_id, ""))), None) is not None

    def exists(self, run_id: RunId) -> bool:
        """Tell whether a run is there, complete."""
        return self._backend.exists(self._bundle_key(run_id))

    def ids(self, but_not: Container[str] = ()) -> list[RunId]:
        """Give the ids of all complete runs, or of those not known yet, oldest first. Costs a look at each."""
        names = [RunId(name) for name in self._backend.names(_FOLDER) if is_run_id(name) and name not in but_not]
        return [run_id for run_id in names if self.exists(run_id)]

    def view(self, run_id: RunId, name: str) -> bytes:
        """Give one of the views: ``inputs/pointers.jsonl``, ``transformations/map.json``, ``outputs/pointers.jsonl``.

        Raises:
            KeyAbsent: it is not there.
        """
        return self._backend.get(self._key(run_id, name))

    def put_verdict(self, run_id: RunId, replay_run_id: RunId, envelope: bytes) -> bool:
        """Put the sealed verdict of a replay beside the run; tell whether it was not there before. Durable on return.

        Raises:
            RunNotFound: no such run.
            StoreError: it cannot be written, or the replay has another verdict.
        """
        if not self.exists(run_id):
            raise RunNotFound(run_id)
        key = self._key(run_id, f"verdicts/{_checked(replay_run_id)}{_VERDICT_SUFFIX}")
        if self._backend.put_if_absent(key, envelope):
            return True
        if self._backend.get(key) != envelope:
            raise StoreError(f"replay {replay_run_id} already has another verdict", hint="a verdict is never replaced")
        return False

    def verdicts(self, run_id: RunId) -> list[tuple[RunId, bytes]]:
        """Give the replays of a run that were judged, oldest first, each with its sealed verdict."""
        names = self._backend.names(self._key(run_id, "verdicts"))
        replays = [name.removesuffix(_VERDICT_SUFFIX) for name in names if name.endswith(_VERDICT_SUFFIX)]
        return [
            (RunId(replay), self._backend.get(self._key(run_id, f"verdicts/{replay}{_VERDICT_SUFFIX}")))
            for replay in replays
            if is_run_id(replay)
        ]

    def put_summary(self, run_id: RunId, replay_run_id: RunId, envelope: bytes) -> bool:
        """Put the sealed summary of a verdict; tell whether it was put. What an attempt left that never came to its verdict stays."""
        return self._backend.put_if_absent(self._summary_key(run_id, replay_run_id), envelope)

    def summary(self, run_id: RunId, replay_run_id: RunId) -> bytes | None:
        """Give the sealed summary of a verdict; None when there is none."""
        try:
            return self._backend.get(self._summary_key(run_id, replay_run_id))
        except KeyAbsent:
            return None

    def _summary_key(self, run_id: RunId, replay_run_id: RunId) -> str:
        return self._key(run_id, f"summaries/{_checked(replay_run_id)}{_VERDICT_SUFFIX}")

    def _bundle_key(self, run_id: RunId) -> str:
        return self._key(run_id, "bundle.dsse.json.zst")

    @staticmethod
    def _key(run_id: RunId, name: str) -> str:
        return f"{_FOLDER}/{_checked(run_id)}/{name}"


def _pack(envelope: bytes) -> bytes:
    frame = Compressor().whole(envelope)
    return frame + _SKIPPABLE + hashlib.sha256(frame).digest()


def _unpack(data: bytes) -> bytes:
    frame, trailer = data[:-_TRAILER_BYTES], data[-_TRAILER_BYTES:]
    if trailer != _SKIPPABLE + hashlib.sha256(frame).digest():
        raise Corrupt("its bytes do not match their check sum")
    return decompress(frame, _LARGEST_BUNDLE_BYTES)


def _checked(run_id: RunId) -> RunId:
    if not is_run_id(run_id):
        raise RunNotFound(run_id)
    return run_id
