"""One run in the supervisor: its journal, its file states and its kept bytes, from the first record to the last."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter, leave_reason
from reenact.capture.preimage import PreimageKeeper
from reenact.capture.roles import Watch
from reenact.capture.trace.filesystem import LiveFileSystem
from reenact.capture.trace.observer import Observer
from reenact.capture.trace.processes import ROOT

__all__ = ["Observed"]

_INHERITED: Final = {"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_APPEND, "t": os.O_WRONLY | os.O_TRUNC}


class Observed:
    """See the module. Use :meth:`begin` and :meth:`finish` once each."""

    def __init__(self, watch: Watch, root: str, wake: int, *, prefix: str = "", ignored: Iterable[str] = ()) -> None:
        """Prepare it.

        Args:
            watch: The run.
            root: The actor at its top.
            wake: See :class:`Observer`.
            prefix: Put before every path of the job's.
            ignored: More folders that are no part of it.
        """
        self.watch = watch
        self._keeper = PreimageKeeper(
            f"{watch.folder}/before", watch.preimage_max_bytes, watch.stored, prefix, watch.pointers
        )
        journal = JournalWriter(watch.journal)
        folders = dict.fromkeys((*watch.ignored, *ignored))
        states = FileStates(LiveFileSystem(prefix, watch.listing_order), self._keeper, journal.write, ignored=folders)
        self.observer = Observer(root=root, states=states, journal=journal, wake=wake, redact=watch.redact)

    def begin(self, *, restricted: bool) -> None:
        """Book what the job starts with: its working folder, and the files it was given open."""
        observer = self.observer
        observer.journal.write(["t", restricted])
        observer.states.probed(self.watch.cwd, follow=True)
        for path, how in self.watch.inherited:
            observer.states.opened(ROOT, path, _INHERITED[how])
        observer.flush()

    def finish(self, *, ended: bool) -> None:
        """Write the last records.

        Args:
            ended: Whether all processes of the run have ended.
        """
        observer = self.observer
        observer.states.settle()
        if not ended:
            observer.gap("outlived", "a process outlives the job: what it does from now on is not recorded", "")
        observer.journal.write(["end", time.time_ns(), observer.calls])
        observer.flush()
        if observer.journal.broken:
            leave_reason(self.watch.folder, f"the journal could not be written: {observer.journal.broken}")

    def is_needed(self) -> bool:
        """Tell whether the recorder has still to read what is kept only in descriptors of this process; wakes it then."""
        if not self._keeper.holding:
            return False
        if int.from_bytes(self.watch.stored[:8], "little") >= self.observer.journal.position:
            return False
        try:
            os.write(self.observer.wake, b"j")
        except BlockingIOError:
            return True
        except OSError:
            return False  # it is gone
        return True

    def close(self) -> None:
        """Let go of what is kept, and of the journal: the recording is over, and may be finished by others."""
        self._keeper.close()
        for descriptor in (self.observer.wake, self.watch.lock, self.watch.journal):
            os.close(descriptor)
        self.watch.stored.close()
