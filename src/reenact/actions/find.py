"""Find runs and show one. Reads the records themselves; a listing trusts them, showing one checks its signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reenact.actions.opening import Signature, opened, peek_bundle, peek_verdict, read_sealed, resolve
from reenact.errors import IntegrityError, MalformedBundle
from reenact.ids import RunId, started_ms
from reenact.model import statement, summary
from reenact.model.bundle import Bundle
from reenact.model.verdict import Verdict
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["RunFilter", "RunRow", "ShownRun", "list_runs", "matches", "show_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are wanted: all that fit everything that is given."""

    job: str | None = None
    source: str | None = None
    """Name or digest of an input, or a source version."""
    transformation: str | None = None
    """Name of a step."""
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    status: str | None = None
    package: str | None = None
    """``name`` or ``name==version``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    """Of the latest replay."""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run in a listing."""

    run_id: str
    job: str
    status: str
    """As in the bundle, or ``unreadable``."""
    timestamp: str
    exit_code: int | None = None
    seconds: float | None = None
    inputs: int = 0
    outputs: int = 0
    code: str | None = None
    """Commit and number of files that differ from it."""
    verdict: str | None = None
    """Of the latest replay."""
    replay_of: str | None = None
    replayable: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """One run in full."""

    bundle: Bundle
    signature: Signature
    verdicts: tuple[Verdict, ...]
    """Of its replays, oldest first; those whose signature is good."""
    seconds: float | None
    code: str | None
    replayable: str
    stays: str | None = None
    """Why it cannot be pruned: a hold, or that it is a baseline."""


def list_runs(settings: Settings, wanted: RunFilter) -> list[RunRow]:
    """List the runs that fit, the newest first. Costs a read of each run that may fit until the limit is reached."""
    store = opened(settings)
    rows: list[RunRow] = []
    for row in _rows(store, wanted):
        rows.append(row)
        if wanted.limit is not None and len(rows) >= wanted.limit:
            break
    return rows


def _rows(store: Store, wanted: RunFilter) -> Iterator[RunRow]:
    for run_id in reversed(store.runs.ids()):
        # An id begins with its time, so runs outside the wanted period are not even read.
        started = started_ms(run_id) / 1000
        if wanted.until is not None and started >= wanted.until.timestamp():
            continue
        if wanted.since is not None and started < int(wanted.since.timestamp() * 1000) / 1000:
            return
        try:
            bundle = peek_bundle(store, run_id)
            verdict = _latest_verdict(store, run_id)
        except IntegrityError as error:
            if _only_times(wanted):
                yield RunRow(run_id=run_id, job="-", status="unreadable", timestamp="-", replayable=str(error))
            continue
        if matches(bundle, wanted) and wanted.verdict in {None, verdict}:
            yield _row(bundle, verdict)


def _only_times(wanted: RunFilter) -> bool:
    return wanted == RunFilter(since=wanted.since, until=wanted.until, limit=wanted.limit)


def _latest_verdict(store: Store, run_id: RunId) -> str | None:
    """Give the verdict of the latest replay of the record as it is: a varied one says nothing about the run."""
    for _, envelope in reversed(store.runs.verdicts(run_id)):
        verdict = peek_verdict(envelope)
        if not verdict.variations:
            return verdict.verdict
    return None


def _row(bundle: Bundle, verdict: str | None) -> RunRow:
    return RunRow(
        run_id=bundle.run_id,
        job=bundle.job,
        status=bundle.status,
        timestamp=bundle.timestamp,
        exit_code=bundle.exit_code,
        seconds=summary.seconds(bundle),
        inputs=len(summary.data_inputs(bundle)),
        outputs=len(summary.data_outputs(bundle)),
        code=summary.code_name(bundle),
        verdict=verdict,
        replay_of=bundle.replay_of,
        replayable=summary.replayable(bundle),
        parameters=bundle.parameters,
        labels=bundle.labels,
    )


def matches(bundle: Bundle, wanted: RunFilter) -> bool:
    """Tell whether a run fits, but for its times and verdict."""
    return (
        wanted.job in {None, bundle.job}
        and wanted.status in {None, bundle.status}
        and wanted.parameters.items() <= bundle.parameters.items()
        and wanted.labels.items() <= bundle.labels.items()
        and (wanted.transformation is None or any(t.name == wanted.transformation for t in bundle.transformation_map))
        and (wanted.source is None or _reads(bundle, wanted.source))
        and (wanted.package is None or _uses(bundle, wanted.package))
    )


def _reads(bundle: Bundle, source: str) -> bool:
    return source == bundle.source_version or any(
        source == artifact.name or (artifact.pointer is not None and source == artifact.pointer.digest)
        for artifact in bundle.inputs
    )


def _uses(bundle: Bundle, package: str) -> bool:
    name, _, version = package.partition("==")
    known = [(d.name, d.version) for d in bundle.environment.distributions]
    known += [(p.name, p.version) for p in bundle.environment.os_packages or ()]
    return any(_plain(name) == _plain(n) and version in {"", v} for n, v in known)


def _plain(name: str) -> str:
    """Names of packages are compared as PyPI does: without case, and ``-``, ``_`` and ``.`` are one."""
    return name.lower().replace("_", "-").replace(".", "-")


def show_run(settings: Settings, reference: str) -> ShownRun:
    """Show a run in full.

    Raises:
        RunNotFound: the reference names none, or several.
        IntegrityError: its bundle cannot be read at all. A bad signature is no exception: it is in the result.
    """
    store = opened(settings)
    run_id = resolve(store, reference)
    sealed = read_sealed(store, store.runs.envelope(run_id))
    bundle = statement.load_bundle(sealed.payload)
    return ShownRun(
        bundle=bundle,
        signature=sealed.signature,
        verdicts=tuple(_good_verdicts(store, run_id)),
        seconds=summary.seconds(bundle),
        code=summary.code_name(bundle),
        replayable=summary.replayable(bundle),
        stays=_stays(store, run_id),
    )


def _stays(store: Store, run_id: RunId) -> str | None:
    from reenact.actions.custody import baselines, held_runs  # noqa: PLC0415 - with it comes what signs

    try:
        # The log, which also tells of a hold whose record is gone, is long; `prune` reads it.
        found = held_runs(store, run_id) if store.custody.holds(run_id) else baselines(store, run_id)
    except MalformedBundle as error:
        return f"perhaps, for what would say so cannot be read: {error}"
    return found.get(run_id)


def _good_verdicts(store: Store, run_id: RunId) -> Iterator[Verdict]:
    for _, envelope in store.runs.verdicts(run_id):
        sealed = read_sealed(store, envelope)
        if sealed.signature.valid:
            yield statement.load_verdict(sealed.payload)
