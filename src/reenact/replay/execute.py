"""Executing a replay: the recorded command, under the recorded conditions, in its closed world or its folder, itself recorded."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reenact.capture.launch import CLOSED
from reenact.capture.live import Journal, LiveRun, RecorderTask, describe, run_live, start_recorder
from reenact.capture.pointers import header_of_replay
from reenact.capture.relay import StreamFilter
from reenact.capture.session import Command, Ending, Session
from reenact.capture.trace.listings import ListingOrder
from reenact.capture.trace.stat_answers import Facts, StatAnswers
from reenact.digests import Digest
from reenact.errors import SandboxError
from reenact.model.artifact import Entry, Origin
from reenact.model.bundle import Bundle, Stream
from reenact.model.environment import Manifest
from reenact.model.paths import from_text, to_text
from reenact.replay.conditions import become, conditions_of, set_limits, take_affinity, usable_limits
from reenact.replay.sandbox import Sandbox
from reenact.replay.world import World

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["Execution", "execute", "execute_in_folder", "header_of", "known_contents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What is needed to execute a replay beside the record and its world."""

    run_id: str
    started_ns: int
    journal: Journal
    argv: tuple[str, ...]
    """With secrets put back; surrogate-escaped."""
    environment: Mapping[str, str]
    """Likewise."""
    stdin: bytes | None
    """What went through standard input, when that was recorded."""
    redact: Callable[[Sequence[str]], Sequence[str]]
    new_filter: Callable[[], StreamFilter]
    """Takes secrets out of the standard streams."""
    stream_max_bytes: int
    preimage_max_bytes: int
    timeout_seconds: float
    stat_facts: Mapping[str, Facts] | None
    """What stat is answered, by path in the world; None to let the kernel answer."""
    listings: Mapping[str, Sequence[str]] | None
    """Names in the order in which they are given, by folder in the world, where that is not the sorted one; None to leave all to
    the kernel."""
    open_store: Callable[[], Store]
    seal: Callable[[Store, Bundle], None]
    ignored: tuple[str, ...] = ()
    """Folders of ours the job may come across, where it runs on the machine itself."""
    linger_seconds: float = 0.0
    """How long to wait for what the job leaves behind; nothing can be left behind in a world."""


def known_contents(bundle: Bundle, manifest: Manifest, upper: str) -> Callable[[str], tuple[Digest, int] | None]:
    """Give what is known, without reading, of a path in the world: what lies in a lower layer is what the record says."""
    entries: dict[str, Entry] = {from_text(e.path): e for e in manifest.entries if e.digest is not None}
    entries.update({from_text(a.entry.path): a.entry for a in bundle.inputs if a.entry.digest is not None})

    def known(path: str) -> tuple[Digest, int] | None:
        entry = entries.get(path)
        if entry is None or entry.digest is None or os.path.lexists(upper + path):
            return None
        return entry.digest, entry.size_bytes

    return known


def header_of(bundle: Bundle, execution: Execution, streams: dict[str, dict[str, Any]], *, mode: str) -> dict[str, Any]:
    """Describe the replay as a run of its own: as the record has it, but for its identity.

    Args:
        bundle: The record; in a fresh folder, as rewritten for it.
        execution: What is executed.
        streams: The standard streams, described.
        mode: How its environment is recorded.
    """
    launch = bundle.launch
    return {
        "run_id": execution.run_id,
        "started_ns": execution.started_ns,
        "replay_of": bundle.run_id,
        "job": bundle.job,
        "argv": [from_text(word) for word in launch.argv],
        "cwd": from_text(launch.cwd),
        "root": from_text(launch.root),
        "home": from_text(bundle.environment.variables.get("HOME", "")),
        "user": bundle.user,
        "uid": launch.uid,
        "gid": launch.gid,
        "groups": list(launch.groups),
        "umask": launch.umask,
        "hostname": launch.hostname,
        "limits": {name: list(pair) for name, pair in launch.limits.items()},
        "affinity": list(launch.affinity),
        "streams": streams,
        "variables": bundle.environment.variables,
        "redacted": bundle.environment.redacted,
        "parameters": bundle.parameters,
        "labels": bundle.labels,
        "tolerances": bundle.determinism.tolerances,
        "rung": "kernel",
        "environment_mode": mode,
        **header_of_replay(_origins(bundle)),
    }


