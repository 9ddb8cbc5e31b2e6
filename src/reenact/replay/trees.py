"""Delete folder trees that may lock out their own owner: recorded modes, jobs' modes, and overlay's work folder (mode 000)."""

from __future__ import annotations

import contextlib
import os
from typing import Final

__all__ = ["remove_tree"]

_OWNER_ALL: Final = 0o700


def remove_tree(top: str) -> None:
    """Delete a folder and all in it, unlocking folders on the way; nothing happens when it is not there.

    Symbolic links are deleted, never followed.

    Raises:
        OSError: something cannot be deleted, because another user owns it or the file system is read-only.
    """
    try:
        os.chmod(top, _OWNER_ALL)
    except FileNotFoundError:
        return
    except PermissionError:
        pass  # not ours: perhaps it can be emptied all the same
    with os.scandir(top) as entries:
        children = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for path, is_folder in children:
        if is_folder:
            remove_tree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    os.rmdir(top)
