"""From what was seen to hazards: reasons, known now, why a replay may differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reenact.capture.observation import Contact
from reenact.model.artifact import Artifact
from reenact.model.bundle import Gap, Hazard
from reenact.model.paths import to_text

__all__ = ["from_contacts", "from_gaps", "from_inputs", "from_pointers", "from_streams", "sorted_hazards"]

_HARMLESS_GAPS: Final = frozenset({"main-process-killed"})
"""Gaps that leave nothing out of what a replay needs."""


def from_contacts(contacts: Iterable[Contact]) -> list[Hazard]:
    """Name every server outside the run that it contacted."""
    found = {}
    for contact in contacts:
        endpoint = to_text(contact.endpoint)
        if contact.kind == "ip":
            message = f"contacted {endpoint} over the network: what it answered is not recorded"
            found[endpoint] = Hazard(code="network", message=message, subject=endpoint)
        else:
            message = (
                f"talked to a server outside the run at {endpoint}: it may have read and written files for the job"
            )
            found[endpoint] = Hazard(code="outside-server", message=message, subject=endpoint)
    return [*found.values()]


def from_gaps(gaps: Iterable[Gap]) -> list[Hazard]:
    """Every gap is a hazard, because what was not seen may matter."""
    return [
        Hazard(code=gap.code, message=gap.message, subject=gap.subject, exact=gap.code in _HARMLESS_GAPS)
        for gap in gaps
    ]


def from_inputs(lost: Iterable[tuple[str, str]], changed: Iterable[str], *, cut: bool = False) -> list[Hazard]:
    """Inputs whose bytes are not kept, and inputs that somebody else changed while the run used them.

    Args:
        lost: Name and reason.
        changed: Names.
        cut: The recording was cut off, so that who changed them is not known.
    """
    who = "after the run had used it, perhaps by the run" if cut else "by something else during the run"
    found = [
        Hazard(code="input-lost", message=f"the bytes of {name} are not kept: {why}", subject=name)
        for name, why in lost
    ]
    return found + [Hazard(code="input-changed", message=f"{name} was changed {who}", subject=name) for name in changed]


def from_pointers(inputs: Iterable[Artifact]) -> list[Hazard]:
    """Inputs whose bytes are elsewhere: a replay is exact, or impossible."""
    names = [artifact.name for artifact in inputs if artifact.keep == "pointer"]
    if not names:
        return []
    what = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    message = f"kept as pointers, to be fetched again for a replay: {what}"
    return [Hazard(code="kept-elsewhere", message=message, exact=True)]


def from_streams(stdin_kind: str, *, kept: bool, truncated: bool) -> list[Hazard]:
    """Standard input that came through a pipe and was not recorded, or not whole. Reading from a terminal is a gap of its own."""
    if truncated:
        message = "standard input was longer than what is kept of it"
        return [Hazard(code="stdin", message=message, subject="stdin")]
    if kept or stdin_kind in ("null", "closed", "file", "terminal"):
        return []
    message = f"standard input was a {stdin_kind}: what the job read from it is not recorded"
    return [Hazard(code="stdin", message=message, subject="stdin")]


def sorted_hazards(hazards: Iterable[Hazard]) -> tuple[Hazard, ...]:
    """Order hazards so that equal runs have equal lists; each is named once."""
    return tuple(sorted(set(hazards), key=lambda hazard: (hazard.exact, hazard.code, hazard.subject, hazard.message)))
