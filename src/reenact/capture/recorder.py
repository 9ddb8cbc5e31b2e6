"""The recorder's part of a recording: stores what the journal asks for while the job runs, then finishes the run.

Its own process, so that hashing and compressing never make the supervisor wait. `finish_run` does the last step for a live run
and for one that is recovered from its journal alone.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import mmap
import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
from msgspec import structs

from reenact import canonical
from reenact.capture import hazards as hazard_rules
from reenact.capture import orders, os_packages
from reenact.capture.artifacts import Sorted, inputs, outputs
from reenact.capture.classify import Classifier
from reenact.capture.code import CodeObserver
from reenact.capture.described import describe
from reenact.capture.earlier import Earlier
from reenact.capture.facts import TableReader
from reenact.capture.freeze import Frozen, freeze, stream_of
from reenact.capture.intake import Content, Intake
from reenact.capture.journal import decode, reason_left
from reenact.capture.observation import Observation
from reenact.capture.pointers import Pointers
from reenact.compare.media import media_type
from reenact.digests import Digest
from reenact.errors import ReenactError
from reenact.model import manifest
from reenact.model.artifact import Artifact, Pointer
from reenact.model.bundle import Bundle, Gap, Hazard, Stream
from reenact.model.paths import from_text, to_text
from reenact.model.summary import summary_line

if TYPE_CHECKING:
    from reenact.capture.roles import RecorderEnds
    from reenact.store.opening import Store
    from reenact.store.writer import ObjectWriter

__all__ = ["Recording", "finish_run", "record"]

_READ_BYTES: Final = 1 << 16
_STORED_FOR: Final = frozenset({"b", "n", "p", "v"})
"""Records after which there may be bytes to store."""
_WRITTEN: Final = frozenset({"c", "m"})
"""Records of paths that are made or changed."""
_GARBAGE_AFTER: Final = 200_000
"""Objects made and kept before the first look for garbage."""
_STAT_SENSITIVE: Final = frozenset({"git", "uv", "hg", "rsync", "make", "gmake", "ninja"})
"""Programs that compare inode numbers or change times with what they noted before."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder needs to know."""

    folder: str
    """The journal folder."""
    stored: mmap.mmap
    open_store: Callable[[], Store]
    seal: Callable[[Store, Bundle], None]
    """Signs, stores and logs a bundle; durable when it returns."""
    environment_mode: str
    as_described: Bundle | None = None
    """A record whose words about environment and code hold for this run too: that of the run it replays."""
    known: Callable[[str], tuple[Digest, int] | None] = lambda _: None
    """Digest and size of paths whose bytes need not be read (a replay's own layers)."""
    prepare: Callable[[Store], None] = lambda _: None
    """Called while there is nothing to do yet: imports what sealing will need."""


class _Tail:
    """Reads a journal as it grows."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._rest = b""
        self._damaged = False
        self.position = 0
        """Bytes of whole lines given out so far."""

    def records(self) -> list[tuple[int, list[Any]]]:
        """Give the records that are new, each with the journal's length after it."""
        found: list[tuple[int, list[Any]]] = []
        while not self._damaged and (data := os.read(self._file, _READ_BYTES)):
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                record = decode(line)
                if record is None:
                    self._damaged = True  # nothing after it can be trusted
                    return found
                self.position += len(line) + 1
                found.append((self.position, record))
            if len(data) < _READ_BYTES:
                break
        return found


def record(recording: Recording, ends: RecorderEnds) -> NoReturn:
    """Run the recorder in its own process; never returns. Its result goes to the main process as one JSON object."""
    # All that a run read stays to its end: looking for garbage among it costs a tenth of the time and finds none.
    gc.set_threshold(_GARBAGE_AFTER)
    try:
        result = _record(recording, ends)
    except ReenactError as error:
        result = {"error": str(error), "hint": error.hint()}
    except OSError as error:
        result = {"error": f"the run could not be stored: {error}"}
    with contextlib.suppress(OSError):
        os.write(ends.result, json.dumps(result).encode())
        os.close(ends.result)  # the main process need not wait until this one's memory is taken down
    os._exit(0)