def _origins(bundle: Bundle) -> dict[str, Origin]:
    """Give what the original kept as pointers, by path: of those bytes its replay keeps no more."""
    return {
        from_text(artifact.entry.path): artifact.pointer.origin
        for artifact in bundle.inputs
        if artifact.keep == "pointer" and artifact.pointer is not None and artifact.pointer.origin is not None
    }


def execute(bundle: Bundle, manifest: Manifest, world: World, execution: Execution) -> Ending:
    """Run the recorded command in its world; the run is stored as a replay of the record.

    Raises:
        SandboxError: the world cannot be entered.
    """
    upper = os.fspath(world.upper)
    sandbox = Sandbox(view=world.view, conditions=conditions_of(bundle.launch))
    with contextlib.ExitStack() as stack:
        stack.callback(sandbox.close)
        given, kinds = _open_streams(bundle, execution, upper, tuple(world.view.lowers), stack)
        command = Command(
            argv=execution.argv,
            environment=execution.environment,
            enter=sandbox.enter,
            entered=sandbox.wait_entered,
            in_world=True,
            observe_fstat=execution.stat_facts is not None,
            stdin=given["stdin"],
            stdout=given["stdout"],
            stderr=given["stderr"],
        )
        session = Session(
            command,
            execution.journal.folder,
            execution.stream_max_bytes,
            execution.new_filter,
        )
        streams = session.prepare(as_if=kinds)
        task = RecorderTask(
            open_store=execution.open_store,
            seal=execution.seal,
            environment_mode="sealed",
            as_described=bundle,
            known=known_contents(bundle, manifest, upper),
        )
        begun = start_recorder(execution.journal, session, task)
        run = LiveRun(
            header=header_of(bundle, execution, streams, mode=task.environment_mode),
            redact=execution.redact,
            ignored=(),
            preimage_max_bytes=execution.preimage_max_bytes,
            linger_seconds=0.0,
            listing_order=_listing_order(execution, manifest),
            stat_answers=StatAnswers(execution.stat_facts, upper) if execution.stat_facts is not None else None,
        )
        describe(begun, run.header)
        with _deadline(session, execution.timeout_seconds):
            return run_live(begun, run)


def _listing_order(execution: Execution, manifest: Manifest) -> ListingOrder | None:
    """Decide the order of names in all folders but those of the environment, which is the same on every machine."""
    if execution.listings is None:
        return None
    folders = {from_text(entry.path) for entry in manifest.entries if entry.type == "directory"}
    return ListingOrder(execution.listings, folders)


def execute_in_folder(bundle: Bundle, execution: Execution) -> Ending:
    """Run the recorded command on this machine as it is; the run is stored as a replay of the record.

    Args:
        bundle: The record as rewritten for the folder (:func:`reenact.replay.fresh.moved`), with the user who is to run it.
        execution: What is executed.
    """
    conditions = conditions_of(bundle.launch)
    as_root = os.geteuid() == 0
    limits = usable_limits(conditions.limits, privileged=as_root)

    def enter() -> None:
        take_affinity(conditions.affinity)
        set_limits(limits)
        if as_root and conditions.uid != 0:
            become(conditions)
        os.chdir(conditions.cwd)  # as the user: what they may not enter is refused as it was then
        os.umask(conditions.umask)

    with contextlib.ExitStack() as stack:
        given, kinds = _open_streams(bundle, execution, "", (), stack)
        command = Command(
            argv=execution.argv,
            environment=execution.environment,
            enter=enter,
            stdin=given["stdin"],
            stdout=given["stdout"],
            stderr=given["stderr"],
        )
        session = Session(command, execution.journal.folder, execution.stream_max_bytes, execution.new_filter)
        streams = session.prepare(as_if=kinds)
        task = RecorderTask(open_store=execution.open_store, seal=execution.seal, environment_mode="described")
        begun = start_recorder(execution.journal, session, task)
        run = LiveRun(
            header=header_of(bundle, execution, streams, mode=task.environment_mode),
            redact=execution.redact,
            ignored=execution.ignored,
            preimage_max_bytes=execution.preimage_max_bytes,
            linger_seconds=execution.linger_seconds,
        )
        describe(begun, run.header)
        with _deadline(session, execution.timeout_seconds):
            return run_live(begun, run)


