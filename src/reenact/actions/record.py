"""Record a command: choose the way of observing, run it, and say what was recorded."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from reenact import ids
from reenact.actions.sealing import ensure_logged, fingerprint_key, key_places, seal_bundle
from reenact.capture.conditions import conditions
from reenact.capture.live import LiveRun, begin, run_live
from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.capture.rungs.choose import choose
from reenact.capture.session import Command, Session
from reenact.capture.trace import listener
from reenact.errors import ReenactError, UsageError
from reenact.settings import job_name

if TYPE_CHECKING:
    from reenact.capture.nesting import Outer, Parent
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["RunRequest", "RunResult", "record"]

_SIGNAL_BASE: Final = 128


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
    parent = None
    if listener.refusal() == errno.EBUSY:
        from reenact.capture.nesting import parent_run  # noqa: PLC0415 - only inside another recording

        parent = parent_run()
        if parent is None:
            # Inside a replay: its closed world holds no store of ours, and the command is what counts.
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
    location: str
    run: LiveRun


def _store_id(location: str) -> str:
    """Read a store's id the quick way; make the store on first use."""
    try:
        with open(f"{location}/store.json", "rb") as file:
            found = json.load(file)["id"]
        return str(found)
    except (OSError, ValueError, KeyError, TypeError):
        from reenact.store.opening import open_store  # noqa: PLC0415 - only on first use

        return open_store(location, create=True).id


def _prepare(settings: Settings, request: RunRequest, parent: Parent | None) -> _Prepared:
    location = settings.store
    started = time.time_ns()
    run_id = ids.new_run_id(started)
    ours = tuple(os.path.realpath(folder) for folder in (location, *key_places(location)))
    outer = _reach(parent, ours) if parent is not None else None
    store_id = _store_id(location)
    redactor = Redactor(
        fingerprint_key(location, store_id), patterns=settings.redact.patterns, allow=settings.redact.allow
    )
    environment = dict(os.environ)
    wanted = request.rung or settings.capture.rung
    joins = outer is not None and wanted in ("auto", "kernel")
    if outer is not None and not joins:
        outer.close()
    rung = None if joins else choose(wanted, settings, request.argv, environment)
    redactor.learn(environment, request.argv, request.parameters)
    journal = begin(location, run_id)
    session = Session(
        Command(argv=request.argv, environment=rung.environment(environment) if rung else environment),
        journal.folder,
        settings.capture.stream_max_bytes,
        lambda: StreamRedactor(redactor),
        instead_of_filter=rung.enter if rung else _observed_by_the_outer_run if joins else None,
    )
    variables, redacted = redactor.variables(environment)
    header = {
        **conditions(),
        "parent_run_id": parent.run_id if parent is not None else None,
        "run_id": run_id,
        "started_ns": started,
        "job": request.job or settings.job or job_name(request.argv),
        "argv": list(redactor.argv(request.argv)),
        "cwd": os.getcwd(),
        "root": settings.root,
        "home": environment.get("HOME", ""),
        "streams": session.prepare(),
        "variables": variables,
        "redacted": redacted,
        "parameters": redactor.parameters(request.parameters),
        "labels": redactor.parameters(request.labels),
        "rung": rung.name if rung else "kernel",
        "environment_mode": settings.capture.environment,
    }

    def opened() -> Store:
        # In the recorder, while the job starts.
        from reenact.actions.keeping import delta_policy  # noqa: PLC0415
        from reenact.store.opening import open_store  # noqa: PLC0415

        return open_store(location, create=True, deltas=delta_policy(settings))

    linger = request.linger_seconds
    run = LiveRun(
        journal=journal,
        header=header,
        session=session,
        redact=redactor.argv,
        open_store=opened,
        seal=seal_bundle,
        ignored=ours,
        preimage_max_bytes=settings.capture.preimage_max_bytes,
        linger_seconds=settings.capture.linger_seconds if linger is None else linger,
        observe=rung.observe if rung else None,
        outer=outer if joins else None,
        secrets=redactor.state,
    )
    return _Prepared(location=location, run=run)


def _reach(parent: Parent, ours: tuple[str, ...]) -> Outer | None:
    from reenact.capture.nesting import Outer  # noqa: PLC0415 - only inside another recording

    return Outer.reach(parent.folder, ours)


def _observed_by_the_outer_run() -> None:
    """Stand for: the filter of the recording around this one holds for the job, too."""


def _run(prepared: _Prepared) -> RunResult:
    ending = run_live(prepared.run)
    code = os.waitstatus_to_exitcode(ending.status)
    signal = -code if code < 0 else None
    result = ending.result if ending.result is not None else _recover(prepared)
    exit_code = _SIGNAL_BASE - code if code < 0 else code
    if "error" in result:
        line = f"reenact: not recorded: {result['error']}"
        return RunResult(exit_code=exit_code, signal=signal, summary_line=line)
    return RunResult(exit_code=exit_code, signal=signal, run_id=result["run_id"], summary_line=result["summary"])


def _recover(prepared: _Prepared) -> dict[str, Any]:
    """The recorder was killed: finish the run here, from its journal."""
    from reenact.capture.recover import recover  # noqa: PLC0415 - the rare case
    from reenact.model.summary import summary_line  # noqa: PLC0415

    folder = prepared.run.journal.folder
    reason = "the recorder was killed"
    for name in ("reenact-record", "reenact-super"):
        with contextlib.suppress(OSError), open(f"{folder}/{name}.error", encoding="utf-8") as file:
            reason = f"the recorder failed: {file.read()}"
    try:
        bundle = recover(prepared.run.open_store(), folder, seal_bundle, reason, ensure_logged)
    except (ReenactError, OSError) as error:
        return {"error": f"{reason}; {error}"}
    if bundle is None:
        return {"error": reason}
    return {"run_id": bundle.run_id, "summary": summary_line(bundle)}
