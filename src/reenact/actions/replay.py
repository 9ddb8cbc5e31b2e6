"""Replay a run: plan, lay out its world, execute, judge, attest."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import reenact
from reenact import clock, ids
from reenact.actions.opening import opened, peek_bundle, read_sealed
from reenact.actions.placing import place
from reenact.actions.plan import Prepared, prepare, worlds_folder
from reenact.actions.sealing import fingerprint_key, seal_bundle, seal_verdict
from reenact.capture.live import begin
from reenact.capture.recorder import remove_journal
from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.capture.trace.stat_answers import Facts
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, SandboxError, UnreplayableError
from reenact.ids import RunId
from reenact.model import manifest as manifests
from reenact.model.artifact import Entry
from reenact.model.bundle import SCHEMA_VERSION, Bundle
from reenact.model.paths import from_text
from reenact.model.verdict import OutputJudgement, Overall, Verdict, overall
from reenact.replay.execute import Execution, execute
from reenact.replay.judge import Evidence, judge
from reenact.replay.world import not_isolated, open_world
from reenact.store.opening import open_store

if TYPE_CHECKING:
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["ReplayRequest", "ReplayResult", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What to replay, and what to do with what it makes."""

    reference: str
    dry_run: bool = False
    to: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """The answer (design: `reenact replay --json`)."""

    verdict: Overall
    run_id: str
    replay_run_id: str | None
    rung: str | None
    outputs: tuple[OutputJudgement, ...] = ()
    missing: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    not_isolated: tuple[str, ...] = ()
    seconds: float = 0.0


def replay(settings: Settings, request: ReplayRequest) -> ReplayResult:
    """Run a recorded run again from the record alone, and judge it.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record is not what was signed.
        SandboxError: the closed world cannot be entered, though trying said so.
        StoreError: the replay cannot be stored.
    """
    begun = time.monotonic()
    store = opened(settings)
    prepared = prepare(store, request.reference)
    bundle, plan = prepared.bundle, prepared.plan
    hazards = tuple(f"{hazard.code}: {hazard.message}" for hazard in plan.hazards)
    if not plan.replayable or prepared.manifest is None:
        return ReplayResult(
            verdict="unreplayable",
            run_id=bundle.run_id,
            replay_run_id=None,
            rung=plan.rung,
            missing=plan.missing,
            drift=plan.drift,
            hazards=hazards,
            seconds=time.monotonic() - begun,
        )
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(_scratch_store()) if request.dry_run else store
        again, notes = _run_again(settings, store, target, prepared)
        outputs, unrecorded = judge(_evidence(store, bundle), _evidence(target, again))
        verdict = Verdict(
            schema_version=SCHEMA_VERSION,
            run_id=bundle.run_id,
            replay_run_id=again.run_id,
            verdict=overall(outputs, unrecorded),
            rung="world",
            not_isolated=notes,
            judged_at=clock.timestamp(),
            outputs=outputs,
            bundle_digest=of_bytes(read_sealed(store, store.runs.envelope(RunId(bundle.run_id))).payload),
            unrecorded=unrecorded,
            drift=plan.drift,
            hazards=hazards,
            tool_version=reenact.__version__,
        )
        if not request.dry_run:
            seal_verdict(store, verdict)
        if request.to is not None:
            place(
                target.objects, [a for a in again.outputs if not a.temporary and "deleted" not in a.access], request.to
            )
    return ReplayResult(
        verdict=verdict.verdict,
        run_id=bundle.run_id,
        replay_run_id=None if request.dry_run else again.run_id,
        rung="world",
        outputs=outputs,
        unrecorded=unrecorded,
        drift=plan.drift,
        hazards=hazards,
        not_isolated=notes,
        seconds=time.monotonic() - begun,
    )