def _record(recording: Recording, ends: RecorderEnds) -> dict[str, Any]:
    store = recording.open_store()
    recording.prepare(store)
    tail = _Tail(f"{recording.folder}/events")
    observation = Observation()
    writer: ObjectWriter | None = None
    intake: Intake | None = None
    alone = _listen(ends)
    poll = select.poll()
    poll.register(ends.wake, select.POLLIN)
    code: CodeObserver | None = None
    tables: TableReader | None = None
    while observation.ended_ns is None:
        poll.poll()
        supervised = bool(os.read(ends.wake, 1 << 16))
        for position, entry in tail.records():
            observation.apply(entry)
            if intake is None:
                writer = store.writer(observation.header["run_id"])
                intake = Intake(
                    writer,
                    store.stats,
                    prefix=ends.prefix,
                    known=recording.known,
                    earlier=Earlier(store, observation.header["job"]).find,
                    pointers=Pointers(observation.header).means,
                )
                code = CodeObserver(observation.header["root"])
                tables = TableReader(observation.header.get("facts_max_bytes", 0))
                if recording.as_described is None:
                    code.start()
                    os_packages.prepare(os.fspath(store.cache))
            if entry[0] in _WRITTEN and tables is not None:
                tables.notice(entry[1])
            if entry[0] in _STORED_FOR:
                path = observation.paths[entry[2 if entry[0] == "b" else 1]]
                if path.needed:
                    intake.take(path)
            # Only now: the supervisor trusts everything before this to be in the store.
            recording.stored[:8] = position.to_bytes(8, "little")
        if not supervised:
            break
    alone.wait()
    if intake is None or writer is None or code is None:
        return {"error": "the journal is empty"}
    cut = "" if observation.ended_ns is not None else reason_left(recording.folder) or "the supervisor was killed"
    bundle = finish_run(recording, store, writer, observation, intake, code, ends.prefix, cut, tables)
    return {
        "run_id": bundle.run_id,
        "summary": summary_line(bundle),
        "exact": not any(not hazard.exact for hazard in bundle.determinism.hazards),
    }


def _listen(ends: RecorderEnds) -> threading.Event:
    """Learn, in a thread, when the job has ended; take the relays over if the main process dies before."""
    over = threading.Event()

    def listen() -> None:
        while True:
            try:
                said = os.read(ends.control, 1)
            except OSError:
                said = b""
            if not said.isdigit():
                break
            ends.relays[int(said)].open = False
            os.close(ends.relays[int(said)].source)
        if not said:
            from reenact.capture.remains import serve_remains  # noqa: PLC0415 - only when the main process was killed

            serve_remains(ends.relays, -1)
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    return over


