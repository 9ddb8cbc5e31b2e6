"""Find a smallest set of factors that is enough to turn one result into another, by trying mixtures. Pure; trying is given.

Delta debugging, as in Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002), section 3: the set found
is 1-minimal, no single factor of it can be left out. Factors are taken in the order given, likeliest first, so that the same
question always asks the same replays.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Found", "Search", "expected_trials"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[Item]):
    """What a search came to."""

    cause: tuple[Item, ...]
    """Enough by itself."""
    minimal: bool
    """Nothing of it can be left out; False where the search was cut off before that was known."""
    trials: int


def expected_trials(number: int) -> int:
    """Say how many trials a search among so many factors takes where one of them is the cause."""
    return 2 * math.ceil(math.log2(number)) if number > 1 else 0


@dataclass(slots=True, kw_only=True)
class Search(Generic[Item]):
    """One search; trials are remembered by their sets, and never made twice."""

    everything: Sequence[Item]
    """Ordered; known to be enough all together."""
    is_enough: Callable[[tuple[Item, ...]], bool]
    limit: int
    """Most trials."""
    tried: dict[frozenset[int], bool] = field(default_factory=dict)
    """By the factors' places."""
    trials: int = 0

    def run(self) -> Found[Item]:
        """Search."""
        places = [*range(len(self.everything))]
        parts = 2
        while len(places) > 1:
            smaller = self._smaller(places, parts)
            if smaller is None:
                return self._found(places, minimal=False)
            if smaller:
                places, parts = smaller, self._parts_after(smaller, places, parts)
            elif parts >= len(places):
                break
            else:
                parts = min(len(places), 2 * parts)
        return self._found(places, minimal=True)

    @staticmethod
    def _parts_after(smaller: list[int], places: list[int], parts: int) -> int:
        """A part that is enough is cut in two again; of a complement every part is still to be looked at."""
        return 2 if len(smaller) <= math.ceil(len(places) / parts) else max(parts - 1, 2)

    def _smaller(self, places: list[int], parts: int) -> list[int] | None:
        """Find a part that is enough, else a complement of one; empty when there is none, None when trials ran out."""
        cut = _cut(places, parts)
        complements = [[p for p in places if p not in part] for part in cut] if parts > 2 else []  # noqa: PLR2004 - halves
        for candidate in (*cut, *complements):
            enough = self.ask(candidate)
            if enough is None:
                return None
            if enough:
                return candidate
        return []

    def ask(self, places: Sequence[int]) -> bool | None:
        """Try a set of factors by their places; None when no trial is left."""
        key = frozenset(places)
        if key not in self.tried:
            if self.trials >= self.limit:
                return None
            self.trials += 1
            self.tried[key] = self.is_enough(tuple(self.everything[place] for place in sorted(key)))
        return self.tried[key]

    def _found(self, places: list[int], *, minimal: bool) -> Found[Item]:
        cause = tuple(self.everything[place] for place in places)
        return Found(cause=cause, minimal=minimal, trials=self.trials)


def _cut(places: list[int], parts: int) -> list[list[int]]:
    bounds = [len(places) * number // parts for number in range(parts + 1)]
    return [places[start:end] for start, end in itertools.pairwise(bounds) if end > start]
