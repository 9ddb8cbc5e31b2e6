"""The order of names in listed folders, as programs were given it: what is kept of it. Pure.

A replay gives it again (:mod:`reenact.capture.trace.listings`); a folder of which nothing is kept is given sorted.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from reenact.capture.observation import Observation
from reenact.capture.walk import is_special

__all__ = ["recorded"]


def recorded(observation: Observation, is_environment: Callable[[str], bool]) -> dict[str, list[str]] | None:
    """Choose what is kept: by folder, the names in their order, where that is not the sorted one (by bytes).

    Left out are folders of the environment, which are the same wherever they are laid out, and of the kernel; and names the run
    made and took away again, some of which are drawn by chance.

    Returns:
        None where no folder was listed that a replay would have to give in an order.
    """
    found: dict[str, list[str]] = {}
    listed = False
    for folder, names in observation.orders.items():
        before = observation.paths.get(folder)
        known = before is not None or folder in observation.made
        if not known or is_special(folder) or (before is not None and not before.changes and is_environment(folder)):
            continue
        listed = True
        base = "" if folder == "/" else folder
        old = frozenset(before.names or ()) if before is not None else frozenset()
        kept = [name for name in names if name in old or f"{base}/{name}" in observation.made]
        if kept != sorted(kept, key=os.fsencode):
            found[folder] = kept
    return found if listed else None
