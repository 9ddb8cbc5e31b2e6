"""Open the store that the settings name, find runs in it, and read what is sealed.

The one place that turns a signed envelope back into values. Whoever opens a store here also finishes what a killed recording
left behind.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from reenact.actions.keeping import access, delta_policy
from reenact.actions.unsealed import FOLDER as UNSEALED
from reenact.errors import IntegrityError, MalformedBundle, ReenactError, RunNotFound, SignatureInvalid
from reenact.ids import RunId, is_run_id
from reenact.model import reference as references
from reenact.model import statement
from reenact.settings import Settings
from reenact.store.opening import Store, open_store

if TYPE_CHECKING:
    from reenact.model.bundle import Bundle
    from reenact.model.verdict import Verdict

__all__ = [
    "Sealed",
    "Signature",
    "opened",
    "payload_of",
    "peek_bundle",
    "peek_verdict",
    "read_bundle",
    "read_sealed",
    "resolve",
    "unfinished",
]


class _Envelope(msgspec.Struct, frozen=True):
    payload: bytes
    """Base64 in the JSON; msgspec decodes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Whether what is signed is what was signed, and by whom."""

    valid: bool
    key_id: str | None
    message: str
    """In words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The content of an envelope, and what its signature is worth."""

    payload: bytes
    signature: Signature


def opened(settings: Settings, *, cached: bool = True, looks_ahead: bool = True) -> Store:
    """Open the store, and recover runs whose recording was cut off.

    Args:
        settings: Where it is.
        cached: Whether what this host kept of a store far away may stand for what is there.
        looks_ahead: Whether a listing of it that is a minute old may. Not for who deletes by it.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    how = access(settings, cached=cached, looks_ahead=looks_ahead)
    store = open_store(settings.store, create=False, deltas=delta_policy(settings), access=how)
    unfinished(store, settings)
    return store


def unfinished(store: Store, settings: Settings) -> dict[RunId, str]:
    """Finish runs whose recording was cut off or that nobody could sign; give the reason for each that still cannot be.

    One that cannot keeps nobody from the others.
    """
    found: dict[RunId, str] = {}
    if store.access.read_only:
        return found
    try:
        # Only where there is something to do is the capture side imported.
        names = os.listdir(store.journals)
    except OSError:
        return found
    from reenact.actions.sealing import ensure_logged, seal_bundle, seal_with  # noqa: PLC0415 - rare

    if UNSEALED in names:
        from reenact.actions.sealing_kept import seal_kept  # noqa: PLC0415 - rare

        found.update(seal_kept(store, seal_with(settings)))
    if not any(is_run_id(name) for name in names):
        return found
    from reenact.capture.recover import abandoned, recover  # noqa: PLC0415 - rare

    how = seal_with(settings)
    for folder in abandoned(store.journals):
        try:
            recover(
                store,
                folder,
                lambda store, bundle: seal_bundle(store, bundle, how),
                "the recording was killed",
                lambda store, run_id: ensure_logged(store, run_id, how),
            )
        except ReenactError as error:
            found[RunId(os.path.basename(folder))] = str(error)
        except Exception as error:  # noqa: BLE001 - another version's journal, or a damaged one, may hold anything
            found[RunId(os.path.basename(folder))] = f"{type(error).__name__}: {error}"
    return found


def read_sealed(store: Store, envelope: bytes) -> Sealed:
    """Take an envelope apart and check its signature against the store's public keys; a bad one is told, not raised.

    Raises:
        MalformedBundle: there is no payload to be found in it.
    """
    from reenact.actions.sealing import check_signature  # noqa: PLC0415 - cryptography is not needed for a listing

    try:
        payload, key_id = check_signature(store, envelope)
    except SignatureInvalid as error:
        return Sealed(payload=payload_of(envelope), signature=Signature(valid=False, key_id=None, message=str(error)))
    message = f"valid, by key {key_id[:12]}"
    return Sealed(payload=payload, signature=Signature(valid=True, key_id=key_id, message=message))


def read_bundle(store: Store, run_id: RunId) -> Bundle:
    """Give a run's bundle, its signature checked.

    Raises:
        RunNotFound: no such run.
        SignatureInvalid, IntegrityError: it is not what was signed.
    """
    sealed = read_sealed(store, store.runs.envelope(run_id))
    if not sealed.signature.valid:
        raise SignatureInvalid(f"run {run_id}: {sealed.signature.message}", hint="do not trust this record")
    bundle = statement.load_bundle(sealed.payload)
    if bundle.run_id != run_id:
        raise SignatureInvalid(
            f"run {run_id}: the record there is of run {bundle.run_id}", hint="do not trust this record"
        )
    return bundle


def peek_bundle(store: Store, run_id: RunId) -> Bundle:
    """Give a run's bundle without checking its signature: for listings and for finding names.

    Raises:
        IntegrityError: it cannot be read, or is of another run.
    """
    bundle = statement.load_bundle(payload_of(store.runs.envelope(run_id)))
    if bundle.run_id != run_id:
        raise IntegrityError(f"run {run_id}: the record there is of run {bundle.run_id}")
    return bundle


def peek_verdict(envelope: bytes) -> Verdict:
    """Give a verdict without checking its signature.

    Raises:
        IntegrityError: it cannot be read.
    """
    return statement.load_verdict(payload_of(envelope))


def payload_of(envelope: bytes) -> bytes:
    """Give what is signed, without checking the signature.

    Raises:
        MalformedBundle: it is no envelope.
    """
    try:
        return msgspec.json.decode(envelope, type=_Envelope).payload
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBundle(f"not a signed envelope: {error}") from error


def resolve(store: Store, reference: str) -> RunId:
    """Find the run a reference names.

    Replays are runs too, but only their ids name them: `latest` and a job's name mean runs of the job itself, or replaying
    the latest run twice would replay the replay.

    Raises:
        RunNotFound: it names none, or several.
    """
    run_ids = store.runs.ids()
    if is_run_id(reference):
        if reference not in run_ids and (pruned := store.custody.tombstone(RunId(reference))) is not None:
            raise RunNotFound(reference, hint=_of_tombstone(pruned))
        return references.resolve(reference, run_ids, lambda _: "")
    jobs = {run_id: job for run_id in run_ids if (job := _job(store, run_id)) is not None}
    try:
        return references.resolve(reference, list(jobs), jobs.__getitem__)
    except RunNotFound:
        return references.resolve(reference, run_ids, lambda _: "")


def _of_tombstone(data: bytes) -> str:
    from reenact.model.custody import Tombstone, load_record  # noqa: PLC0415 - rare

    try:
        record = load_record(data, Tombstone)
    except MalformedBundle:
        return "it was pruned"
    return f"it was pruned at {record.pruned_at}: {record.reason}"


def _job(store: Store, run_id: RunId) -> str | None:
    """Give the job of a run that is no replay; None where it cannot be read, as such a run has no name but its id."""
    try:
        bundle = peek_bundle(store, run_id)
    except IntegrityError:
        return None
    return bundle.job if bundle.replay_of is None else None
