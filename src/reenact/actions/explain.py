"""Explain a difference between two runs: find what in one run has to be as in the other for its outputs to be the other's.

Every try is a replay in a closed world, of a record that is a mixture of the two. Nothing of it is kept.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from reenact.actions.contents import StoredContents
from reenact.actions.execution import Again, run_again
from reenact.actions.opening import opened
from reenact.actions.plan import Prepared, prepare
from reenact.actions.replay import scratch_store
from reenact.actions.what_if import ingredients_of, judged
from reenact.digests import of_bytes
from reenact.errors import UsageError
from reenact.model import manifest as manifests
from reenact.model import summary
from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle
from reenact.replay.factors import Factor
from reenact.replay.ingredients import Ingredients
from reenact.replay.judge import Contents, Evidence, Nothing, judge
from reenact.replay.mixture import Pair
from reenact.replay.search import Found, Search, expected_trials

if TYPE_CHECKING:
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Answer", "Explanation", "SearchPlan", "explain"]

Answer = Literal["same", "explained", "unsure", "unreplayable", "planned"]
"""`planned`: nothing was replayed, as was asked for."""

_CONTROLS: Final = 4
"""Both runs as they are; nothing swapped; everything swapped."""
_CHECKS: Final = 2
"""Whether what was found gives the second run's outputs once more, and whether the rest gives them without it, too."""
_OVERHEAD_SECONDS: Final = 0.2
"""Of a replay, beside the job itself."""
_NAMED: Final = 3
_CHANCE: Final = (
    "replayed as they are, the runs do not give these outputs again: what differs between them may be chance"
)
_BAD: Final = frozenset({"different", "missing", "extra"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What a search would cost."""

    factors: int
    replays: int
    """About; where one factor is the cause."""
    most_replays: int
    """The search is cut off there."""
    seconds: float
    """About, by how long the runs took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What differs between the outputs of two runs, and which of their differences is enough to make it."""

    answer: Answer
    first: str
    second: str
    outputs: tuple[str, ...] = ()
    """That differ, and are explained."""
    factors: tuple[Factor, ...] = ()
    """All that differs and can be swapped, the likeliest first."""
    cause: tuple[Factor, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why the answer is not sure, or there is none."""
    noisy: tuple[str, ...] = ()
    """Outputs that a run replayed as it is does not give again: left out."""
    replays: int = 0
    seconds: float = 0.0
    plan: SearchPlan | None = None


def explain(
    settings: Settings,
    first: str,
    second: str,
    *,
    max_replays: int,
    dry_run: bool = False,
    announce: Callable[[SearchPlan], None] = lambda _plan: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Explanation:
    """Find a smallest set of differences that turns the outputs of one run into those of another.

    Args:
        settings: How.
        first: A run.
        second: Another.
        max_replays: Most replays, the controls included.
        dry_run: Only tell what differs, and what a search would cost.
        announce: Told what the search will cost, before it begins.
        say: Told what is being tried.

    Raises:
        RunNotFound: one of them is no run.
        UsageError: they cannot be mixed.
        IntegrityError: a record is not what was signed.
        SandboxError, StoreError: as for any replay.
    """
    begun = time.monotonic()
    store = opened(settings)
    sides = prepare(store, first, settings=settings), prepare(store, second, settings=settings)
    told = Explanation(answer="unreplayable", first=sides[0].plan.run_id, second=sides[1].plan.run_id)
    missing = [f"run {side.plan.run_id}: {reason}" for side in sides for reason in side.plan.missing]
    if missing or not all(side.plan.replayable for side in sides):
        return dataclasses.replace(told, reasons=tuple(missing))
    _refuse_other_places(sides[0].bundle, sides[1].bundle)
    pair = Pair(ingredients_of(store, sides[0]), ingredients_of(store, sides[1]))
    outputs = _differing(pair.second.ingredients, sides[0].bundle, _contents(settings, store, store, sides[1].bundle))
    if not outputs:
        return dataclasses.replace(told, answer="same", factors=pair.factors, seconds=time.monotonic() - begun)
    plan = _plan(pair, max_replays)
    if dry_run:
        told = dataclasses.replace(told, answer="planned", outputs=tuple(sorted(outputs)), plan=plan)
        return dataclasses.replace(told, factors=pair.factors, seconds=time.monotonic() - begun)
    announce(plan)
    with scratch_store() as target:
        work = _Work(settings, store, target, sides, pair, say)
        result = work.explain(dataclasses.replace(told, factors=pair.factors, plan=plan), outputs, max_replays)
    return dataclasses.replace(result, replays=work.replays, seconds=time.monotonic() - begun)


def _plan(pair: Pair, max_replays: int) -> SearchPlan:
    number = len(pair.factors)
    expected = min(max_replays, _CONTROLS + expected_trials(number) + _CHECKS)
    each = max(summary.seconds(side.bundle) or 0.0 for side in (pair.first, pair.second)) + _OVERHEAD_SECONDS
    return SearchPlan(factors=number, replays=expected, most_replays=max_replays, seconds=expected * each)


def _refuse_other_places(first: Bundle, second: Bundle) -> None:
    if first.launch.root != second.launch.root:
        raise UsageError(
            f"the runs have different roots ({first.launch.root} and {second.launch.root}), so their files cannot be swapped",
            hint="record both in the same folder; what differs between them: reenact compare",
        )
    if first.environment.system.machine != second.environment.system.machine:
        raise UsageError("the runs are of different kinds of machines, so their environments cannot be swapped")


def _contents(settings: Settings, store: Store, target: Store, expected: Bundle) -> Contents:
    """Compare what is in outputs only where something was declared: else only the same bytes count, whatever is in them."""
    declared = expected.determinism.tolerances
    if not settings.outputs and not declared:
        return Nothing()
    return StoredContents(settings, store.objects, target.objects, tolerances=declared)


def _differing(expected: Ingredients, got: Bundle, contents: Contents) -> frozenset[str]:
    """Name the outputs that are not what a record has; logs that standard streams are added to are none."""
    evidence = Evidence(bundle=expected.bundle, entries=expected.manifest.entries)
    judgements, _ = judge(evidence, Evidence(bundle=got), contents)
    streams = {
        artifact.name for bundle in (expected.bundle, got) for artifact in bundle.outputs if _is_log(artifact, bundle)
    }
    return frozenset(j.name for j in judgements if j.decides and j.verdict in _BAD and j.name not in streams)


def _is_log(artifact: Artifact, bundle: Bundle) -> bool:
    """Tell whether an output is a file that caught a standard stream and had been begun before, or standard error at all."""
    launch = bundle.launch
    if artifact.entry.path == launch.stderr.path:
        return True
    return artifact.entry.path == launch.stdout.path and (launch.stdout.append or launch.stdout.offset_bytes > 0)


class _Work:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        target: Store,
        sides: tuple[Prepared, Prepared],
        pair: Pair,
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._store, self._target, self._say = settings, store, target, say
        self._sides, self._pair = sides, pair
        self._outputs: frozenset[str] = frozenset()
        self._doubts: dict[frozenset[Factor], tuple[str, ...]] = {}
        self.replays = 0

    def explain(self, told: Explanation, outputs: Collection[str], limit: int) -> Explanation:
        """Make the controls, then search."""
        wanted = frozenset(outputs)
        noisy = self._noisy(wanted)
        self._outputs = wanted - noisy
        told = dataclasses.replace(
            told, outputs=tuple(sorted(self._outputs)), noisy=tuple(sorted(noisy)), answer="unsure"
        )
        if not self._outputs:
            return dataclasses.replace(told, reasons=(_CHANCE,))
        reasons = [*self._settle()]
        told = dataclasses.replace(told, factors=self._pair.factors, outputs=tuple(sorted(self._outputs)))
        if not self._outputs:
            return dataclasses.replace(told, reasons=tuple(reasons))
        factors = self._pair.factors
        search = Search(everything=factors, is_enough=self._is_enough, limit=max(0, limit - self.replays - _CHECKS))
        search.tried[frozenset(range(len(factors)))] = True
        found = search.run()
        reasons += [*self._doubt(found), *self._once_more(found), *self._not_alone(found, search)]
        answer: Answer = "unsure" if reasons else "explained"
        return dataclasses.replace(told, cause=found.cause, reasons=tuple(reasons), answer=answer)

    def _noisy(self, outputs: frozenset[str]) -> frozenset[str]:
        """Replay both runs as they are: what that does not give again cannot be explained by swapping anything."""
        noisy = frozenset[str]()
        for number, side in enumerate((self._pair.first, self._pair.second)):
            self._say(f"replaying the {('first', 'second')[number]} run as it is")
            again = self._replay(self._sides[number], side.ingredients)
            noisy |= self._unlike(side.ingredients, again) & outputs
        return noisy

    def _unlike(self, expected: Ingredients, again: Again) -> frozenset[str]:
        contents = _contents(self._settings, self._store, self._target, expected.bundle)
        return _differing(expected, again.bundle, contents)

    def _settle(self) -> Iterator[str]:
        """Settle what files of which one record says nothing are taken for, and which outputs there is anything to be said of.

        Gives what no search can explain, in words.
        """
        first, second = self._pair.first.ingredients, self._pair.second.ingredients
        appear = bool(self._unlike(first, self._mixture(())) & self._outputs)
        if appear:
            # What only the second run touched makes a difference by being there: it may not have been, before.
            self._pair = Pair(first, second, may_appear=True)
        explicable = self._explicable()
        if explicable != self._outputs:
            plain = self._pair
            self._pair = Pair(first, second, may_appear=appear, may_vanish=True)
            more = self._explicable()
            if len(more) <= len(explicable):
                self._pair = plain
            explicable |= more
        if not self._pair.factors:
            yield "nothing that was recorded differs between the runs"
        for name in sorted(self._outputs - explicable):
            yield f"{name}: even with all recorded differences swapped, the first run does not give that of the second"
        self._outputs = explicable

    def _explicable(self) -> frozenset[str]:
        """Name the outputs that are as in the second run once everything is swapped."""
        if not self._pair.factors:
            return frozenset()
        self._say("swapping all that differs")
        return self._outputs - self._unlike(self._pair.second.ingredients, self._mixture(self._pair.factors))

    def _mixture(self, chosen: tuple[Factor, ...]) -> Again:
        mixed = self._pair.mixed(chosen)
        prepared = dataclasses.replace(self._sides[0], bundle=mixed.bundle, manifest=mixed.manifest)
        again = self._replay(prepared, mixed)
        _, unrecorded = judged(prepared, mixed, again)
        self._doubts[frozenset(chosen)] = unrecorded
        return again

    def _is_enough(self, chosen: tuple[Factor, ...]) -> bool:
        names = ", ".join(factor.title for factor in chosen[:_NAMED])
        self._say(f"trying {names}{' ...' if len(chosen) > _NAMED else ''}")
        again = self._mixture(chosen)
        return not self._unlike(self._pair.second.ingredients, again) & self._outputs

    def _replay(self, prepared: Prepared, ingredients: Ingredients) -> Again:
        self.replays += 1
        # The layer of the environment is kept under the manifest's digest, so a mixture needs one of its own.
        digest = of_bytes(manifests.dump(list(ingredients.manifest.entries)))
        environment = msgspec.structs.replace(ingredients.bundle.environment, manifest=digest)
        bundle = msgspec.structs.replace(ingredients.bundle, environment=environment)
        return run_again(
            self._settings,
            self._store,
            self._target,
            dataclasses.replace(prepared, bundle=bundle, manifest=ingredients.manifest),
        )

    def _doubt(self, found: Found[Factor]) -> Iterator[str]:
        if not found.minimal:
            yield "the search was cut off (--max-replays): some of what is named may have nothing to do with it"
        for reason in self._doubts.get(frozenset(found.cause), ())[:_NAMED]:
            yield f"with these swapped the run needed what neither record holds: {reason}"

    def _once_more(self, found: Found[Factor]) -> Iterator[str]:
        """Try what was found again: where outputs vary by chance, what was once enough may have been luck."""
        if not self._is_enough(found.cause):
            yield "tried once more, this gave other outputs: they vary by chance"

    def _not_alone(self, found: Found[Factor], search: Search[Factor]) -> Iterator[str]:
        """Ask whether the second run's outputs come about without what was found, too."""
        rest = [place for place, factor in enumerate(search.everything) if factor not in found.cause]
        if not rest or not found.minimal:
            return
        search.limit = max(search.limit, search.trials + _CHECKS)
        if search.ask(rest):
            yield "the other differences are enough without these, too: there is more than one sufficient cause"
