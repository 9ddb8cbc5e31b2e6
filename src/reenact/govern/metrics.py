"""What an audit came to, in the text format of Prometheus. Pure.

See: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reenact import clock
from reenact.model.audit import SEVERITIES, AuditReport

__all__ = ["metrics_text"]


def metrics_text(report: AuditReport, *, sealed: bool) -> str:
    """Write the metrics of one audit; every line is labelled with the store's id."""
    return "".join(f"{line}\n" for line in _lines(report, sealed=sealed))


def _lines(report: AuditReport, *, sealed: bool) -> Iterator[str]:
    store = f'store="{report.store_id}"'
    numbers = (
        (
            "last_success_timestamp_seconds",
            "When an audit last came to its end.",
            clock.parse(report.ended_at).timestamp(),
        ),
        ("duration_seconds", "How long it took.", report.seconds),
        ("values_checked", "Files of objects, and packs, that were hashed.", report.values),
        ("stored_bytes_read", "Bytes of the store that were read to hash them.", report.stored_bytes),
        ("drift_bytes_read", "Bytes of this machine's files that were hashed.", report.drift_bytes),
        ("runs_checked", "Records of runs that were checked.", report.runs),
        ("jobs_checked", "Jobs that were held against this machine.", report.jobs),
        ("log_entries", "Entries of the log.", report.log_size),
        ("sample_ratio", "Share of the objects that was hashed.", report.sample),
        ("sealed", "Whether the report was signed and logged.", int(sealed)),
        ("not_checked", "Things that could not be looked at.", len(report.not_checked)),
        ("exit_status", "What reenact audit exits with: 0, 1 or 4.", report.exit_code),
    )
    for name, words, value in numbers:
        yield from _head(name, words)
        yield f"reenact_audit_{name}{{{store}}} {value:.15g}"
    yield from _head("findings", "Findings by severity.")
    for severity in SEVERITIES:
        yield f'reenact_audit_findings{{{store},severity="{severity}"}} {report.count(severity)}'
    yield from _head("findings_by_code", "Findings by code; see docs/reference/findings.md.")
    for (code, severity), number in sorted(Counter((f.code, f.severity) for f in report.findings).items()):
        yield f'reenact_audit_findings_by_code{{{store},code="{code}",severity="{severity}"}} {number}'


def _head(name: str, words: str) -> Iterator[str]:
    yield f"# HELP reenact_audit_{name} {words}"
    yield f"# TYPE reenact_audit_{name} gauge"
