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
from reenact.capture.recorder import Recording, finish_run, remove_journal
from reenact.ids import RunId, is_run_id
from reenact.model.bundle import Bundle

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["LOCK", "abandoned", "recover"]

LOCK = "lock"


def _lock(folder: str) -> int | None:
    """Take a journal's lock; None while its recording lives."""
    try:
        descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CLOEXEC)
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
        observation = Observation()
        with contextlib.suppress(FileNotFoundError), open(f"{folder}/events", "rb") as file:
            for record in read_records(file.read()):
                observation.apply(record)
        store.discard_unfinished(run_id)
        if not observation.header or observation.header.get("replay_of"):
            # The job had not begun; or the world it was replayed in is gone, and what this host has at the same paths is
            # nothing of it. A replay that was cut off is replayed again.
            remove_journal(folder)
            return None
        writer = store.writer(run_id)
        intake = Intake(writer, store.stats, earlier=Earlier(store, observation.header["job"]).find)
        code = CodeObserver(observation.header["root"])
        code.start()
        recording = Recording(
            folder=folder,
            stored=mmap.mmap(-1, 8),
            open_store=lambda: store,
            seal=seal,
            environment_mode=observation.header["environment_mode"],
        )
        cut = reason_left(folder) or reason or ("" if observation.ended_ns is not None else "the recording was cut off")
        return finish_run(recording, store, writer, observation, intake, code, "", cut)
    finally:
        os.close(lock)
