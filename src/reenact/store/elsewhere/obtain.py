"""Have bytes again: try the places where they may be, one after the other, until one gives what the digest says."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable

from reenact import atomic, digests
from reenact.digests import Digest
from reenact.store.elsewhere.files import modified
from reenact.store.elsewhere.interface import Place, Unavailable, Wanted
from reenact.store.failures import store_error
from reenact.store.spool import write_all

__all__ = ["digest_at", "obtain", "prune"]


def obtain(wanted: Wanted, places: Iterable[Place], folder: str) -> tuple[str | None, list[str]]:
    """Give the path of a local file that holds some bytes, checked a moment ago; and why places before it did not do.

    A file of this host is given as it is; what comes from elsewhere is kept in a folder, under its digest.

    Args:
        wanted: Which bytes.
        places: Where they may be, the likeliest first.
        folder: For what is copied; made when it is not there.

    Raises:
        StoreError: the folder cannot be written.
    """
    reasons: list[str] = []
    kept = os.path.join(folder, digests.to_raw(wanted.digest).hex())
    if _digest_of_kept(kept) == wanted.digest:
        with contextlib.suppress(OSError):
            os.utime(kept)
        return kept, reasons
    for place in places:
        try:
            path = place.path if place.path is not None else kept
            got, size_bytes = _hashed(place) if place.path is not None else _copied(place, wanted, kept)
        except Unavailable as error:
            reasons.append(str(error))
            continue
        if got == wanted.digest:
            return path, reasons
        reasons.append(_difference(place, wanted, got, size_bytes))
    return None, reasons


def digest_at(place: Place, wanted: Wanted) -> Digest | None:
    """Digest what is at a place; None when nothing can be had, or it is longer than what is wanted."""
    state, length = hashlib.sha256(), 0
    try:
        for block in place.blocks():
            length += len(block)
            if length > wanted.size_bytes:
                return None
            state.update(block)
    except Unavailable:
        return None
    return digests.from_raw(state.digest())


def prune(folder: str, limit_bytes: int, keep: Iterable[str]) -> None:
    """Delete what was copied and not used for the longest, until the rest fits a limit; never what is to be kept."""
    kept = set(keep)
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime, about.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit_bytes:
            break
        if path not in kept:
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size


def _digest_of_kept(path: str) -> Digest | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return digests.of_descriptor(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _hashed(place: Place) -> tuple[Digest, int]:
    state, length = hashlib.sha256(), 0
    for block in place.blocks():
        state.update(block)
        length += len(block)
    return digests.from_raw(state.digest()), length


def _copied(place: Place, wanted: Wanted, target: str) -> tuple[Digest, int]:
    """Copy what is at a place; it gets its name only when it is what is wanted, and is given up when it is too long."""
    folder = os.path.dirname(target)
    temporary = atomic.temporary_name(folder)
    state, length = hashlib.sha256(), 0
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            for block in place.blocks():
                state.update(block)
                length += len(block)
                if length > wanted.size_bytes:
                    raise Unavailable(f"{place.what} is longer than the recorded {wanted.size_bytes} bytes")
                write_all(descriptor, block)
            if state.digest() == digests.to_raw(wanted.digest):
                os.replace(temporary, target)
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise store_error(error, f"keep {place.what} in {folder}") from error
    return digests.from_raw(state.digest()), length


def _difference(place: Place, wanted: Wanted, got: Digest, size_bytes: int) -> str:
    said = [f"{place.what} has digest {got}, recorded {wanted.digest}"]
    said.append(f"size {size_bytes}" + (f", recorded {wanted.size_bytes}" if size_bytes != wanted.size_bytes else ""))
    if place.path is not None and (when := modified(place.path)):
        said.append(f"modified {when}")
    return "; ".join(said)
