"""Replay a run several times, see how much its outputs vary, and propose the tightest policy that covers that."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reenact.actions.contents import StoredContents
from reenact.actions.execution import Again, evidence_of, run_again
from reenact.actions.opening import opened
from reenact.actions.plan import prepare
from reenact.actions.replay import scratch_store
from reenact.compare.policy import as_toml
from reenact.compare.result import Comparison
from reenact.model.policy import Policy
from reenact.model.verdict import OutputJudgement
from reenact.replay.judge import Evidence, judge
from reenact.replay.spread import MEASURES, Measure, OutputSpread, observe, propose, tightest, warnings

if TYPE_CHECKING:
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Tolerated", "Toleration", "tolerate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerated:
    """What was seen of one output, and what to declare."""

    spread: OutputSpread
    section: str = ""
    """For `reenact.toml`; empty where nothing is needed, or nothing covers it."""
    covers: bool = True
    """Whether every replay counts as equal then; it was tried."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """The answer for one run."""

    run_id: str
    runs: int
    """Replays that were made."""
    covered: bool
    outputs: tuple[Tolerated, ...] = ()
    missing: tuple[str, ...] = ()
    """Why it cannot be replayed; then there is nothing else."""
    unrecorded: tuple[str, ...] = ()
    """What replays needed that the record does not hold: what they made proves little."""
    seconds: float = 0.0


def tolerate(
    settings: Settings,
    reference: str,
    *,
    runs: int,
    key: Sequence[str] = (),
    say: Callable[[str], None] = lambda _text: None,
) -> Toleration:
    """Replay a run in its closed world, and keep nothing.

    Args:
        settings: How; the policies they hold are not looked at.
        reference: Which run.
        runs: How often.
        key: Columns that tell which row is which, in tables whose rows come in any order with other values.
        say: Told what is being done.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record is not what was signed.
        SandboxError, StoreError: as for any replay.
    """
    begun = time.monotonic()
    store = opened(settings)
    prepared = prepare(store, reference, settings=settings)
    told = Toleration(run_id=prepared.bundle.run_id, runs=0, covered=False)
    if not prepared.plan.replayable:
        return dataclasses.replace(told, missing=prepared.plan.missing)
    with scratch_store() as target:
        again = []
        for number in range(runs):
            say(f"replay {number + 1} of {runs}")
            again.append(run_again(settings, store, target, prepared))
        say("comparing")
        work = _Work(settings, store, target, evidence_of(store, prepared.bundle), again)
        outputs = tuple(work.outputs(tuple(key)))
        unrecorded = work.unrecorded
    return dataclasses.replace(
        told,
        runs=runs,
        covered=all(output.covers for output in outputs),
        outputs=outputs,
        unrecorded=unrecorded,
        seconds=time.monotonic() - begun,
    )


class _Work:
    def __init__(
        self, settings: Settings, store: Store, target: Store, original: Evidence, again: Sequence[Again]
    ) -> None:
        self._settings, self._store, self._target = settings, store, target
        self._original, self._again = original, again
        self.unrecorded: tuple[str, ...] = ()

    def outputs(self, key: tuple[str, ...]) -> Iterator[Tolerated]:
        """Say of every output what was seen, and what covers it."""
        # Everything is let pass here that can be, so that what is left over is what has to be declared.
        seen = observe(self._judged(Policy(compare="content", pattern="**", key=key, order="any")))
        for output in seen:
            if output.identical == output.replays:
                yield Tolerated(spread=output)
            elif output.beyond:
                yield Tolerated(spread=output, covers=False)
            else:
                yield self._covering(output, key)

    def _judged(self, policy: Policy) -> list[tuple[tuple[OutputJudgement, ...], dict[str, Comparison]]]:
        found = []
        for again in self._again:
            contents = StoredContents(self._settings, self._store.objects, self._target.objects, [policy])
            judgements, unrecorded = judge(self._original, again.evidence, contents)
            self.unrecorded = self.unrecorded or unrecorded
            found.append((judgements, contents.found))
        return found

    def _covering(self, seen: OutputSpread, key: tuple[str, ...]) -> Tolerated:
        """Try the tightest policy; for columns that it does not cover the next, until all replays count as equal."""
        measures = {column.column: tightest(column) for column in seen.columns}
        while True:
            policy = propose(seen, key, measures)
            if policy is None:
                return Tolerated(spread=seen, covers=False)
            left = self._left_over(policy, seen.name)
            columns = [name for name in left if name in measures and measures[name] != "ignored"]
            if not columns:
                return Tolerated(spread=seen, section=as_toml(policy), covers=not left, warnings=warnings(seen, policy))
            measures |= {name: _next(measures[name]) for name in columns}

    def _left_over(self, policy: Policy, name: str) -> list[str]:
        """Name the columns that a policy does not cover; an empty name where it is something else."""
        found: dict[str, None] = {}
        for judgements, comparisons in self._judged(policy):
            if any(j.name == name and j.verdict == "different" for j in judgements):
                parts = comparisons[name].parts if name in comparisons else ()
                columns = [column.column for part in parts for column in part.columns if column.changed]
                found |= dict.fromkeys(columns or [""])
        return [*found]


def _next(measure: Measure) -> Measure:
    return MEASURES[MEASURES.index(measure) + 1]
