"""What `reenact audit` says to people in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reenact.cli.text import count, duration, printable, size

if TYPE_CHECKING:
    from reenact.actions.sealing_audits import Audited
    from reenact.model.audit import AuditFinding, AuditReport

__all__ = ["audit_lines", "counts", "one_line"]

_INDENT = " " * 10
_MOST_RUNS = 3


def audit_lines(audited: Audited) -> Iterator[str]:
    """Say what came of an audit."""
    report = audited.report
    for finding in report.findings:
        yield from _finding(finding)
    for text in report.not_checked:
        yield f"not looked at: {printable(text)}"
    yield checked(report)
    yield trust(report)
    yield counts(report)
    yield sealed(audited)


def _finding(finding: AuditFinding) -> Iterator[str]:
    about = "  ".join(filter(None, (finding.job, finding.run_id)))
    yield f"{finding.severity:<8}  {finding.code}: {printable(finding.subject)}" + (
        f"  ({printable(about)})" if about else ""
    )
    yield f"{_INDENT}{printable(finding.message)}"
    if finding.expected is not None or finding.got is not None:
        yield f"{_INDENT}expected {printable(finding.expected or '-')}, got {printable(finding.got or '-')}"
    others = [run for run in finding.runs if run != finding.run_id]
    if others:
        more = f" and {len(others) - _MOST_RUNS} more (--json)" if len(others) > _MOST_RUNS else ""
        yield f"{_INDENT}harms also {', '.join(others[:_MOST_RUNS])}{more}"
    yield f"{_INDENT}{finding.who}: {printable(finding.how)}"


def checked(report: AuditReport) -> str:
    """Say what was looked at."""
    sampled = f" (a sample of {report.sample:.0%} with --seed {report.seed})" if report.sample < 1 else ""
    went_on = ", going on where the last one was cut off" if report.resumed else ""
    return (
        f"{report.selection}: {count(report.runs, 'run')}, {count(report.values, 'object')} or packs{sampled},"
        f" {count(report.log_size, 'entry' if report.log_size == 1 else 'entrie')}, {count(report.jobs, 'job')} held against"
        f" this machine; {size(report.stored_bytes + report.drift_bytes)} read in {duration(report.seconds)}{went_on}"
    )


def trust(report: AuditReport) -> str:
    """Say whose keys were believed."""
    if report.trusted_by is None:
        return "keys are those this store names itself: there is no reenact.trust.toml"
    return f"keys are those that {printable(report.trusted_by)} trusts"


def counts(report: AuditReport) -> str:
    """Count the findings."""
    if not report.findings:
        return "no findings"
    said = [f"{report.count(s)} {s}" for s in ("critical", "major", "minor", "notice") if report.count(s)]
    return f"{count(len(report.findings), 'finding')}: {', '.join(said)}"


def sealed(audited: Audited) -> str:
    """Say what became of the report."""
    if audited.entry is not None:
        return f"the report is sealed as audit {audited.report.audit_id}, entry {audited.entry} of the log"
    return f"the report is not sealed: {printable(audited.not_sealed)}"


def one_line(audited: Audited) -> str:
    """Say all in a line, for the journal of a service."""
    report = audited.report
    where = f"entry {audited.entry}" if audited.entry is not None else f"not sealed ({printable(audited.not_sealed)})"
    read = size(report.stored_bytes + report.drift_bytes)
    return (
        f"{report.ended_at} audit {report.audit_id}: {counts(report)}; {count(report.runs, 'run')},"
        f" {count(report.values, 'object')} or packs, {read} in {duration(report.seconds)}; {where}"
    )
