"""Replay a run with something changed, and say which outputs are others then. The record itself is never touched.

The verdict is a signed statement like that of any replay, beside the run, with what was changed in it; its words are its own
(`unchanged`, `changed`, `unsure`), so that nobody takes it for a reproduction of the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import reenact
from reenact import clock
from reenact.actions.contents import StoredContents
from reenact.actions.execution import Again, evidence_of, redactor_of, run_again
from reenact.actions.opening import opened, read_sealed
from reenact.actions.placing import place
from reenact.actions.plan import Prepared, here, prepare
from reenact.actions.replay import ReplayRequest, ReplayResult, scratch_store
from reenact.actions.sealing import seal_verdict, seal_with
from reenact.actions.supplies import Supplies
from reenact.actions.varying import Variation, Varied, varied
from reenact.digests import Digest, of_bytes
from reenact.errors import UnreplayableError
from reenact.ids import RunId
from reenact.model.bundle import SCHEMA_VERSION, Bundle
from reenact.model.paths import to_text
from reenact.model.verdict import OutputJudgement, Verdict, overall_varied, varied_sentence
from reenact.replay.ingredients import Ingredients
from reenact.replay.judge import Contents, Evidence, Nothing, judge
from reenact.replay.plan import Plan, make_plan

if TYPE_CHECKING:
    from reenact.replay.interface import ObjectChecker, ObjectFinding
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["ingredients_of", "judged", "prepared_with", "what_if"]

_NOT_FOUND: Final = 127
_LAST_LINES: Final = 2


def what_if(settings: Settings, request: ReplayRequest, variation: Variation) -> ReplayResult:
    """Replay a run in its closed world with something changed.

    Args:
        settings: How.
        request: Which run, and what to do with what it makes; its rung is not looked at.
        variation: What to change.

    Raises:
        RunNotFound: no such run.
        UsageError: what is to be changed is none of the run's.
        IntegrityError: the record is not what was signed.
        SandboxError, StoreError: as for any replay.
    """
    begun = time.monotonic()
    store = opened(settings)
    base = prepare(store, request.reference, settings=settings)
    if base.manifest is None:
        return _told(base.plan, begun)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(scratch_store()) if request.dry_run else store
        try:
            supplies = stack.enter_context(Supplies(target))
            changed = varied(supplies, ingredients_of(store, base), variation, redactor_of(settings, store))
            prepared = prepared_with(store, base, changed.ingredients, supplied=changed.supplied)
            if not prepared.plan.replayable:
                return _told(prepared.plan, begun, changed)
            again = run_again(settings, store, target, prepared, secrets=changed.secrets)
        except UnreplayableError as error:
            return dataclasses.replace(_told(base.plan, begun), missing=(str(error),))
        result = _judged_result(settings, store, target, prepared, changed, again, seal=not request.dry_run)
        if request.to is not None:
            made = again.evidence.bundle.outputs
            place(target.objects, [a for a in made if not a.temporary and "deleted" not in a.access], request.to)
    return dataclasses.replace(result, seconds=time.monotonic() - begun)


def _judged_result(
    settings: Settings,
    store: Store,
    target: Store,
    prepared: Prepared,
    changed: Varied,
    again: Again,
    *,
    seal: bool,
) -> ReplayResult:
    """Judge a varied replay, and put its verdict beside the run where it is to be kept."""
    declared = prepared.bundle.determinism.tolerances
    contents = StoredContents(settings, store.objects, target.objects, tolerances=declared)
    outputs, unrecorded = judged(prepared, changed.ingredients, again, contents)
    unrecorded = tuple(sorted((*unrecorded, *_withheld(changed, again))))
    verdict = _verdict(store, prepared.plan, changed, again, outputs, unrecorded)
    if seal:
        seal_verdict(store, verdict, seal_with(settings))
    return dataclasses.replace(
        _told(prepared.plan, 0.0, changed),
        verdict=verdict.verdict,
        replay_run_id=again.bundle.run_id if seal else None,
        rung="world",
        outputs=outputs,
        unrecorded=unrecorded,
        not_isolated=again.not_isolated,
        notes=(*changed.notes, *_failure(prepared.bundle, again, target)),
        summary=varied_sentence(changed.changes, outputs),
        comparisons=contents.found,
    )


def _told(plan: Plan, begun: float, changed: Varied | None = None) -> ReplayResult:
    """Say what is known without executing anything."""
    return ReplayResult(
        verdict="unreplayable",
        run_id=plan.run_id,
        replay_run_id=None,
        rung=plan.rung,
        missing=plan.missing,
        drift=plan.drift,
        hazards=tuple(f"{hazard.code}: {hazard.message}" for hazard in plan.hazards),
        variations=changed.changes if changed is not None else {},
        notes=changed.notes if changed is not None else (),
        seconds=time.monotonic() - begun,
    )


def _verdict(
    store: Store,
    plan: Plan,
    changed: Varied,
    again: Again,
    outputs: tuple[OutputJudgement, ...],
    unrecorded: tuple[str, ...],
) -> Verdict:
    return Verdict(
        schema_version=SCHEMA_VERSION,
        run_id=plan.run_id,
        replay_run_id=again.bundle.run_id,
        verdict=overall_varied(outputs, unrecorded),
        rung="world",
        not_isolated=again.not_isolated,
        judged_at=clock.timestamp(),
        outputs=outputs,
        bundle_digest=of_bytes(read_sealed(store, store.runs.envelope(RunId(plan.run_id))).payload),
        unrecorded=unrecorded,
        drift=plan.drift,
        hazards=tuple(f"{hazard.code}: {hazard.message}" for hazard in plan.hazards),
        variations=changed.changes,
        tool_version=reenact.__version__,
    )


def ingredients_of(store: Store, prepared: Prepared) -> Ingredients:
    """Give what a prepared replay's world is made from.

    Raises:
        UnreplayableError: its sealed environment cannot be read.
    """
    if prepared.manifest is None:
        raise UnreplayableError("the sealed environment cannot be read", missing=prepared.plan.missing)
    absent = frozenset(evidence_of(store, prepared.bundle).absent)
    return Ingredients(bundle=prepared.bundle, manifest=prepared.manifest, absent=absent)


def prepared_with(
    store: Store, base: Prepared, ingredients: Ingredients, *, supplied: Collection[Digest] = ()
) -> Prepared:
    """Plan the replay of a changed record.

    Args:
        store: Where the record is.
        base: The replay of the record as it is.
        ingredients: What it was changed to.
        supplied: Objects that are known to be there though the store may not have them.
    """
    if base.probe is None:
        raise UnreplayableError("no closed world was planned")
    plan = make_plan(
        ingredients.bundle,
        ingredients.manifest,
        _Supplied(store.objects, supplied, ingredients.bundle.environment.manifest),
        now=here(),
        probe=base.probe,
        host_files=base.host_files,
    )
    return dataclasses.replace(base, plan=plan, bundle=ingredients.bundle, manifest=ingredients.manifest)


class _Supplied:
    """Finds nothing wrong with what was just put, and asks about everything else."""

    def __init__(self, checker: ObjectChecker, supplied: Collection[Digest], manifest: Digest | None) -> None:
        self._checker, self._known = checker, {*supplied, manifest}

    def verify(self, wanted: Collection[Digest], /, *, content: bool) -> Sequence[ObjectFinding]:
        """See :class:`reenact.replay.interface.ObjectChecker`."""
        return self._checker.verify([digest for digest in wanted if digest not in self._known], content=content)


def judged(
    prepared: Prepared, ingredients: Ingredients, again: Again, contents: Contents | None = None
) -> tuple[tuple[OutputJudgement, ...], tuple[str, ...]]:
    """Judge a replay of a changed record: its outputs by the record's, what it needed by what its world held."""
    host = prepared.host_files.entries if prepared.host_files is not None else ()
    expected = Evidence(
        bundle=ingredients.bundle,
        entries=(*ingredients.manifest.entries, *host),
        absent=tuple(sorted(ingredients.absent)),
    )
    outputs, unrecorded = judge(expected, again.evidence, contents or Nothing())
    return outputs, tuple(sorted((*unrecorded, *_not_found(ingredients.bundle, again.bundle))))


