"""One line about a run, for the person who just made it: what was recorded and whether it can be replayed exactly."""

from __future__ import annotations

from reenact import clock
from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle
from reenact.model.paths import to_text

__all__ = ["code_name", "data_inputs", "data_outputs", "ending", "replayable", "seconds", "summary_line"]

_COMMIT_DIGITS = 7
"""As git abbreviates."""
_NAMED_REASONS = 3


def data_inputs(bundle: Bundle) -> list[Artifact]:
    """The inputs whose bytes mattered as data: not code, and not what was only listed or asked about."""
    return [a for a in bundle.inputs if a.kind == "data" and a.entry.need == "content"]


def data_outputs(bundle: Bundle) -> list[Artifact]:
    """The outputs that stay: not temporary."""
    return [a for a in bundle.outputs if not a.temporary]


def seconds(bundle: Bundle) -> float | None:
    """How long the run took, by the wall clock; None where its end was not seen."""
    if bundle.ended_at is None:
        return None
    # A clock set back during the run must not make a negative duration.
    return max(0.0, (clock.parse(bundle.ended_at) - clock.parse(bundle.timestamp)).total_seconds())


def code_name(bundle: Bundle) -> str | None:
    """Name the code: ``a1b2c3d``, with ``+2`` for two files that are not as committed; None where no commit is known."""
    code = bundle.code
    if code.commit is None:
        return None
    changed = len(code.uncommitted) + len(code.untracked)
    return code.commit[:_COMMIT_DIGITS] + (f"+{changed}" if changed else "")


def replayable(bundle: Bundle) -> str:
    """Say how well the run can be replayed as far as is known now: ``exact``, or what stands in the way."""
    if bundle.status == "incomplete":
        return "no (the recording was cut off)"
    if bundle.environment.mode != "sealed":
        return "no (the environment was only described)"
    # A gap that matters is a hazard too.
    distinct = [*dict.fromkeys(hazard.code for hazard in bundle.determinism.hazards if not hazard.exact)]
    if not distinct:
        return "exact"
    more = len(distinct) - _NAMED_REASONS
    return f"not certain ({', '.join(distinct[:_NAMED_REASONS])}{f', and {more} more' if more > 0 else ''})"


def ending(exit_code: int) -> str:
    """Say how a process ended: ``exit 3``, or ``signal 9`` for a negative number."""
    return f"exit {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary_line(bundle: Bundle) -> str:
    """Write the line, in text form and without control characters.

    For example ``● recorded 0199… etl · 2.4 s · 3 inputs, 2 outputs · code a1b2c3d+2 · replayable: exact``.
    """
    took = seconds(bundle)
    name = code_name(bundle)
    parts = [
        f"● recorded {bundle.run_id} {to_text(bundle.job)}",
        *([f"{took:.1f} s"] if took is not None else []),
        *([ending(bundle.exit_code)] if bundle.exit_code else []),
        f"{_counted(len(data_inputs(bundle)), 'input')}, {_counted(len(data_outputs(bundle)), 'output')}",
        *([f"code {name}"] if name else []),
        f"replayable: {replayable(bundle)}",
    ]
    line = " · ".join(parts)
    return line if line.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
