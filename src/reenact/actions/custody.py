"""Hold runs, release them, and tell which are held."""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass

from reenact import canonical, clock, ids
from reenact.actions.opening import opened, resolve
from reenact.actions.sealing import SealWith, check_signature, log_record, seal_with
from reenact.digests import Digest, of_bytes
from reenact.errors import MalformedBundle, StoreError, UsageError
from reenact.ids import RunId
from reenact.model.baseline import Baseline
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.custody import Hold, Release, load_record
from reenact.seal.log import Log
from reenact.settings import Settings
from reenact.store.baselines import Baselines
from reenact.store.custody import HoldFiles
from reenact.store.opening import Store

__all__ = ["Held", "baselines", "held_runs", "hold", "release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold that was put, or ended."""

    run_id: str
    hold_id: str
    matter: str | None
    reason: str


def hold(settings: Settings, names: Sequence[str], reason: str, matter: str | None = None) -> list[Held]:
    """Hold runs: none is held unless all are there.

    Raises:
        RunNotFound: a reference names none, or several.
        IntegrityError: a run is not what was signed.
        StoreError: the store cannot be written; or a run is just being pruned.
    """
    store = opened(settings)
    run_ids = list(dict.fromkeys(resolve(store, name) for name in names))
    for run_id in run_ids:
        check_signature(store, store.runs.envelope(run_id))
        _log_cut_off(store, run_id, seal_with(settings))
    return [_hold(store, run_id, reason, matter, seal_with(settings)) for run_id in run_ids]


def _hold(store: Store, run_id: RunId, reason: str, matter: str | None, how: SealWith) -> Held:
    hold_id = ids.new_run_id(clock.now_ns())
    record = Hold(
        schema_version=SCHEMA_VERSION,
        hold_id=hold_id,
        run_id=run_id,
        reason=reason,
        held_at=clock.timestamp(),
        held_by=_user(),
        matter=matter,
    )
    data = canonical.dumps_plain(record)
    store.custody.put_hold(run_id, hold_id, data)
    # Whoever prunes puts a tombstone before it looks for holds, and this looks for one after: so one of the two gives way.
    if store.custody.tombstone(run_id) is not None or not store.runs.exists(run_id):
        store.custody.withdraw_hold(run_id, hold_id)
        raise StoreError(f"run {run_id} is just being pruned, and can be held no more")
    log_record(store, "hold", run_id, of_bytes(data), reason, how)
    return Held(run_id=run_id, hold_id=hold_id, matter=matter, reason=reason)


def _log_cut_off(store: Store, run_id: RunId, how: SealWith) -> None:
    """Log the holds of a run that an attempt did not come to log."""
    logged = _logged(store, "hold")
    for files in store.custody.holds(run_id):
        if files.hold is not None and of_bytes(files.hold) not in logged:
            with contextlib.suppress(MalformedBundle):
                log_record(store, "hold", run_id, of_bytes(files.hold), load_record(files.hold, Hold).reason, how)


def release(settings: Settings, names: Sequence[str], reason: str, matter: str | None = None) -> list[Held]:
    """End the holds of runs: all of them, or those for a matter.

    Raises:
        RunNotFound: a reference names none, or several.
        UsageError: a run is not held so.
        StoreError: the store cannot be written.
    """
    store = opened(settings)
    run_ids = list(dict.fromkeys(resolve(store, name) for name in names))
    found: list[Held] = []
    for run_id in run_ids:
        active = [(files, record) for files, record in _active(store, run_id) if matter in (None, record.matter)]
        if not active:
            what = f"for the matter {matter!r}" if matter is not None else "at all"
            raise UsageError(f"run {run_id} is not held {what}", hint="reenact show RUN tells whether it is held")
        found += [_release(store, files, record, reason, seal_with(settings)) for files, record in active]
    return found


def _release(store: Store, files: HoldFiles, record: Hold, reason: str, how: SealWith) -> Held:
    run_id = RunId(files.run_id)
    made = Release(
        schema_version=SCHEMA_VERSION,
        hold_id=files.hold_id,
        hold=of_bytes(files.hold or b""),
        run_id=run_id,
        reason=reason,
        released_at=clock.timestamp(),
        released_by=_user(),
    )
    data = canonical.dumps_plain(made)
    if not store.custody.put_release(run_id, files.hold_id, data):
        # An attempt was cut off before it was logged, which is what makes a release count.
        data = store.custody.release(run_id, files.hold_id)
    log_record(store, "release", run_id, of_bytes(data), reason, how)
    return Held(run_id=run_id, hold_id=files.hold_id, matter=record.matter, reason=reason)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())


def _active(store: Store, run_id: RunId) -> list[tuple[HoldFiles, Hold]]:
    """Give the holds of a run that can be read and are not released."""
    logged = _logged(store, "release")
    found = []
    for files in store.custody.holds(run_id):
        if files.hold is None or _is_released(files, logged):
            continue
        try:
            found.append((files, load_record(files.hold, Hold)))
        except MalformedBundle:
            continue
    return found


def held_runs(store: Store, run_id: RunId | None = None) -> dict[RunId, str]:
    """Tell which runs are held, and why; of one, or of all.

    What is doubtful counts as held: a hold whose record is damaged, or that the log tells of and that is not there.

    Raises:
        IntegrityError: the log cannot be read.
    """
    logged = _logged(store, "hold")
    releases = _logged(store, "release")
    found: dict[RunId, str] = {}
    for files in store.custody.holds(run_id):
        if files.hold is None:
            continue
        logged.pop(of_bytes(files.hold), None)
        if not _is_released(files, releases):
            found[RunId(files.run_id)] = _why(files.hold)
    for held, digest in ((run, digest) for digest, run in logged.items() if run_id in (None, run)):
        if not any(_releases(files, digest, releases) for files in store.custody.holds(RunId(held))):
            found[RunId(held)] = f"the log tells of a hold, {digest}, whose record is not there"
    return baselines(store, run_id) | found


def baselines(store: Store, run_id: RunId | None = None) -> dict[RunId, str]:
    """Tell which runs are baselines, one or all: others are compared with them, so they stay.

    Raises:
        MalformedBundle: a record is damaged, so that nobody knows which run it names.
    """
    records = [load_record(data, Baseline) for data in Baselines(store.backend).latest()]
    return {
        RunId(record.run_id): f"it is the baseline of job {record.job}"
        for record in records
        if record.run_id is not None and run_id in (None, record.run_id)
    }


def _logged(store: Store, kind: str) -> dict[Digest, str]:
    """Give the records of a kind that the log tells of, each with its run."""
    return {entry.statement: entry.run_id for entry in Log(store.backend).entries() if entry.kind == kind}


def _is_released(files: HoldFiles, logged: dict[Digest, str]) -> bool:
    return files.hold is not None and _releases(files, of_bytes(files.hold), logged)


def _releases(files: HoldFiles, hold: Digest, logged: dict[Digest, str]) -> bool:
    """Tell whether a release is there, is logged, and is of that hold."""
    if files.release is None or of_bytes(files.release) not in logged:
        return False
    try:
        return load_record(files.release, Release).hold == hold
    except MalformedBundle:
        return False


def _why(data: bytes) -> str:
    try:
        record = load_record(data, Hold)
    except MalformedBundle as error:
        return f"it is held, and the record of that is damaged: {error}"
    matter = f" for {record.matter}" if record.matter is not None else ""
    return f"it is held{matter}: {record.reason}"
