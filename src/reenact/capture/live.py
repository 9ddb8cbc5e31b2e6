"""One live recording, put together: the journal folder, the session, and the two observers."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from reenact.capture.journal import JournalWriter
from reenact.capture.roles import RecorderEnds, Roles, SupervisorEnds, Watch, name_process
from reenact.capture.session import Ending, Session
from reenact.capture.surroundings import MAIN
from reenact.errors import StoreError
from reenact.ids import RunId

if TYPE_CHECKING:
    import socket

    from reenact.capture.nesting import Outer

    # A run is started without them: what is imported here is imported before the first fork.
    from reenact.capture.trace.listings import ListingOrder
    from reenact.capture.trace.stat_answers import StatAnswers
    from reenact.digests import Digest
    from reenact.model.bundle import Bundle
    from reenact.store.opening import Store

__all__ = ["Begun", "Journal", "LiveRun", "RecorderTask", "begin", "describe", "run_live", "start_recorder"]


class Journal(NamedTuple):
    """A journal folder that this process has begun and locked."""

    folder: str
    events: int
    lock: int


def begin(journals: str, run_id: RunId) -> Journal:
    """Make and lock the journal folder of a new run in the folder for journals of its store.

    Runs inside the run find this process by its name from now on.

    Raises:
        StoreError: it cannot be made (read-only, full, no permission).
    """
    folder = f"{journals}/{run_id}"
    name_process(MAIN)
    try:
        try:
            return _begin(folder)
        except FileNotFoundError:
            return _begin(folder)  # somebody who looks for what was abandoned met it before it was locked
    except OSError as error:
        raise StoreError(
            f"no journal can be written in {journals}: {error.strerror}", hint="choose another store with --store"
        ) from error


def _begin(folder: str) -> Journal:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        events = os.open(f"{folder}/events", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        os.close(lock)
        raise
    return Journal(folder=folder, events=events, lock=lock)


class RecorderTask(NamedTuple):
    """What the recorder is told when it is forked; all else it reads from the journal."""

    open_store: Callable[[], Store]
    seal: Callable[[Store, Bundle], None]
    environment_mode: str
    as_described: Bundle | None = None
    """In a replay: the record whose words about environment and code hold for it too."""
    known: Callable[[str], tuple[Digest, int] | None] = lambda _: None
    """See :class:`reenact.capture.intake.Intake`."""
    prepare: Callable[[Store], None] = lambda _: None
    """Called while there is nothing to do yet: imports what sealing will need."""


class Begun(NamedTuple):
    """A recording whose recorder is there, and whose job is not."""

    journal: Journal
    session: Session
    memory: int
    """Descriptor of the shared memory; -1 where only our own processes share it."""
    stored: mmap.mmap
    outer: Outer | None


class LiveRun(NamedTuple):
    """What the job of a recording is observed by."""

    header: dict[str, Any]
    """First record of the journal; see `reenact.capture.freeze.launch_of` for what is in it."""
    redact: Callable[[Sequence[str]], Sequence[str]]
    """Takes the secrets out of a command line."""
    ignored: tuple[str, ...]
    preimage_max_bytes: int
    linger_seconds: float
    stat_answers: StatAnswers | None = None
    """See :class:`reenact.capture.trace.stat_answers.StatAnswers`."""
    listing_order: ListingOrder | None = None
    """See :class:`reenact.capture.trace.listings.ListingOrder`."""
    observe: Callable[[Watch, SupervisorEnds], NoReturn] | None = None
    """What the supervising process does; the kernel rung's :func:`reenact.capture.watcher.watch` by default."""
    secrets: Callable[[], dict[str, Any]] = dict
    """What the supervisor of a recording around this one needs to redact as `redact` does."""


