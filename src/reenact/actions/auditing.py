"""What an audit needs beside scrub and verify: the choice of runs, what nothing refers to, and what never came into the store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from reenact import clock
from reenact.actions.opening import peek_bundle, resolve
from reenact.actions.unsealed import FOLDER, SUFFIX, kept_bundles
from reenact.errors import ReenactError, UsageError
from reenact.govern.findings import make_finding
from reenact.ids import RunId, is_run_id
from reenact.model import references
from reenact.model.audit import AuditFinding
from reenact.store.leases import is_gone
from reenact.store.sweep import survey_without_bases

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.store.opening import Store

__all__ = ["Selected", "cut_off_runs", "orphans", "select"]

_LOCK: Final = "lock"
"""Of a journal; see :mod:`reenact.capture.recover`."""
_MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The runs to look at."""

    runs: tuple[RunId, ...]
    words: str


def select(
    store: Store, names: Sequence[str], job: str | None, since: datetime | None, *, everything: bool
) -> Selected:
    """Choose runs. Those whose records cannot be read fit every filter: they may be meant, and something is wrong with them.

    Raises:
        RunNotFound: a reference names none, or several.
        UsageError: no run fits: nothing would be looked at, and a misspelt job would be sound for ever.
        StoreError: the store cannot be listed.
    """
    if everything:
        return Selected(runs=tuple(store.runs.ids()), words="the whole store")
    chosen = dict.fromkeys(resolve(store, name) for name in names)
    if job is not None or since is not None:
        chosen |= dict.fromkeys(run_id for run_id in store.runs.ids() if _fits(store, run_id, job, since))
        if not chosen:
            raise UsageError("no run fits what is to be audited", hint="list the runs with: reenact runs")
    said = [f"runs {', '.join(names)}"] if names else []
    said += [f"runs of job {job}"] if job is not None else []
    said += [f"runs since {since.isoformat()}"] if since is not None else []
    return Selected(runs=tuple(chosen), words=" and ".join(said))


def _fits(store: Store, run_id: RunId, job: str | None, since: datetime | None) -> bool:
    try:
        bundle = peek_bundle(store, run_id)
        return job in (None, bundle.job) and (since is None or clock.parse(bundle.timestamp) >= since)
    except (ReenactError, ValueError):
        return True


def cut_off_runs(store: Store) -> Iterator[AuditFinding]:
    """Name the recordings on this host that are over and not in the store. Nothing is finished, nothing locked for others."""
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(store.journals)):
            if is_run_id(name) and _is_over(os.path.join(store.journals, name)):
                message = "its recording was cut off; the next command that opens the store finishes it"
                yield make_finding("run-unfinished", "journal", message, run_id=name)
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(os.path.join(store.journals, FOLDER))):
            run_id = name.removesuffix(SUFFIX)
            if is_run_id(run_id):
                message = "nobody could sign it when it ended; the next command that opens the store tries again"
                yield make_finding("run-unfinished", "journal", message, run_id=run_id)


def _is_over(folder: str) -> bool:
    try:
        descriptor = os.open(os.path.join(folder, _LOCK), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # somebody else's, who will be told
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def orphans(
    store: Store, needed: frozenset[Digest], unreadable: Sequence[str], grace_seconds: float
) -> tuple[AuditFinding | None, str]:
    """Find objects and packs that nothing refers to, as one finding; and why that cannot be told, if so.

    Args:
        store: Where they are.
        needed: What the records that can be read refer to, and what that is made against.
        unreadable: Runs whose records cannot be read.
        grace_seconds: What was put later than so long ago may be of a recording elsewhere.

    Raises:
        StoreError: the store cannot be listed.
    """
    alive = [lease.subject for lease in store.leases.all() if not is_gone(lease.holder)]
    if alive:
        return None, f"the recording of run {alive[0]} is going on"
    kept: set[Digest] = set()
    for bundle in kept_bundles(store):
        kept |= references.of_bundle(bundle).keys()
    found = survey_without_bases(store.backend, needed | kept, now=time.time(), grace_seconds=grace_seconds)
    if not found.dead:
        return None, ""
    names = ", ".join(value.key for value in found.dead[:_MOST_NAMES])
    more = f" and {len(found.dead) - _MOST_NAMES} more" if len(found.dead) > _MOST_NAMES else ""
    doubt = f"; one of {len(unreadable)} runs that cannot be read may refer to them" if unreadable else ""
    return (
        make_finding(
            "orphan-object",
            found.dead[0].key,
            f"{names}{more}{doubt}",
            expected="a run that refers to it",
            got=f"{len(found.dead)} files with {found.dead_bytes} bytes",
        ),
        "",
    )
