"""Seal runs that could not be signed when they ended; see :mod:`reenact.actions.unsealed`."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reenact.actions.sealing import SealWith, ensure_logged, put_sealed, seal_payload, signers
from reenact.actions.unsealed import SUFFIX, kept_payload, unsealed_folder
from reenact.errors import ReenactError
from reenact.ids import RunId, is_run_id
from reenact.model.statement import load_bundle

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["seal_kept"]

_LOCK: Final = "lock"


def seal_kept(store: Store, how: SealWith) -> dict[RunId, str]:
    """Seal what can be sealed now; give the reason for each run that still cannot be."""
    folder = unsealed_folder(store)
    found: dict[RunId, str] = {}
    with _locked(folder) as ours:
        for name in sorted(os.listdir(folder)) if ours else ():
            run_id = RunId(name.removesuffix(SUFFIX))
            if not is_run_id(run_id):
                continue
            try:
                _seal(store, run_id, os.path.join(folder, name), how)
            except (ReenactError, OSError) as error:
                found[run_id] = f"it is kept in {folder} and not signed yet: {error}"
    return found


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[bool]:
    """Be the only one at it, or give False: a second signature of another kind would be a second record of the same run."""
    try:
        descriptor = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _seal(store: Store, run_id: RunId, path: str, how: SealWith) -> None:
    if store.runs.exists(run_id):
        ensure_logged(store, run_id, how)  # an earlier attempt was cut off behind this
    else:
        payload = kept_payload(path)
        by = signers(store, how)
        put_sealed(store, load_bundle(payload), payload, seal_payload(payload, by), by[0])
    os.unlink(path)
