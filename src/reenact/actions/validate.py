"""Validate a run against a baseline: are its outputs what they were, or as near as is allowed? Nothing is executed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from reenact.actions.baseline import baseline_for
from reenact.actions.contents import StoredContents
from reenact.actions.opening import opened, read_bundle, resolve
from reenact.compare.result import Comparison
from reenact.errors import IntegrityError, UnreplayableError
from reenact.model.bundle import Bundle
from reenact.model.verdict import OutputJudgement
from reenact.replay.judge import judge_outputs

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Limit", "Validation", "validate", "within"]

_EQUAL = frozenset({"identical", "equivalent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many rows of an output may differ from the baseline's: changed, added and removed ones together.

    Where both are given, both hold. What is no table, or has other columns, is not covered by any limit.
    """

    rows: int | None = None
    percent: Decimal | None = None
    """Of the baseline's rows."""

    def __bool__(self) -> bool:
        """Tell whether anything is allowed."""
        return self.rows is not None or self.percent is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What was found."""

    valid: bool
    run_id: str
    baseline: str
    chosen: str
    """How the baseline came to be it."""
    outputs: tuple[OutputJudgement, ...]
    allowed: Mapping[str, str] = field(default_factory=dict)
    """Outputs that differ by no more than the limit, each with how much."""
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    seconds: float = 0.0


def validate(settings: Settings, reference: str, baseline: str | None, limit: Limit) -> Validation:
    """Compare the outputs of a run with those of a baseline.

    Args:
        settings: What counts as equal.
        reference: The run.
        baseline: Another run; None for the baseline of the job.
        limit: What may differ beyond that.

    Raises:
        RunNotFound: no such run.
        UsageError: the job has no baseline.
        IntegrityError: a record is not what was signed, or bytes of an output that differs are damaged.
        UnreplayableError: bytes of an output that differs are not in the store.
    """
    begun = time.monotonic()
    store = opened(settings)
    run_id = resolve(store, reference)
    against, chosen = baseline_for(store, run_id) if baseline is None else (resolve(store, baseline), "named")
    first, second = read_bundle(store, against), read_bundle(store, run_id)
    _require_bytes(store, first, second)
    declared = first.determinism.tolerances
    contents = StoredContents(settings, store.objects, store.objects, tolerances=declared)
    outputs = judge_outputs(first, second, contents)
    allowed = _allowed(outputs, contents.found, limit)
    return Validation(
        valid=all(o.verdict in _EQUAL or o.name in allowed for o in outputs if o.decides),
        run_id=run_id,
        baseline=against,
        chosen=chosen,
        outputs=outputs,
        allowed=allowed,
        comparisons=contents.found,
        seconds=time.monotonic() - begun,
    )


def _require_bytes(store: Store, first: Bundle, second: Bundle) -> None:
    """Refuse to judge by digests alone what could be equal by content."""
    wanted: dict[Digest, str] = {}
    sides = [{a.name: a.entry.digest for a in bundle.outputs if not a.temporary} for bundle in (first, second)]
    for name in sides[0].keys() & sides[1].keys():
        if sides[0][name] != sides[1][name]:
            wanted |= {digest: name for side in sides if (digest := side[name]) is not None}
    findings = store.objects.verify(wanted, content=False)
    missing = sorted({wanted[finding.digest] for finding in findings if finding.problem == "missing"})
    damaged = sorted({wanted[finding.digest] for finding in findings if finding.problem != "missing"})
    if damaged:
        raise IntegrityError(
            f"the store's bytes are damaged for: {', '.join(damaged)}", hint="see: reenact verify --all"
        )
    if missing:
        raise UnreplayableError(f"the store has no bytes for: {', '.join(missing)}", missing=tuple(missing))


def _allowed(outputs: Sequence[OutputJudgement], comparisons: Mapping[str, Comparison], limit: Limit) -> dict[str, str]:
    found = {}
    for output in outputs:
        comparison = comparisons.get(output.name)
        if limit and output.verdict == "different" and comparison is not None:
            said = within(comparison, limit)
            # What differs besides the bytes (a mode) is no matter of rows.
            if said and not any(word.startswith(("mode:", "type:")) for word in output.differences):
                found[output.name] = said
    return found


def within(comparison: Comparison, limit: Limit) -> str:
    """Say by how many rows two tables differ where that is within a limit; else nothing."""
    rows, recorded = 0, 0
    for part in comparison.parts:
        if part.level == "identical":
            recorded += part.recorded_rows or 0
            continue
        if part.kind != "table" or part.presence != "both" or part.schema:
            return ""
        rows += part.changed + part.added + part.removed
        recorded += part.recorded_rows or 0
    if limit.rows is not None and rows > limit.rows:
        return ""
    if limit.percent is not None and Decimal(rows) * 100 > limit.percent * recorded:
        return ""
    return f"{rows:,} of {recorded:,} rows differ"