@contextlib.contextmanager
def _scratch_store() -> Iterator[Store]:
    """Give a store that is deleted at the end: a dry run keeps nothing."""
    folder = tempfile.mkdtemp(prefix="reenact-dry-run-")
    try:
        yield open_store(f"{folder}/store", create=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _secrets(redactor: Redactor, bundle: Bundle) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Put back the secrets that are at hand in this process's own environment.

    Returns:
        The command, the variables, and a note for every secret that is not at hand: the job then gets the marker instead.
    """
    candidates = dict(os.environ)
    redactor.learn(candidates)
    notes = []
    variables = {}
    for name, text in bundle.environment.variables.items():
        value = redactor.restore(from_text(text), candidates)
        if value is None:
            notes.append(f"a secret in variable {name} is not at hand: the job was given a marker in its place")
        variables[from_text(name)] = from_text(text) if value is None else value
    for name, fingerprint in bundle.environment.redacted.items():
        key = from_text(name)
        if key in candidates and redactor.fingerprint(candidates[key]) == fingerprint:
            variables[key] = candidates[key]
        else:
            state = "differs from the recorded one" if key in candidates else "is not at hand"
            notes.append(f"secret {name} {state}: the job was given a marker in its place")
            variables[key] = f"‹redacted:{key}›"
    argv = []
    for number, word in enumerate(bundle.launch.argv):
        restored = redactor.restore(from_text(word), candidates)
        if restored is None:
            notes.append(f"a secret in argument {number} is not at hand: the job was given a marker in its place")
        argv.append(from_text(word) if restored is None else restored)
    return tuple(argv), variables, notes


def _run_again(settings: Settings, store: Store, target: Store, prepared: Prepared) -> tuple[Bundle, tuple[str, ...]]:
    """Execute the recorded command in its world; give the new record, and what the world does not keep apart.

    Args:
        store: Where the record is.
        target: Where the replay is stored.
    """
    bundle, manifest = prepared.bundle, prepared.manifest
    if manifest is None:
        raise UnreplayableError("the sealed environment cannot be read")
    redactor = Redactor(
        fingerprint_key(store.location, store.id), patterns=settings.redact.patterns, allow=settings.redact.allow
    )
    argv, variables, notes = _secrets(redactor, bundle)
    started = time.time_ns()
    run_id = ids.new_run_id(started)
    stdin = bundle.launch.stdin.pointer
    journal = begin(target.location, run_id)
    host = prepared.host_files.entries if prepared.host_files is not None else ()
    try:
        with open_world(
            bundle,
            manifest,
            source=store.objects,
            cache=worlds_folder(store),
            probe=prepared.probe,
            limit_bytes=settings.replay.cache_max_bytes,
            host=host,
        ) as world:
            execution = Execution(
                run_id=run_id,
                started_ns=started,
                journal=journal,
                argv=argv,
                environment=variables,
                stdin=store.objects.read(stdin.digest) if stdin is not None else None,
                redact=redactor.argv,
                new_filter=lambda: StreamRedactor(redactor),
                stream_max_bytes=settings.capture.stream_max_bytes,
                preimage_max_bytes=settings.capture.preimage_max_bytes,
                timeout_seconds=settings.replay.timeout_seconds,
                stat_facts=_stat_facts(settings, store, bundle),
                open_store=lambda: open_store(target.location, create=False),
                seal=seal_bundle,
            )
            ending = execute(bundle, manifest, world, execution)
    except BaseException:
        remove_journal(journal.folder)
        raise
    if ending.result is None or "run_id" not in ending.result:
        reason = ending.result["error"] if ending.result else "the recorder was killed"
        raise SandboxError(f"the replay could not be recorded, so nothing can be said of it: {reason}")
    if ending.refused:
        raise SandboxError(f"the replay could not be observed: {ending.refused}")
    mode, _ = prepared.probe.require()
    return peek_bundle(target, RunId(run_id)), (*not_isolated(bundle.launch, mode), *notes)


def _stat_facts(settings: Settings, store: Store, bundle: Bundle) -> dict[str, Facts] | None:
    """Read what stat is to be answered, where the record holds it and the settings do not say otherwise."""
    digest = bundle.capture.stat_facts
    if digest is None or settings.replay.stat == "never":
        return None
    return {from_text(path): tuple(facts) for path, facts in json.loads(store.objects.read(digest)).items()}


def _evidence(store: Store, bundle: Bundle) -> Evidence:
    """Gather what a record names besides itself."""
    entries: list[Entry] = []
    for digest in (bundle.environment.manifest, bundle.capture.host_files):
        if digest is not None:
            with contextlib.suppress(IntegrityError):
                entries += manifests.load(store.objects.read(digest)).entries
    absent: list[str] = []
    if bundle.capture.absent is not None:
        with contextlib.suppress(IntegrityError):
            absent = store.objects.read(bundle.capture.absent).decode("utf-8").splitlines()
    return Evidence(bundle=bundle, entries=tuple(entries), absent=tuple(absent))
