"""Paths by the folders they lie in, so that all below one folder are found without a look at the others. Pure."""

from __future__ import annotations

__all__ = ["PathTree"]


class PathTree:
    """Absolute paths; adding one costs a step for each folder on its way that is new, the root is the empty text."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, None]] = {}
        """By folder; in the order of their coming, so that nothing depends on chance."""

    def add(self, path: str) -> None:
        """Add a path, and the folders on its way."""
        while path:
            folder, _, name = path.rpartition("/")
            known = self._names.get(folder)
            if known is not None:
                known[name] = None
                return
            self._names[folder] = {name: None}
            path = folder

    def at_and_below(self, path: str) -> list[str]:
        """Give a path, added or not, and all below it, folders on the way included; a folder comes before what is in it."""
        found = [path]
        for folder in found:
            found += [f"{folder}/{name}" for name in self._names.get(folder, ())]
        return found

    def remove(self, path: str) -> list[str]:
        """Remove a path and all below it; give them as :meth:`at_and_below` does."""
        found = self.at_and_below(path)
        for known in found:
            self._names.pop(known, None)
        folder, _, name = path.rpartition("/")
        self._names.get(folder, {}).pop(name, None)
        return found
