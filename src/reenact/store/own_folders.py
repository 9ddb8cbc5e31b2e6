"""Where a user's own folders are (XDG base directories)."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["private_base"]


def private_base(environment: Mapping[str, str], variable: str, below_home: str) -> str:
    """Give one of the user's own folders (XDG base directories); empty where there is none.

    Args:
        environment: The environment variables.
        variable: Such as ``XDG_STATE_HOME``; a relative path there is to be ignored.
        below_home: What it is by default, in the home folder.
    """
    base = environment.get(variable, "")
    home = environment.get("HOME", "")
    if not os.path.isabs(base) and os.path.isabs(home):
        base = os.path.join(home, below_home)
    return base if os.path.isabs(base) else ""
