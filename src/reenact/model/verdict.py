"""The verdict of a replay: per output and over all (predicate ``urn:reenact:verdict:v1``)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from reenact.digests import Digest
from reenact.model.policy import Equivalence, Policy, Relaxation

__all__ = [
    "PREDICATE_TYPE",
    "OutputJudgement",
    "OutputLevel",
    "Overall",
    "Verdict",
    "following",
    "overall",
    "overall_varied",
    "varied_sentence",
]

PREDICATE_TYPE = "urn:reenact:verdict:v1"

OutputLevel = Literal["identical", "equivalent", "different", "missing", "extra"]
Overall = Literal["reproduced", "equivalent", "diverged", "unreplayable", "unchanged", "changed", "unsure"]
"""The last three are the words of varied replays, which say nothing about whether the run itself can be reproduced."""


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
    """What was another than in the record; empty for a replay of the record as it is. Keys are ``code``, ``environment``,
    ``command``, ``input NAME``, ``parameter NAME`` and ``variable NAME``; values say what it was."""
    tool_version: str = ""
    passed_over: tuple[str, ...] = ()
    """Higher rungs that were to be tried first, each with a reason why it was not possible."""


def overall(judgements: tuple[OutputJudgement, ...], unrecorded: tuple[str, ...]) -> Overall:
    """Sum up: anything that decides and is different, missing or extra, or was read without being recorded, means `diverged`."""
    levels = {judgement.verdict for judgement in judgements if judgement.decides}
    if unrecorded or levels & {"different", "missing", "extra"}:
        return "diverged"
    return "equivalent" if "equivalent" in levels else "reproduced"


def overall_varied(judgements: tuple[OutputJudgement, ...], unrecorded: tuple[str, ...]) -> Overall:
    """Sum up a varied replay: never a word that would read as if the run had been reproduced.

    What was needed and was neither recorded nor given makes it `unsure`, whatever the outputs are.
    """
    if unrecorded:
        return "unsure"
    levels = {judgement.verdict for judgement in judgements if judgement.decides}
    return "changed" if levels & {"different", "missing", "extra"} else "unchanged"


def following(verdict: Verdict) -> Overall:
    """Say what the verdict over all must be, by what is in it."""
    judge = overall_varied if verdict.variations else overall
    return judge(verdict.outputs, verdict.unrecorded)


def varied_sentence(variations: dict[str, str], judgements: tuple[OutputJudgement, ...]) -> str:
    """Say in a line what a varied replay showed.

    For example ``with code from .: 2 of 3 outputs unchanged, daily.parquet differs (rows: 14 changed)``.
    """
    outputs = [judgement for judgement in judgements if judgement.decides and judgement.name not in _NO_OUTPUTS]
    same = sum(judgement.verdict in {"identical", "equivalent"} for judgement in outputs)
    recorded = sum(judgement.verdict != "extra" for judgement in outputs)
    parts = [f"{same} of {recorded} output{'' if recorded == 1 else 's'} unchanged"]
    for judgement in judgements:
        if judgement.decides and judgement.verdict in _SAID:
            # One aspect is enough for a line: how many rows, rather than how many bytes.
            words = [word for word in judgement.differences if not word.startswith("bytes:")] or judgement.differences
            how = f" ({words[0]})" if words else ""
            parts.append(f"{judgement.name} {_SAID[judgement.verdict]}{how}")
    return f"with {_and([_varied_word(*pair) for pair in sorted(variations.items())])}: {', '.join(parts)}"


_NO_OUTPUTS: Final = frozenset({"exit-code", "stdout", "stderr"})
_SAID: Final = {"different": "differs", "missing": "is missing", "extra": "is new"}


def _varied_word(what: str, value: str) -> str:
    if what in {"code", "environment"}:
        return f"{what} from {value}" if value != "current" else "today's environment"
    if what.startswith("input "):
        return f"another {what}"
    return f"{what} {value}" if value == "not set" else f"{what} = {value}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
