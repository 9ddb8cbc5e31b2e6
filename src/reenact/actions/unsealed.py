"""Runs that could not be signed when they ended: kept on this host as they are to be signed, and sealed by a later command."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from reenact import atomic, canonical
from reenact.errors import IntegrityError, ReenactError
from reenact.ids import RunId, is_run_id

if TYPE_CHECKING:
    from reenact.actions.sealing import SealWith
    from reenact.model.bundle import Bundle
    from reenact.store.opening import Store

__all__ = ["FOLDER", "is_kept_here", "keep", "kept_bundles", "seal_kept"]

FOLDER: Final = "unsealed"
"""Among the journals."""
_SUFFIX: Final = ".json"
_LOCK: Final = "lock"


class _Kept(msgspec.Struct, frozen=True):
    payload: str
    """The statement, in base64."""
    reason: str


def _folder(store: Store) -> str:
    return os.path.join(store.journals, FOLDER)


def keep(store: Store, run_id: RunId, payload: bytes, reason: str) -> None:
    """Keep a statement until it can be signed. Durable when it returns.

    Raises:
        OSError: it cannot be kept.
    """
    folder = _folder(store)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    kept = _Kept(payload=base64.b64encode(payload).decode("ascii"), reason=reason)
    atomic.put_if_absent(os.path.join(folder, run_id + _SUFFIX), canonical.dumps_plain(kept), mode=0o600)
    atomic.sync_folder(store.journals)
    # The process ends, and what the run refers to must stay.
    store.leases.keep(run_id)


def kept_bundles(store: Store) -> Iterator[Bundle]:
    """Give the bundles that are kept on this host until they can be signed.

    Raises:
        IntegrityError: one cannot be read.
    """
    from reenact.model.statement import load_bundle  # noqa: PLC0415 - rare

    folder = _folder(store)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if is_run_id(name.removesuffix(_SUFFIX)):
            with contextlib.suppress(FileNotFoundError):
                yield load_bundle(_payload(os.path.join(folder, name)))


def is_kept_here(store: Store, run_id: str) -> bool:
    """Tell whether a run is kept on this host until it can be signed."""
    return os.path.exists(os.path.join(_folder(store), run_id + _SUFFIX))


def _payload(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read()
    try:
        return base64.b64decode(msgspec.json.decode(data, type=_Kept).payload, validate=True)
    except (ValueError, msgspec.DecodeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error


def seal_kept(store: Store, how: SealWith) -> dict[RunId, str]:
    """Seal what can be sealed now; give the reason for each run that still cannot be."""
    folder = _folder(store)
    found: dict[RunId, str] = {}
    with _locked(folder) as ours:
        for name in sorted(os.listdir(folder)) if ours else ():
            run_id = RunId(name.removesuffix(_SUFFIX))
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
    from reenact.actions.sealing import ensure_logged, put_sealed, seal_payload, signers  # noqa: PLC0415 - cycle
    from reenact.model.statement import load_bundle  # noqa: PLC0415 - rare

    if store.runs.exists(run_id):
        ensure_logged(store, run_id, how)  # an earlier attempt was cut off behind this
    else:
        payload = _payload(path)
        by = signers(store, how)
        put_sealed(store, load_bundle(payload), payload, seal_payload(payload, by), by[0])
    os.unlink(path)
