"""Where derived files live on this host."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping

from reenact.atomic import AnyPath
from reenact.errors import StoreError
from reenact.store.failures import store_error
from reenact.store.own_folders import private_base

__all__ = ["cache_folder", "private_folder", "stat_cache_name", "temporary_folder"]


def cache_folder(root: AnyPath, store_id: str, environment: Mapping[str, str]) -> str:
    """Choose the folder for derived files: in the store, or, when it cannot be written, in the user's cache.

    Raises:
        StoreError: only a shared temporary folder is left, and somebody else holds our name in it.
    """
    if os.access(root, os.W_OK | os.X_OK):
        return os.path.join(root, "cache")
    if base := private_base(environment, "XDG_CACHE_HOME", ".cache"):
        return os.path.join(base, "reenact", store_id)
    return os.path.join(temporary_folder(), store_id)


def temporary_folder() -> str:
    """Give a folder of ours among everybody's temporary files.

    Raises:
        StoreError: somebody else holds its name.
    """
    import tempfile  # noqa: PLC0415 - 8 ms, hardly ever needed

    folder = os.path.join(tempfile.gettempdir(), f"reenact-{os.geteuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        found = os.lstat(folder)
    except OSError as error:
        raise StoreError(f"no folder for caches: {error}", hint="set HOME or XDG_CACHE_HOME") from error
    # Whoever could write there could tell us false digests of files.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StoreError(f"{folder} is not ours alone", hint="set HOME or XDG_CACHE_HOME")
    return folder


def private_folder(path: str) -> str:
    """Make a folder that only this user can look into, and give its path; cheap when it is there.

    Raises:
        StoreError: it cannot be made, or is somebody else's.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        raise store_error(error, f"make the private folder {path}") from error
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path} is not ours alone", hint="set HOME, XDG_STATE_HOME or XDG_CACHE_HOME")
    return path


def stat_cache_name() -> str:
    """Name this host's stat cache: device and inode numbers mean nothing on another host that shares the store."""
    try:
        with open("/etc/machine-id", "rb") as file:
            host = file.read()
    except OSError:
        host = b""
    host = host.strip() or os.fsencode(os.uname().nodename)
    return f"stat-{hashlib.sha256(host).hexdigest()[:16]}.sqlite"