@contextlib.contextmanager
def _deadline(session: Session, seconds: float) -> Iterator[None]:
    if seconds <= 0:
        yield
        return
    previous = signal.signal(signal.SIGALRM, lambda *_: session.kill())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _open_streams(
    bundle: Bundle, execution: Execution, upper: str, lowers: tuple[str, ...], stack: contextlib.ExitStack
) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """Give the job descriptors of the kinds it had; output goes nowhere but into the new record."""
    launch = bundle.launch
    given: dict[str, int] = {}
    kinds: dict[str, dict[str, Any]] = {}
    for name, stream in (("stdin", launch.stdin), ("stdout", launch.stdout), ("stderr", launch.stderr)):
        if stream.same_as is not None and stream.same_as in given:
            given[name] = given[stream.same_as]
            kinds[name] = {**kinds[stream.same_as], "same_as": stream.same_as}
            continue
        descriptor = _open_stream(name, stream, execution, upper, lowers)
        stack.callback(_close, descriptor)
        given[name] = descriptor
        kinds[name] = _facts(stream)
    return given, kinds


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _facts(stream: Stream) -> dict[str, Any]:
    """Describe the stream for the new record as the old one has it."""
    facts: dict[str, Any] = {"kind": stream.kind}
    if stream.kind == "file" and stream.path is not None:
        facts |= {"path": from_text(stream.path), "offset_bytes": stream.offset_bytes, "append": stream.append}
        facts["size_bytes"] = stream.offset_bytes
    if stream.kind == "terminal":
        facts |= {"rows": stream.rows, "columns": stream.columns}
    return facts


def _open_stream(name: str, stream: Stream, execution: Execution, upper: str, lowers: tuple[str, ...]) -> int:
    if name == "stdin":
        return _open_stdin(stream, execution, upper, lowers)
    if stream.kind == "file" and stream.path is not None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_APPEND if stream.append else 0)
        path = upper + from_text(stream.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, flags, 0o644)
        if not stream.append:
            os.lseek(descriptor, stream.offset_bytes, os.SEEK_SET)
        return descriptor
    if stream.kind == "terminal":
        return _terminal(stream)
    if stream.kind == "closed":
        return CLOSED
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _open_stdin(stream: Stream, execution: Execution, upper: str, lowers: tuple[str, ...]) -> int:
    if stream.kind == "file" and stream.path is not None:
        path = from_text(stream.path)
        for place in (upper, *lowers):
            with contextlib.suppress(OSError):
                descriptor = os.open(place + path, os.O_RDONLY | os.O_CLOEXEC)
                os.lseek(descriptor, stream.offset_bytes, os.SEEK_SET)
                return descriptor
        raise SandboxError(f"standard input was the file {to_text(path)}, which is not in the world")
    if stream.kind == "closed":
        return CLOSED
    if execution.stdin is not None:
        return _pipe_of(execution.stdin)
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _pipe_of(data: bytes) -> int:
    """Give the reading end of a pipe through which `data` comes."""
    readable, writable = os.pipe()
    # A pipe usually takes 64 KiB without a reader; one of a user who has many takes 4.
    os.set_blocking(writable, False)
    rest = memoryview(data)
    with contextlib.suppress(BlockingIOError):
        while rest:
            rest = rest[os.write(writable, rest) :]
    # A process, not a thread: the writing end must be nowhere else, or the job would never see its end.
    if rest and not os.fork():
        try:
            os.close(readable)
            os.set_blocking(writable, True)
            while rest:
                rest = rest[os.write(writable, rest) :]
        finally:
            os._exit(0)
    os.close(writable)
    return readable


def _terminal(stream: Stream) -> int:
    """Give a terminal of the recorded size; what is written to it is thrown away, as nothing of it was recorded."""
    ours, theirs = pty.openpty()
    if stream.rows and stream.columns:
        import fcntl  # noqa: PLC0415 - rarely needed
        import struct  # noqa: PLC0415
        import termios  # noqa: PLC0415

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", stream.rows, stream.columns, 0, 0))

    def drain() -> None:
        with contextlib.suppress(OSError):
            while os.read(ours, 1 << 16):
                pass
        os.close(ours)

    threading.Thread(target=drain, daemon=True).start()
    return theirs
