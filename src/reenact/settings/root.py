"""Finding a job's root: the folder that names in a record are relative to."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["SETTINGS_FILE", "find_root"]

SETTINGS_FILE: Final = "reenact.toml"


def _upwards(folder: str, name: str) -> str | None:
    while True:
        if os.path.lexists(os.path.join(folder, name)):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def find_root(folder: str) -> tuple[str, str | None]:
    """Find the root that an absolute `folder` belongs to, and the settings file there.

    That is the nearest folder upward with a `reenact.toml`; else the nearest with a `.git`; else `folder` itself.
    """
    with_settings = _upwards(folder, SETTINGS_FILE)
    if with_settings is not None:
        return with_settings, os.path.join(with_settings, SETTINGS_FILE)
    return _upwards(folder, ".git") or folder, None
