"""Runs that could not be signed when they ended: kept on this host as they are to be signed.

A later command seals them: :mod:`reenact.actions.sealing_kept`.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from reenact import atomic, canonical
from reenact.errors import IntegrityError
from reenact.ids import RunId, is_run_id

if TYPE_CHECKING:
    from reenact.model.bundle import Bundle
    from reenact.store.opening import Store

__all__ = ["FOLDER", "SUFFIX", "is_kept_here", "keep", "kept_bundles", "kept_payload", "unsealed_folder"]

FOLDER: Final = "unsealed"
"""Among the journals."""
SUFFIX: Final = ".json"


class _Kept(msgspec.Struct, frozen=True):
    payload: str
    """The statement, in base64."""
    reason: str


def unsealed_folder(store: Store) -> str:
    """Name the folder where they are kept; it need not be there."""
    return os.path.join(store.journals, FOLDER)


def keep(store: Store, run_id: RunId, payload: bytes, reason: str) -> None:
    """Keep a statement until it can be signed. Durable when it returns.

    Raises:
        OSError: it cannot be kept.
    """
    folder = unsealed_folder(store)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    kept = _Kept(payload=base64.b64encode(payload).decode("ascii"), reason=reason)
    atomic.put_if_absent(os.path.join(folder, run_id + SUFFIX), canonical.dumps_plain(kept), mode=0o600)
    atomic.sync_folder(store.journals)
    # The process ends, and what the run refers to must stay.
    store.leases.keep(run_id)


def kept_bundles(store: Store) -> Iterator[Bundle]:
    """Give the bundles that are kept on this host until they can be signed.

    Raises:
        IntegrityError: one cannot be read.
    """
    from reenact.model.statement import load_bundle  # noqa: PLC0415 - rare

    folder = unsealed_folder(store)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if is_run_id(name.removesuffix(SUFFIX)):
            with contextlib.suppress(FileNotFoundError):
                yield load_bundle(kept_payload(os.path.join(folder, name)))


def is_kept_here(store: Store, run_id: str) -> bool:
    """Tell whether a run is kept on this host until it can be signed."""
    return os.path.exists(os.path.join(unsealed_folder(store), run_id + SUFFIX))


def kept_payload(path: str) -> bytes:
    """Read a statement that is kept.

    Raises:
        OSError: it cannot be read.
        IntegrityError: it is damaged.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        return base64.b64decode(msgspec.json.decode(data, type=_Kept).payload, validate=True)
    except (ValueError, msgspec.DecodeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error