def _not_found(recorded: Bundle, replayed: Bundle) -> Iterator[str]:
    """Name the steps that ended as shells do which do not find a command: they only ask for it, which leaves no trace."""
    before = {step.exit_code for step in recorded.transformation_map}
    if _NOT_FOUND in {*before, recorded.exit_code}:
        return
    for step in replayed.transformation_map:
        if step.exit_code == _NOT_FOUND:
            yield f"{step.name}: a command was not found (exit status 127): the world has the programs of the record only"


def _withheld(changed: Varied, again: Again) -> Iterator[str]:
    for path in again.evidence.absent:
        if path in changed.withheld:
            yield f"{path}: looked for; the given folder has it, but it was neither recorded, nor is it code or under version control"


def _failure(recorded: Bundle, again: Again, target: Store) -> Iterator[str]:
    """Say why a job may have failed that did not when it was recorded."""
    if recorded.exit_code != 0 or again.bundle.exit_code == 0:
        return
    yield (
        "the job failed, as it did not when it was recorded: what it only asked about and was not there leaves no trace, so"
        " that a file which is not in the world can be the reason"
    )
    stderr = again.bundle.launch.stderr
    digest = stderr.pointer.digest if stderr.pointer is not None else None
    for artifact in again.bundle.outputs:
        if artifact.entry.path == stderr.path and digest is None:
            digest = artifact.entry.digest
    said = target.objects.read(digest).decode("utf-8", "replace").splitlines() if digest is not None else []
    for line in [line for line in said if line.strip()][-_LAST_LINES:]:
        yield f"it said: {to_text(line)}"
