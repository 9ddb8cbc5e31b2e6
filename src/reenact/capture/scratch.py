"""Telling the scratch of a process that has not ended from what a run leaves as its result. Pure.

A process that ended by itself has put away what it meant to put away: what it left is a result, wherever it lies. One that
outlives the job (a Java machine that still shuts down, a server) or was killed has not: what it has in a folder for temporary
files at that moment is there by chance, often under a name drawn by chance. It is kept, marked as temporary, and not judged.
"""

from __future__ import annotations

from typing import Final

from reenact.capture.observation import Observation

__all__ = ["Scratch"]

_TEMPORARY_FOLDERS: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the names the file hierarchy standard gives them
_VARIABLES: Final = ("TMPDIR", "TMP", "TEMP")
_ROOT_ACTOR: Final = "1"
"""The job's own process: its end is the run's, however it came."""


def _inside(path: str, folder: str) -> bool:
    return path.startswith(folder + "/")


class Scratch:
    """Decides for one run, after its end."""

    def __init__(self, observation: Observation) -> None:
        header = observation.header
        named = [header["variables"].get(name, "").rstrip("/") for name in _VARIABLES]
        self._folders = tuple(dict.fromkeys((*(n for n in named if n.startswith("/")), *_TEMPORARY_FOLDERS)))
        self._own = tuple(header[name] for name in ("root", "cwd"))
        self._observation = observation

    def holds(self, path: str) -> bool:
        """Tell whether what is at a canonical path was put there by none but processes that have not ended."""
        if not any(self._is_temporary(path, folder) for folder in self._folders):
            return False
        writers = self._observation.actors(path, "w")
        return bool(writers) and not any(self._has_ended(actor) for actor in writers)

    def _is_temporary(self, path: str, folder: str) -> bool:
        """The job's own folder may lie in a folder for temporary files; what is in it is no scratch."""
        return _inside(path, folder) and not any(_inside(path, own) and _inside(own, folder) for own in self._own)

    def _has_ended(self, actor: str) -> bool:
        process = self._observation.processes.get(actor)
        return actor == _ROOT_ACTOR or process is None or process.ended_ns is not None