def start_recorder(journal: Journal, session: Session, task: RecorderTask, outer: Outer | None = None) -> Begun:
    """Fork the recorder, as early as can be: a short job waits for what it has to import.

    Args:
        journal: Begun and locked by this process.
        session: Its streams are prepared.
        task: What to record.
        outer: The supervisor of the recording around this one, which observes in the place of one of our own.
    """
    if outer is not None:
        from reenact.capture.nesting import shared  # noqa: PLC0415 - only inside another recording

        memory, stored = shared()
        gate = os.pipe()
    else:
        memory, stored, gate = -1, mmap.mmap(-1, 8), None

    def recorder(ends: RecorderEnds) -> NoReturn:
        if outer is not None and gate is not None:
            outer.close()  # its end tells the supervisor that the main process is gone
            os.close(gate[1])
            os.read(gate[0], 1)
            os.close(gate[0])
        from reenact.capture.lean import import_msgspec  # noqa: PLC0415 - in its own process, while the job starts

        import_msgspec()
        from reenact.capture.recorder import Recording, record  # noqa: PLC0415 - same

        recording = Recording(
            folder=journal.folder,
            stored=stored,
            open_store=task.open_store,
            seal=task.seal,
            environment_mode=task.environment_mode,
            known=task.known,
            as_described=task.as_described,
            prepare=task.prepare,
        )
        record(recording, ends)

    session.start_recorder(recorder)
    if outer is not None and gate is not None:
        outer.set_aside(session.recorder)
        for descriptor in gate:
            os.close(descriptor)
    return Begun(journal=journal, session=session, memory=memory, stored=stored, outer=outer)


def describe(begun: Begun, header: dict[str, Any], gaps: Sequence[tuple[str, str, str]] = ()) -> None:
    """Write the first records of the journal.

    Args:
        begun: Where it is.
        header: What is run.
        gaps: What is known from the start not to be seen: code, message and subject of each.

    Raises:
        StoreError: it cannot be written.
    """
    writer = JournalWriter(begun.journal.events)
    writer.write(["run", header])
    for gap in gaps:
        writer.write(["h", *gap])
    writer.flush()
    if writer.broken:
        raise StoreError(f"the journal cannot be written: {writer.broken}")


def run_live(begun: Begun, run: LiveRun) -> Ending:
    """Run the job with its observers, after `describe`; when this returns the run is in the store, or the ending says why not."""
    watch = Watch(
        folder=begun.journal.folder,
        journal=begun.journal.events,
        lock=begun.journal.lock,
        stored=begun.stored,
        redact=run.redact,
        ignored=run.ignored,
        preimage_max_bytes=run.preimage_max_bytes,
        linger_seconds=run.linger_seconds,
        inherited=_inherited(run.header["streams"]),
        cwd=run.header["cwd"],
        stat_answers=run.stat_answers,
        pointers=_pointers(run.header),
        listing_order=run.listing_order,
    )

    def supervisor(ends: SupervisorEnds) -> NoReturn:
        from reenact.capture.watcher import watch as watch_kernel  # noqa: PLC0415 - late, as it needs the whole tracer

        (run.observe or watch_kernel)(watch, ends)

    join = None if begun.outer is None else _joining(run, begun.outer, watch, begun.memory)
    try:
        return begun.session.run(Roles(supervisor=supervisor, join=join), begun.journal.lock)
    finally:
        os.close(begun.journal.lock)
        os.close(begun.journal.events)


def _pointers(header: dict[str, Any]) -> Callable[[str], bool]:
    if "pointers" not in header:
        return lambda _: False
    from reenact.capture.pointers import Pointers  # noqa: PLC0415 - few runs keep any

    return Pointers(header).means


def _joining(run: LiveRun, outer: Outer, watch: Watch, memory: int) -> Callable[[int, int], socket.socket]:
    """Make what hands a run over to the supervisor of the recording around it."""

    def join(job: int, wake: int) -> socket.socket:
        facts = {
            "job": job,
            "stdin": {"kind": run.header["streams"]["stdin"]["kind"], "source": _identity(0)},
            "secrets": run.secrets(),
            "pointers": {name: run.header[name] for name in ("pointers", "root") if "pointers" in run.header},
        }
        # Where that fails, the recorder finds that nobody writes the journal, and says so in the bundle.
        outer.join(watch, (watch.journal, watch.lock, wake, memory), facts)
        return outer.connection

    return join


def _identity(descriptor: int) -> tuple[int, int]:
    """Give device and inode of what a descriptor leads to; zeros when it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _inherited(streams: dict[str, dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Name the files the job is given already open, and how: ``r`` read, ``w`` on top of what is there, ``t`` from empty."""
    found = []
    for name, facts in streams.items():
        if facts["kind"] == "file" and not facts.get("same_as"):
            empty = not facts.get("size_bytes") and not facts["offset_bytes"]
            found.append((facts["path"], "r" if name == "stdin" else "t" if empty else "w"))
    return tuple(found)
