"""Replay a run: plan, lay out its world or its folder, execute, judge, attest."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import reenact
from reenact import clock
from reenact.actions.contents import StoredContents
from reenact.actions.execution import evidence_of, run_again
from reenact.actions.opening import opened, read_sealed
from reenact.actions.placing import place
from reenact.actions.plan import Prepared, prepare
from reenact.actions.sealing import seal_verdict, seal_with
from reenact.compare.result import Comparison
from reenact.digests import of_bytes
from reenact.errors import StoreError, UnreplayableError
from reenact.ids import RunId
from reenact.model.bundle import SCHEMA_VERSION
from reenact.model.verdict import OutputJudgement, Overall, Verdict, overall
from reenact.replay.judge import judge
from reenact.replay.rungs import RUNGS, ReplayRung
from reenact.store.opening import open_store

if TYPE_CHECKING:
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["ReplayRequest", "ReplayResult", "replay", "scratch_store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What to replay, how, and what to do with what it makes."""

    reference: str
    dry_run: bool = False
    to: Path | None = None
    rung: ReplayRung | Literal["auto"] = "world"


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
    passed_over: tuple[str, ...] = ()
    """Higher rungs that were not possible, each with a reason; only where the rung was left to us."""
    variations: dict[str, str] = field(default_factory=dict)
    """What was another than in the record, as in the verdict."""
    notes: tuple[str, ...] = ()
    """What of a variation is not as complete as one may think."""
    summary: str = ""
    """What a varied replay showed, in a line."""
    seconds: float = 0.0
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """What is in outputs that are not the same bytes, by name; with values of the data, so it is in no signed verdict."""


def replay(settings: Settings, request: ReplayRequest) -> ReplayResult:
    """Run a recorded run again from the record, and judge it.

    With the rung ``auto`` the best possible one is taken. What is damaged in the store does not make a higher rung impossible
    but wrong, so nothing lower is tried then.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record is not what was signed.
        SandboxError: the replay cannot be started or observed, though trying said so.
        StoreError: the replay cannot be stored.
    """
    begun = time.monotonic()
    store = opened(settings)
    if store.access.read_only and not request.dry_run:
        raise StoreError(
            f"the replay could not be kept: the store at {store.location} is opened for reading only",
            hint="--dry-run keeps nothing; or see storage.read_only",
        )
    rungs = RUNGS if request.rung == "auto" else (request.rung,)
    passed_over: list[str] = []
    result = None
    for rung in rungs:
        prepared = prepare(store, request.reference, rung, settings)
        result = _on_rung(settings, store, request, prepared, rung, tuple(passed_over))
        if result.verdict != "unreplayable" or _is_damaged(prepared):
            break
        passed_over += [f"{rung}: {reason}" for reason in result.missing]
    if result is None:
        raise UnreplayableError("no rung was to be tried")
    if result.verdict == "unreplayable" and request.rung == "auto":
        missing = passed_over or list(result.missing)
        result = replace(result, rung=None, missing=tuple(missing), passed_over=())
    return replace(result, seconds=time.monotonic() - begun)


def _is_damaged(prepared: Prepared) -> bool:
    return any(lack.problem == "damaged" for lack in prepared.plan.lacks)


def _on_rung(
    settings: Settings,
    store: Store,
    request: ReplayRequest,
    prepared: Prepared,
    rung: ReplayRung,
    passed_over: tuple[str, ...],
) -> ReplayResult:
    """Replay on one rung; the answer is `unreplayable` when that is impossible here, and nothing was executed then."""
    bundle, plan = prepared.bundle, prepared.plan
    told = ReplayResult(
        verdict="unreplayable",
        run_id=bundle.run_id,
        replay_run_id=None,
        rung=plan.rung,
        missing=plan.missing,
        drift=plan.drift,
        hazards=tuple(f"{hazard.code}: {hazard.message}" for hazard in plan.hazards),
        passed_over=passed_over,
    )
    if not plan.replayable:
        return told
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(scratch_store()) if request.dry_run else store
        try:
            again = run_again(settings, store, target, prepared)
        except UnreplayableError as error:
            return replace(told, missing=(str(error),))
        declared = bundle.determinism.tolerances
        contents = StoredContents(settings, store.objects, target.objects, tolerances=declared)
        outputs, unrecorded = judge(evidence_of(store, bundle), again.evidence, contents)
        unrecorded = tuple(sorted((*unrecorded, *again.escaped)))
        verdict = Verdict(
            schema_version=SCHEMA_VERSION,
            run_id=bundle.run_id,
            replay_run_id=again.bundle.run_id,
            verdict=overall(outputs, unrecorded),
            rung=rung,
            not_isolated=again.not_isolated,
            judged_at=clock.timestamp(),
            outputs=outputs,
            bundle_digest=of_bytes(read_sealed(store, store.runs.envelope(RunId(bundle.run_id))).payload),
            unrecorded=unrecorded,
            drift=(*plan.drift, *again.drift),
            hazards=told.hazards,
            tool_version=reenact.__version__,
            passed_over=passed_over,
        )
        if not request.dry_run:
            seal_verdict(store, verdict, seal_with(settings))
        if request.to is not None:
            made = again.evidence.bundle.outputs
            place(target.objects, [a for a in made if not a.temporary and "deleted" not in a.access], request.to)
    return replace(
        told,
        verdict=verdict.verdict,
        replay_run_id=None if request.dry_run else again.bundle.run_id,
        rung=rung,
        outputs=outputs,
        unrecorded=unrecorded,
        drift=verdict.drift,
        not_isolated=again.not_isolated,
        comparisons=contents.found,
    )


@contextlib.contextmanager
def scratch_store() -> Iterator[Store]:
    """Give a store that is deleted at the end: a dry run keeps nothing, and a search only its answer."""
    folder = tempfile.mkdtemp(prefix="reenact-dry-run-")
    try:
        yield open_store(f"{folder}/store", create=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
