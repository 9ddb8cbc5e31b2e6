"""Record a command: choose the way of observing, run it, and say what was recorded."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from reenact import ids
from reenact.actions.sealing import ensure_logged, fingerprint_key, key_places, prepare_sealing, seal_bundle, seal_with
from reenact.capture.live import Begun, LiveRun, RecorderTask, begin, describe, run_live, start_recorder
from reenact.capture.rungs.choose import choose
from reenact.capture.session import Command, Session
from reenact.capture.surroundings import inside_world, parent_run
from reenact.capture.trace import listener
from reenact.errors import ReenactError, StoreError, UsageError
from reenact.settings import job_name
from reenact.store.description import (
    Description,
    check_encryption,
    is_remote,
    journals_folder,
    private_folders,
    read_description,
)

if TYPE_CHECKING:
    from reenact.capture.nesting import Outer
    from reenact.capture.redact import Redactor
    from reenact.capture.redact_stream import StreamRedactor
    from reenact.capture.rungs.interface import Rung
    from reenact.capture.surroundings import Parent
    from reenact.ids import RunId
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["RunRequest", "RunResult", "record"]

_SIGNAL_BASE: Final = 128
_FIRST_MEETING_SECONDS: Final = 5.0
"""How long a server that does not answer is asked again while the job waits, which it does only for a store not known here."""
_TAKEN: Final = "listener-taken"
_TAKEN_MESSAGE: Final = (
    "this process tree is observed already, by what could not be asked to observe this run, too (another user's recording, "
    "another version's, a container's manager): a lower rung was used"
)


class RunRequest(NamedTuple):
    """What to record."""

    argv: tuple[str, ...]
    job: str | None = None
    parameters: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    rung: str | None = None
    linger_seconds: float | None = None
    store: str | None = None


class RunResult(NamedTuple):
    """How it went."""

    exit_code: int
    """Of the job; 128 + N when it was ended by signal N."""
    signal: int | None = None
    run_id: str | None = None
    summary_line: str | None = None
    """For standard error: what was recorded, or why nothing was."""


def record(settings: Settings, request: RunRequest) -> RunResult:
    """Run a command and record it. Whatever happens to the recording, the command runs and its status is given."""
    parent = parent_run()
    if inside_world() if parent is None else parent.replays:
        # Inside a replay the command is what counts: it is recorded already, as a part of what is replayed.
        _become(request.argv)
    try:
        prepared = _prepare(settings, request, parent)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - observing never breaks the job
        _run_unrecorded(request.argv, str(error) or type(error).__name__)
    result = _run(prepared)
    # Nested, the line would be part of what the outer job wrote, and differ in every replay; the outer run knows its child.
    return result if parent is None else result._replace(summary_line=None)


def _declared(settings: Settings) -> dict[str, str]:
    """Give what was declared to count as equal, in the words of a settings file, so that it holds for every replay of the run."""
    if not settings.outputs:
        return {}
    from reenact.compare.policy import DECLARED, as_toml, policies  # noqa: PLC0415 - most runs declare nothing

    return {DECLARED: "\n".join(map(as_toml, policies(settings.outputs)))}


def _say(message: str) -> None:
    """Say something on standard error, if there is one."""
    with contextlib.suppress(OSError):
        os.write(2, f"reenact: {message}\n".encode(errors="surrogateescape"))


def _run_unrecorded(argv: tuple[str, ...], reason: str) -> NoReturn:
    """Become the command: observing never breaks the job."""
    _say(f"not recorded: {reason}")
    _become(argv)


def _become(argv: tuple[str, ...]) -> NoReturn:
    try:
        os.execvp(argv[0], argv)
    except (FileNotFoundError, NotADirectoryError):
        _say(f"{argv[0]}: command not found")
        os._exit(127)
    except OSError as error:
        _say(f"{argv[0]}: {error.strerror}")
        os._exit(126)


class _Prepared(NamedTuple):
    settings: Settings
    begun: Begun
    run: LiveRun


class _Start(NamedTuple):
    """A run whose recorder is there."""

    run_id: RunId
    started_ns: int
    rung: Rung | None
    streams: dict[str, dict[str, Any]]
    environment: dict[str, str]
    redactor: Callable[[], Redactor]
    begun: Begun
    refused: int
    """The errno with which the kernel refuses the rung that was wanted; 0 where it does not."""
    ours: tuple[str, ...]
    """Folders that are no part of the run."""


def _prepare(settings: Settings, request: RunRequest, parent: Parent | None) -> _Prepared:
    """Fork the recorder as soon as it can be told where the run goes, then find out what the run is."""
    start = _start(settings, request, parent)
    try:
        run = _live_run(settings, request, parent, start)
        describe(start.begun, run.header, _gaps(start))
    except BaseException:
        start.begun.session.give_up()
        raise
    return _Prepared(settings=settings, begun=start.begun, run=run)


def _start(settings: Settings, request: RunRequest, parent: Parent | None) -> _Start:
    location = settings.store
    if settings.storage.read_only:
        raise StoreError(f"the store at {location} is opened for reading only (storage.read_only)")
    started = time.time_ns()
    environment = dict(os.environ)
    described = read_description(location, environment)
    if described is not None:  # before anything about the job is written
        check_encryption(described, location, required=settings.storage.encryption == "required")
        if described.encryption is not None:
            from reenact.store.crypt.identities import require_identity  # noqa: PLC0415 - for encrypted stores only

            require_identity(location, environment)
    outer = _reach(parent, _ours(location, described)) if parent is not None else None
    wanted = request.rung or settings.capture.rung
    joins = outer is not None and wanted in ("auto", "kernel")
    if outer is not None and not joins:
        outer.close()
    if outer is None and (parent is not None or listener.refusal() == errno.EBUSY):
        from reenact.capture import exemption  # noqa: PLC0415 - only inside another recording

        exemption.ask(_ours(location, described))
    rung = None if joins else choose(wanted, settings, request.argv, environment)
    run_id = ids.new_run_id(started)
    described = described or _made(settings)
    journal = begin(journals_folder(location, described, environment), run_id)

    @cache
    def redactor() -> Redactor:
        return _redactor(settings, request, environment, described)

    def new_filter() -> StreamRedactor:
        from reenact.capture.redact_stream import StreamRedactor  # noqa: PLC0415 - only where a stream goes through us

        return StreamRedactor(redactor())

    session = Session(
        Command(argv=request.argv, environment=rung.environment(environment) if rung else environment),
        journal.folder,
        settings.capture.stream_max_bytes,
        new_filter,
        instead_of_filter=rung.enter if rung else _observed_by_the_outer_run if joins else None,
    )
    streams = session.prepare()
    task = RecorderTask(
        open_store=lambda: _open(settings),
        seal=lambda store, bundle: seal_bundle(store, bundle, seal_with(settings)),
        environment_mode=settings.capture.environment,
        prepare=lambda store: prepare_sealing(store, seal_with(settings)),
    )
    begun = start_recorder(journal, session, task, outer if joins else None)
    refused = listener.refusal() if rung is not None and wanted == "auto" else 0
    return _Start(run_id, started, rung, streams, environment, redactor, begun, refused, _ours(location, described))


def _gaps(start: _Start) -> list[tuple[str, str, str]]:
    """Name what keeps a run from the rung it would have had elsewhere."""
    return [(_TAKEN, _TAKEN_MESSAGE, "")] if start.refused == errno.EBUSY else []


def _live_run(settings: Settings, request: RunRequest, parent: Parent | None, start: _Start) -> LiveRun:
    redactor, rung, linger = start.redactor(), start.rung, request.linger_seconds
    return LiveRun(
        header={
            **_header(settings, request, redactor, start.environment),
            "parent_run_id": parent.run_id if parent is not None else None,
            "run_id": start.run_id,
            "started_ns": start.started_ns,
            "streams": start.streams,
            "rung": rung.name if rung else "kernel",
            **_pointers(settings, start),
        },
        redact=redactor.argv,
        ignored=start.ours,
        preimage_max_bytes=settings.capture.preimage_max_bytes,
        linger_seconds=settings.capture.linger_seconds if linger is None else linger,
        observe=rung.observe if rung else None,
        secrets=redactor.state,
    )


def _pointers(settings: Settings, start: _Start) -> dict[str, Any]:
    """Say which inputs are kept as pointers: none where what destroys a file is not stopped before it was kept."""
    if not settings.inputs or (start.rung is not None and start.rung.name == "strace"):
        return {}
    from reenact.capture.pointers import header_of_rules  # noqa: PLC0415 - few runs keep any

    return header_of_rules(settings.inputs)


def _open(settings: Settings, most_seconds: float | None = None) -> Store:
    # In the recorder, while the job starts, or on first use.
    from reenact.actions.keeping import access, delta_policy  # noqa: PLC0415
    from reenact.store.opening import open_store  # noqa: PLC0415

    how = access(settings)
    if most_seconds is not None:
        how = how._replace(retry_seconds=min(how.retry_seconds, most_seconds))
    return open_store(settings.store, create=True, deltas=delta_policy(settings), access=how)


def _ours(location: str, described: Description | None) -> tuple[str, ...]:
    """Name the folders that are no part of any run."""
    private = private_folders(described, os.environ) if described is not None else ()
    own = () if is_remote(location) else (location,)
    return tuple(os.path.realpath(folder) for folder in (*own, *private, *key_places(location)))


def _redactor(
    settings: Settings, request: RunRequest, environment: Mapping[str, str], described: Description
) -> Redactor:
    """Make what takes the secrets out of all that is kept of a run."""
    from reenact.capture.redact import Redactor  # noqa: PLC0415 - after the recorder was forked

    redact = settings.redact
    found = Redactor(fingerprint_key(settings.store, described.id), patterns=redact.patterns, allow=redact.allow)
    found.learn(environment, request.argv, request.parameters)
    return found


def _made(settings: Settings) -> Description:
    """Make the store, or say why it cannot be made or read."""
    if is_remote(settings.store):
        from reenact.actions.meeting import meet  # noqa: PLC0415 - the first time only

        return meet(settings.store, lambda: _open(settings, _FIRST_MEETING_SECONDS))
    _open(settings)
    found = read_description(settings.store, os.environ)
    if found is None:
        raise StoreError(f"there is no store at {settings.store}")
    return found


def _header(
    settings: Settings, request: RunRequest, redactor: Redactor, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Describe what is run and under what, without its secrets."""
    from reenact.capture.conditions import conditions  # noqa: PLC0415 - after the recorder was forked

    variables, redacted = redactor.variables(environment)
    return {
        **conditions(),
        "job": request.job or settings.job or job_name(request.argv),
        "argv": list(redactor.argv(request.argv)),
        "cwd": os.getcwd(),
        "root": settings.root,
        "home": environment.get("HOME", ""),
        "variables": variables,
        "redacted": redacted,
        "parameters": redactor.parameters(request.parameters),
        "labels": redactor.parameters(request.labels),
        "tolerances": _declared(settings),
        "environment_mode": settings.capture.environment,
        "facts_max_bytes": settings.compare.facts_max_bytes,
    }


