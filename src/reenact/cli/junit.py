"""JUnit reports: what CI systems show as tests. One test case an output; what differs is a failure, what was not run an error."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reenact import atomic

if TYPE_CHECKING:
    from reenact.actions.replay import ReplayResult
    from reenact.actions.validate import Validation
    from reenact.model.verdict import OutputJudgement

__all__ = ["report", "write", "write_replay", "write_validation"]

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say (section 2.2)."""


def report(
    name: str,
    judgements: Sequence[OutputJudgement],
    *,
    summary: str,
    seconds: float,
    errors: Sequence[str],
    allowed: Collection[str] = (),
) -> bytes:
    """Make a report.

    Args:
        name: Of the suite.
        judgements: One test case each; those that do not decide pass, with what differs as their output.
        summary: In a line, what it is all about.
        seconds: How long all took.
        errors: Reasons why the answer is not sure, or there is none; a test case of its own.
        allowed: Names of what differs and passes all the same.
    """
    failing = {judgement.name for judgement in judgements if _fails(judgement)} - {*allowed}
    failures = len(failing)
    counts = {"tests": str(len(judgements) + bool(errors)), "failures": str(failures), "errors": str(int(bool(errors)))}
    suite = ET.Element("testsuite", {"name": _text(name), **counts, "time": f"{seconds:.3f}"})
    for judgement in judgements:
        case = ET.SubElement(suite, "testcase", {"classname": _text(name), "name": _text(judgement.name)})
        said = f"recorded {judgement.recorded}, got {judgement.got}\n" + "\n".join(judgement.differences)
        if judgement.name in failing:
            message = _text(f"{judgement.verdict}: {'; '.join(judgement.differences) or judgement.name}")
            ET.SubElement(case, "failure", {"message": message, "type": judgement.verdict}).text = _text(said)
        elif judgement.differences:
            ET.SubElement(case, "system-out").text = _text(said)
    if errors:
        case = ET.SubElement(suite, "testcase", {"classname": _text(name), "name": "everything needed was there"})
        ET.SubElement(case, "error", {"message": _text(errors[0])}).text = _text("\n".join(errors))
    ET.SubElement(suite, "system-out").text = _text(summary)
    suites = ET.Element("testsuites", {**counts, "time": f"{seconds:.3f}"})
    suites.append(suite)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(ET.tostring(suites, encoding="utf-8")) + b"\n"


def _fails(judgement: OutputJudgement) -> bool:
    return judgement.decides and judgement.verdict in {"different", "missing", "extra"}


def _text(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write(path: Path, data: bytes) -> None:
    """Write a report, in place of an earlier one.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace(str(path.absolute()), data, durable=False)


def write_replay(result: ReplayResult, path: Path) -> None:
    """Write what a replay showed."""
    errors = [*result.missing, *result.unrecorded]
    if result.verdict == "unreplayable" and not errors:
        errors = ["unreplayable"]
    name = f"reenact replay {result.run_id}"
    summary = result.summary or f"{result.verdict} {result.run_id}"
    write(path, report(name, result.outputs, summary=summary, seconds=result.seconds, errors=errors))


def write_validation(result: Validation, path: Path) -> None:
    """Write what a validation showed."""
    summary = (
        f"{'valid' if result.valid else 'not valid'}: run {result.run_id} against {result.baseline} ({result.chosen})"
    )
    name = f"reenact validate {result.run_id}"
    seconds = result.seconds
    write(path, report(name, result.outputs, summary=summary, seconds=seconds, errors=(), allowed=result.allowed))
