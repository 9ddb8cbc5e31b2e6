"""One self-contained HTML page about an audit: no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from reenact.cli.audit_text import checked, counts, sealed, trust
from reenact.cli.text import printable
from reenact.model.audit import SEVERITIES

if TYPE_CHECKING:
    from reenact.actions.sealing_audits import Audited
    from reenact.model.audit import AuditFinding, AuditReport

__all__ = ["audit_page"]

_COLOURS: Final = {"critical": "#b3261e", "major": "#c4570a", "minor": "#8a6d00", "notice": "#4a6572"}
_FIGURE: Final = {0: ("sound", "#1b6e3c"), 1: ("findings", "#8a6d00"), 4: ("integrity is broken", "#b3261e")}
_WIDTH: Final = 640
_STYLE: Final = """
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #1d2327; background: #f5f6f7 }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1.25rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
.state { display: inline-block; padding: .15rem .7rem; border-radius: 1rem; color: #fff; font-weight: 600; margin: .6rem 0 }
p { margin: .25rem 0 } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
dt { color: #5b666d } dd { margin: 0; overflow-wrap: anywhere }
article { background: #fff; border: 1px solid #dde1e4; border-left: .35rem solid; border-radius: .4rem; padding: .7rem 1rem; margin: .7rem 0 }
article h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere }
code { font: .88rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
.how { background: #eef1f3; border-radius: .3rem; padding: .1rem .4rem }
@media print { body { margin: 0 } article { break-inside: avoid } }
"""


def audit_page(audited: Audited) -> str:
    """Write the page."""
    return "\n".join(_page(audited)) + "\n"


def _page(audited: Audited) -> Iterator[str]:
    report = audited.report
    state, colour = _FIGURE[report.exit_code]
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f"<title>Audit {_text(report.audit_id)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<header><h1>Audit of {_text(report.selection)}</h1>"
    yield f'<div class="state" style="background:{colour}">{state}</div>'
    yield f"<p>{_text(counts(report))}</p><p>{_text(checked(report))}</p></header>"
    yield from _chart(report)
    yield from _findings(report)
    if report.not_checked:
        yield "<h2>Not looked at</h2><ul>"
        yield from (f"<li>{_text(text)}</li>" for text in report.not_checked)
        yield "</ul>"
    yield from _facts(audited)
    yield "</body>\n</html>"


def _chart(report: AuditReport) -> Iterator[str]:
    """Draw the findings by severity as bars."""
    numbers = [(severity, report.count(severity)) for severity in SEVERITIES]
    most = max((number for _, number in numbers), default=0) or 1
    yield f'<svg role="img" aria-label="{_text(counts(report))}" width="100%" viewBox="0 0 {_WIDTH} 108" style="max-width:{_WIDTH}px">'
    for place, (severity, number) in enumerate(numbers):
        y, width = 8 + place * 25, round((_WIDTH - 170) * number / most)
        yield f'<text x="0" y="{y + 13}" font-size="14" fill="#1d2327">{severity}</text>'
        yield f'<rect x="80" y="{y}" width="{max(width, 2)}" height="17" rx="3" fill="{_COLOURS[severity]}"/>'
        yield f'<text x="{90 + max(width, 2)}" y="{y + 13}" font-size="14" fill="#1d2327">{number}</text>'
    yield "</svg>"


def _findings(report: AuditReport) -> Iterator[str]:
    for severity in SEVERITIES:
        chosen = [finding for finding in report.findings if finding.severity == severity]
        if chosen:
            yield f"<h2>{severity.capitalize()}</h2>"
            for finding in chosen:
                yield from _finding(finding)


def _finding(finding: AuditFinding) -> Iterator[str]:
    yield f'<article style="border-left-color:{_COLOURS[finding.severity]}">'
    yield f"<h3>{_text(finding.code)}: {_text(finding.subject)}</h3><p>{_text(finding.message)}</p><dl>"
    rows = (
        ("job", finding.job),
        ("run", finding.run_id),
        ("also harms", ", ".join(run for run in finding.runs if run != finding.run_id)),
        ("expected", finding.expected),
        ("got", finding.got),
        ("machine", finding.environment),
    )
    for name, value in rows:
        if value:
            yield f"<dt>{name}</dt><dd><code>{_text(value)}</code></dd>"
    yield f'<dt>{finding.who}</dt><dd><code class="how">{_text(finding.how)}</code></dd></dl></article>'


def _facts(audited: Audited) -> Iterator[str]:
    report = audited.report
    yield "<h2>About this audit</h2><dl>"
    rows = (
        ("audit", report.audit_id),
        ("store", report.store_id),
        ("began", report.began_at),
        ("ended", report.ended_at),
        ("by", f"{report.audited_by}, reenact {report.tool_version}"),
        ("log", f"{report.log_size} entries, root {report.log_root or 'unknown'}"),
        ("trust", trust(report)),
        ("report", sealed(audited)),
    )
    for name, value in rows:
        yield f"<dt>{name}</dt><dd>{_text(value)}</dd>"
    yield "</dl>"


def _text(value: str) -> str:
    """Write a recorded text so that it can be nothing but text."""
    return escape(printable(value), quote=True)