def _reach(parent: Parent, ours: tuple[str, ...]) -> Outer | None:
    from reenact.capture.nesting import Outer  # noqa: PLC0415 - only inside another recording

    return Outer.reach(parent.folder, ours)


def _observed_by_the_outer_run() -> None:
    """Stand for: the filter of the recording around this one holds for the job, too."""


def _run(prepared: _Prepared) -> RunResult:
    ending = run_live(prepared.begun, prepared.run)
    code = os.waitstatus_to_exitcode(ending.status)
    signal = -code if code < 0 else None
    result = ending.result if ending.result is not None else _recover(prepared)
    exit_code = _SIGNAL_BASE - code if code < 0 else code
    if "error" in result:
        line = f"reenact: not recorded: {result['error']}"
        return RunResult(exit_code=exit_code, signal=signal, summary_line=line)
    line = result["summary"] + _not_sealed(prepared.begun.journal.folder, result["run_id"])
    return RunResult(exit_code=exit_code, signal=signal, run_id=result["run_id"], summary_line=line)


def _not_sealed(journal: str, run_id: str) -> str:
    """Say so where the signer could not be used; see `reenact.actions.unsealed`."""
    if os.path.exists(f"{os.path.dirname(journal)}/unsealed/{run_id}.json"):
        return "; NOT SIGNED yet: its signer cannot be used now, the next command will try again"
    return ""


def _recover(prepared: _Prepared) -> dict[str, Any]:
    """The recorder was killed: finish the run here, from its journal."""
    from reenact.capture.recover import recover  # noqa: PLC0415 - the rare case
    from reenact.model.summary import summary_line  # noqa: PLC0415

    folder = prepared.begun.journal.folder
    reason = "the recorder was killed"
    for name in ("reenact-record", "reenact-super"):
        with contextlib.suppress(OSError), open(f"{folder}/{name}.error", encoding="utf-8") as file:
            reason = f"the recorder failed: {file.read()}"
    try:
        how = seal_with(prepared.settings)
        bundle = recover(
            _open(prepared.settings),
            folder,
            lambda store, bundle: seal_bundle(store, bundle, how),
            reason,
            lambda store, run_id: ensure_logged(store, run_id, how),
        )
    except (ReenactError, OSError) as error:
        return {"error": f"{reason}; {error}"}
    if bundle is None:
        return {"error": reason}
    return {"run_id": bundle.run_id, "summary": summary_line(bundle)}