def _status(folder: str) -> int | None:
    try:
        with open(f"{folder}/exit", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _streams(folder: str, described: dict[str, dict[str, Any]], intake: Intake, sorted_: Sorted) -> dict[str, Stream]:
    """Give each standard stream the bytes that went through it."""
    found = {}
    for name, facts in described.items():
        pointer = None
        content, whole = _take_spool(f"{folder}/{name}", intake)
        if content is not None:
            kind = media_type(name, content.head)
            pointer = Pointer(digest=content.digest, size_bytes=content.size_bytes, media_type=kind)
        if pointer is None and facts["kind"] not in ("null", "closed"):
            sorted_.unobserved[f"launch.{name}.pointer"] = _why_no_stream(name, facts)
        truncated = not whole or os.path.exists(f"{folder}/{name}.truncated")
        found[name] = stream_of(facts, pointer, truncated=truncated)
    return found


def _take_spool(path: str, intake: Intake) -> tuple[Content | None, bool]:
    """Store what went through a stream, if it was copied; and tell whether that is all of it."""
    try:
        return intake.take_file(path, inside=False)[1], True
    except FileNotFoundError:
        return None, True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    # What outlives the job is still writing: keep what there is now.
    with open(path, "rb") as source, open(f"{path}.now", "wb") as copy:
        left = os.fstat(source.fileno()).st_size
        while left > 0 and (done := os.sendfile(copy.fileno(), source.fileno(), None, left)):
            left -= done
    return intake.take_file(f"{path}.now", inside=False)[1], False


def _why_no_stream(name: str, facts: dict[str, Any]) -> str:
    if facts.get("same_as"):
        return f"it is one with {facts['same_as']}"
    if facts["kind"] == "file":
        return "it was a file, which is an artifact by itself"
    if facts["kind"] == "terminal":
        return "a terminal is passed through as it is"
    if facts["kind"] == "other":
        return f"{name} was something that cannot be read back, and is passed through as it is"
    return f"{name} was a {facts['kind']}, which is passed through as it is"


def _listings(observation: Observation, writer: ObjectWriter, classifier: Classifier) -> Digest | None:
    """Keep the order in which the names in folders were given; None where none was listed."""
    found = orders.recorded(observation, classifier.is_environment)
    if found is None:
        return None
    kept = {to_text(folder): [to_text(name) for name in names] for folder, names in found.items()}
    return writer.add_bytes(canonical.dumps_plain(kept))


def _stat_facts(observation: Observation, writer: ObjectWriter) -> Digest | None:
    """Keep inode numbers and change times where a program that was executed compares them."""
    programs = {path.rpartition("/")[2] for p in observation.processes.values() for _, path, _, _ in p.programs}
    if not programs & _STAT_SENSITIVE:
        return None
    facts = {
        to_text(path): [
            r.device,
            str(r.inode),
            r.links,
            str(r.ctime_ns),
            r.blocks,
            r.uid,
            r.gid,
            r.mode,
            r.size,
            str(r.mtime_ns),
            r.rdev,
        ]
        for path, r in observation.paths.items()
    }
    return writer.add_bytes(canonical.dumps_plain(facts))


def _changed_outside(observation: Observation, lstat: Callable[[str], os.stat_result]) -> set[str]:
    """Find inputs that are not any more what they were, though the run did not touch them."""
    found = set()
    for path, record_ in observation.paths.items():
        if not record_.needed or record_.changes or record_.now_at is not None or path.startswith("/sys/"):
            continue
        try:
            now = lstat(path)
        except OSError:
            found.add(path)
            continue
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (record_.size, record_.mtime_ns, record_.inode):
            found.add(path)
    return found


def _changed_later(folder: str, made: list[Artifact], lstat: Callable[[str], os.stat_result]) -> list[Gap]:
    """Name the outputs of a recording that was cut off which changed after its last record: it does not tell by whom."""
    last_ns = os.stat(f"{folder}/events").st_mtime_ns
    message = "it changed after the last that was recorded: whether by the run is not known"
    found = []
    for artifact in made:
        if artifact.entry.type != "file" or "deleted" in artifact.access:
            continue
        with contextlib.suppress(OSError):
            if lstat(from_text(artifact.entry.path)).st_ctime_ns > last_ns:
                found.append(Gap(code="changed-later", message=message, subject=artifact.name))
    return found


def finish_run(
    recording: Recording,
    store: Store,
    writer: ObjectWriter,
    observation: Observation,
    intake: Intake,
    code: CodeObserver,
    prefix: str,
    cut: str,
    tables: TableReader | None = None,
) -> Bundle:
    """Store the outputs, freeze the bundle, commit, seal, and remove the journal.

    Args:
        cut: Why the recording did not reach its end; empty when it did.
        tables: Reads tables among the outputs; None for one that is not warm yet.

    Raises:
        StoreError: something cannot be stored; then there is no run, and its journal stays.
    """
    begun = time.monotonic_ns()
    header = observation.header

    def lstat(path: str) -> os.stat_result:
        return os.lstat(prefix + path)

    def exists(path: str) -> bool:
        return os.path.lexists(prefix + path)

    for path_record in observation.paths.values():
        if path_record.needed:
            intake.take(path_record)
    made, output_causes, unread = outputs(observation, intake, header["root"], lstat, prefix)
    executed = {path for p in observation.processes.values() for _, path, _, _ in p.programs}
    classifier = Classifier(
        root=header["root"], cwd=header["cwd"], home=header["home"], executed=executed, seen=observation.paths
    )
    pointers = Pointers(header)
    found = inputs(observation, intake, classifier, header["root"], exists, prefix, pointers.origin)
    found.unobserved.update(output_causes)
    found.unobserved.update(
        {f"inputs[{name}].pointer.origin.version": reason for name, reason in pointers.unobserved.items()}
    )
    tables = tables or TableReader(header.get("facts_max_bytes", 0))
    tables.ask(made, lambda artifact: prefix + from_text(artifact.entry.path))
    changed = intake.changed | _changed_outside(observation, lstat)
    streams = _streams(recording.folder, header["streams"], intake, found)
    sealed = recording.environment_mode == "sealed"
    manifest_digest = writer.add_bytes(manifest.dump(found.environment)) if sealed else None
    programs = {path: intake.contents[path].digest for path in executed if path in intake.contents}
    environment_hazards: list[Hazard] = []
    if recording.as_described is not None:
        original = recording.as_described
        environment = structs.replace(original.environment, manifest=manifest_digest)
        observed_code = original.code
        found.unobserved.update(
            {at: why for at, why in original.unobserved.items() if at.startswith(("environment.", "code."))}
        )
    else:
        environment, environment_hazards, causes = describe(
            variables=header["variables"],
            redacted=header["redacted"],
            paths=sorted(path for path, r in observation.paths.items() if r.needed and classifier.is_environment(path)),
            programs=programs,
            manifest=manifest_digest,
            mode=recording.environment_mode,
            cache=os.fspath(store.cache),
            put=writer.add_bytes,
        )
        code_paths = [p for p, r in observation.paths.items() if r.needed and not classifier.is_environment(p)]
        first = _first_program(observation)
        observed_code, code_causes = code.finish(code_paths, header["argv"], cwd=header["cwd"], executable=first)
        found.unobserved.update({**causes, **code_causes})
    made, fact_causes = tables.outputs()
    found.unobserved.update(fact_causes)
    absent = "".join(f"{to_text(path)}\n" for path in sorted(observation.absent))
    parts = Frozen(
        inputs=found.artifacts,
        outputs=made,
        streams=streams,
        code=observed_code,
        environment=environment,
        executables=programs,
        status=_status(recording.folder),
        incomplete=cut,
        absent=writer.add_bytes(absent.encode()),
        host_files=writer.add_bytes(manifest.dump(found.host)) if found.host else None,
        listings=_listings(observation, writer, classifier),
        stat_facts=_stat_facts(observation, writer),
        unobserved=found.unobserved,
    )
    names = [to_text(path) for path in sorted(changed)]
    parts.hazards = [*environment_hazards, *hazard_rules.from_inputs([*found.lost, *unread], names, cut=bool(cut))]
    parts.hazards += hazard_rules.from_pointers(found.artifacts)
    parts.hazards += hazard_rules.from_streams(
        streams["stdin"].kind, kept=streams["stdin"].pointer is not None, truncated=streams["stdin"].truncated
    )
    if cut:
        parts.gaps = _changed_later(recording.folder, made, lstat)
    writer.commit()
    parts.overhead_us = (time.monotonic_ns() - begun) // 1000
    bundle = freeze(observation, parts)
    recording.seal(store, bundle)
    remember(store, intake, bundle)
    remove_journal(recording.folder)
    return bundle


def _first_program(observation: Observation) -> str | None:
    root = observation.processes.get("1")
    return root.programs[0][1] if root is not None and root.programs else None


def remember(store: Store, intake: Intake, bundle: Bundle) -> None:
    """Let the caches learn what was read and written; a failure costs time or room only."""
    from reenact.store.statcache import Remembered  # noqa: PLC0415 - late, like all that is not needed at the start

    store.stats.remember_many([Remembered(*item) for item in intake.fresh])
    Earlier(store, bundle.job).remember(bundle)


def remove_journal(folder: str) -> None:
    """Delete a run's journal folder: the run is in the store."""
    for base, folders, names in os.walk(folder, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(f"{base}/{name}")
        for name in folders:
            with contextlib.suppress(OSError):
                os.rmdir(f"{base}/{name}")
    with contextlib.suppress(OSError):
        os.rmdir(folder)
