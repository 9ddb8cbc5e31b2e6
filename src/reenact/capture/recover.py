"""Finishing runs whose recording was cut off: from their journals, by whatever command comes next.

A journal is live while any process of its recording holds the lock file; the kernel lets go of it when the last one is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from reenact.capture.code import CodeObserver
from reenact.capture.earlier import Earlier
from reenact.capture.intake import Intake
from reenact.capture.journal import read_records, reason_left
from reenact.capture.observation import Observation
from reenact.capture.pointers import Pointers
from reenact.capture.recorder import Recording, finish_run, remove_journal
from reenact.errors import IntegrityError
from reenact.ids import RunId, is_run_id
from reenact.model.bundle import Bundle

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["LOCK", "abandoned", "recover"]

LOCK = "lock"


def _lock(folder: str) -> int | None:
    """Take a journal's lock; None while its recording lives, or where nothing may be written."""
    try:
        # A recording killed before it made the file has left a folder with nothing in it.
        descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def abandoned(journals: str) -> list[str]:
    """List the journal folders that nobody is writing, oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(journals)):
            if not is_run_id(name):
                continue
            descriptor = _lock(f"{journals}/{name}")
            if descriptor is not None:
                os.close(descriptor)
                found.append(f"{journals}/{name}")
    return found


def recover(
    store: Store,
    folder: str,
    seal: Callable[[Store, Bundle], None],
    reason: str,
    ensure_logged: Callable[[Store, RunId], None],
) -> Bundle | None:
    """Turn a journal into a bundle with status ``incomplete``; None when it holds nothing, or somebody else is at it.

    What is left of a replay is dropped: it is not a record, and gave no verdict.

    Raises:
        IntegrityError: the journal is damaged where it says of what it is, or cannot be understood; it stays.
        StoreError: the store cannot be written; the journal stays.
    """
    lock = _lock(folder)
    if lock is None:
        return None
    try:
        run_id = RunId(os.path.basename(folder))
        if run_id in store.runs.ids():
            ensure_logged(store, run_id)  # killed after the run was put, before it was logged or its journal removed
            remove_journal(folder)
            return None
        observation, damage = _observed(folder)
        store.discard_unfinished(run_id)
        if not observation.header or observation.header.get("replay_of"):
            # The job had not begun; or the world it was replayed in is gone, and what this host has at the same paths is
            # nothing of it. A replay that was cut off is replayed again.
            remove_journal(folder)
            return None
        cut = damage or reason_left(folder) or reason or "the recording was cut off"
        return _finish(store, folder, seal, observation, cut)
    finally:
        os.close(lock)


def _observed(folder: str) -> tuple[Observation, str]:
    """Read what a journal tells, up to its end or to damage, which is the second value in words.

    Raises:
        IntegrityError: its first record is damaged, or a record is not what this version knows.
    """
    try:
        with open(f"{folder}/events", "rb") as file:
            data = file.read()
    except FileNotFoundError:
        data = b""
    observation, understood = Observation(), 0
    try:
        for record in read_records(data):
            observation.apply(record)
            understood += 1
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"record {understood + 1} of {folder}/events cannot be understood: {error!r}",
            hint="it was written by another version, which can finish the run",
        ) from error
    if data.count(b"\n") == understood:
        return observation, ""  # what follows the last whole record was being written
    if not understood:
        raise IntegrityError(
            f"the first record of {folder}/events is damaged: nothing can be told of the run",
            hint="the folder keeps what the run had replaced or deleted; remove it when that is not wanted",
        )
    return observation, f"the journal is damaged behind record {understood}"


def _finish(
    store: Store, folder: str, seal: Callable[[Store, Bundle], None], observation: Observation, cut: str
) -> Bundle:
    header = observation.header
    for record in observation.paths.values():
        if record.kept is not None and record.kept[0].startswith("/proc/"):
            # By now the number may be another process's.
            record.kept = ("", "they were held open by a process that was killed")
    here = os.uname().nodename
    if header["hostname"] != here:
        message = f"the run was finished on {here}: its outputs and environment are as they are there"
        observation.gaps.append(("recovered-elsewhere", message, here))
    writer = store.writer(header["run_id"])
    code = CodeObserver(header["root"])
    code.start()
    recording = Recording(
        folder=folder,
        stored=mmap.mmap(-1, 8),
        open_store=lambda: store,
        seal=seal,
        environment_mode=header["environment_mode"],
    )
    intake = Intake(writer, store.stats, earlier=Earlier(store, header["job"]).find, pointers=Pointers(header).means)
    return finish_run(recording, store, writer, observation, intake, code, "", cut)
