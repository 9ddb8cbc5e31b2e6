"""The rung `declared`: observes nothing; what a run reads and writes is what its settings say.

Inputs are read before the job starts, which therefore waits for them. An output is whatever the patterns name after the job
that is new or not what it was before.
"""

from __future__ import annotations

import glob
import os
import select
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.preimage import PreimageKeeper
from reenact.capture.roles import SupervisorEnds, Watch
from reenact.capture.rungs.notebook import Notebook, asked, locate, wait_for_recorder
from reenact.capture.trace.filesystem import LiveFileSystem
from reenact.capture.trace.processes import ROOT

__all__ = ["DeclaredRung"]

_GAP: Final = ("declared-only", "nothing was observed: inputs and outputs are what the settings declare")
_ALIKE: Final = ("st_mode", "st_size", "st_mtime_ns", "st_ino", "st_dev", "st_uid", "st_gid")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRung:
    """See the module."""

    root: str
    """The folder that patterns are relative to."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    argv: tuple[str, ...]
    variables: Mapping[str, str]
    name: str = "declared"

    def available(self) -> str:
        """It works everywhere, once something is declared."""
        if self.inputs or self.outputs:
            return ""
        return "nothing is declared: set declared.inputs and declared.outputs in reenact.toml"

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Add nothing."""
        return dict(variables)

    def enter(self) -> None:
        """Prepare nothing."""

    def observe(self, watch: Watch, ends: SupervisorEnds) -> NoReturn:
        """Read the inputs, let the job run, look for outputs."""
        journal = JournalWriter(watch.journal)
        keeper = PreimageKeeper(f"{watch.folder}/before", watch.preimage_max_bytes, watch.stored)
        states = FileStates(LiveFileSystem(), keeper, journal.write, ignored=watch.ignored)
        notebook = Notebook(watch, ends, journal, states)
        notebook.begin(_GAP)
        self._note_program(notebook)
        for path in self._named(self.inputs):
            notebook.calls += 1
            states.opened(ROOT, path, os.O_RDONLY)
        before = self._look(states, self._named(self.outputs))
        notebook.flush()
        wait_for_recorder(watch, ends, journal.position)
        notebook.ready()
        _wait_for_job(ends.control, ends.root)
        after = self._look(states, self._named(self.outputs), note=False)
        _compare(notebook, before, after)
        notebook.finish(ended=True)
        notebook.leave(wait=False)

    def _note_program(self, notebook: Notebook) -> None:
        """What is started is known without looking."""
        program = locate(self.argv[0], dict(self.variables))
        if program is not None:
            notebook.executed(ROOT, program, list(self.argv), notebook.watch.cwd)

    def _named(self, patterns: Iterable[str]) -> list[str]:
        found: set[str] = set()
        for pattern in patterns:
            for name in glob.iglob(pattern, root_dir=self.root, recursive=True, include_hidden=True):
                found.add(os.path.normpath(os.path.join(self.root, name)))
        return sorted(found)

    @staticmethod
    def _look(states: FileStates, paths: list[str], *, note: bool = True) -> dict[str, os.stat_result]:
        found = {}
        for path in paths:
            try:
                # The file itself, under the name it has: a link that a pattern names is followed, as the job would.
                where = os.path.realpath(path)
                found[where] = os.lstat(where)
            except OSError:
                continue
            if note:
                states.probed(path, follow=True)
        return found


def _wait_for_job(control: int, root: int) -> None:
    """Wait until the main process says that the job has ended; if it was killed, until the job itself has."""
    while True:
        told = asked(control)
        if told:
            return
        if told is None:
            break
    try:
        job = os.pidfd_open(root)
    except OSError:
        return
    select.select([job], [], [])
    os.close(job)


def _compare(notebook: Notebook, before: dict[str, os.stat_result], after: dict[str, os.stat_result]) -> None:
    for path, found in after.items():
        earlier = before.get(path)
        if earlier is None:
            notebook.write(["c", path])
        elif all(getattr(earlier, name) == getattr(found, name) for name in _ALIKE):
            continue
        else:
            notebook.write(["m", path, "t"])
            notebook.write(["p", path, "", "stored" if _was_needed(notebook, path) else "not a declared input"])
        notebook.calls += 1
        notebook.write(["a", ROOT, path, "w"])
    for path in before.keys() - after.keys():
        notebook.write(["m", path, "u"])
        notebook.write(["p", path, "", "stored" if _was_needed(notebook, path) else "not a declared input"])
        notebook.write(["g", path])
        notebook.write(["a", ROOT, path, "d"])


def _was_needed(notebook: Notebook, path: str) -> bool:
    entry = notebook.states.entries.get(path)
    return entry is not None and entry.needed_at >= 0
