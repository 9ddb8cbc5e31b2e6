"""The verdict of a replay: per output and over all (predicate ``urn:reenact:verdict:v1``)."""

from __future__ import annotations

from typing import Literal

import msgspec

from reenact.digests import Digest
from reenact.model.policy import Equivalence, Policy, Relaxation

__all__ = ["PREDICATE_TYPE", "OutputJudgement", "OutputLevel", "Overall", "Verdict", "overall"]

PREDICATE_TYPE = "urn:reenact:verdict:v1"

OutputLevel = Literal["identical", "equivalent", "different", "missing", "extra"]
Overall = Literal["reproduced", "equivalent", "diverged", "unreplayable"]


class OutputJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one output (or of the exit status, or of a standard stream)."""

    name: str
    verdict: OutputLevel
    recorded: str | None = None
    """Digest, or the exit status, in the record."""
    got: str | None = None
    differences: tuple[str, ...] = ()
    """In words: which aspect differs (bytes, mode, type, target)."""
    decides: bool = True
    """Whether it counts in the verdict over all; standard error, where programs write times and progress, is only reported."""
    equivalence: Equivalence | None = None
    """For an equivalent output, in which way. For a different one, in which way it would be equal, had that been declared."""
    policy: Policy | None = None
    """What was declared to count as equal; None where nothing was, and only the same bytes count."""
    relaxations: tuple[Relaxation, ...] = ()
    """What the policy let pass."""
    hint: str = ""
    """For a different output: what to declare so that it counts as equal, where there is such a thing."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The signed answer of one replay."""

    schema_version: str
    run_id: str
    """The run that was replayed."""
    replay_run_id: str
    verdict: Overall
    rung: str
    """``world``, ``rebuilt`` or ``here``."""
    not_isolated: tuple[str, ...]
    """What that rung does not keep apart from the present machine, and where it is less sure than a higher one."""
    judged_at: str
    outputs: tuple[OutputJudgement, ...]
    bundle_digest: Digest
    """Of the signed payload of the run's bundle: the verdict is about these bytes and no others."""
    missing: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    """What the replay looked for or opened that the record does not hold."""
    drift: tuple[str, ...] = ()
    """Host facts that differ from the record and can change results."""
    hazards: tuple[str, ...] = ()
    variations: dict[str, str] = {}
    tool_version: str = ""
    passed_over: tuple[str, ...] = ()
    """Higher rungs that were to be tried first, each with a reason why it was not possible."""


def overall(judgements: tuple[OutputJudgement, ...], unrecorded: tuple[str, ...]) -> Overall:
    """Sum up: anything that decides and is different, missing or extra, or was read without being recorded, means `diverged`."""
    levels = {judgement.verdict for judgement in judgements if judgement.decides}
    if unrecorded or levels & {"different", "missing", "extra"}:
        return "diverged"
    return "equivalent" if "equivalent" in levels else "reproduced"
