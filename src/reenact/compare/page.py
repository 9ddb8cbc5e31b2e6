"""A page of differences: one HTML file with its own style and charts, no script, and nothing to load. Pure.

Every text of the data is escaped, and a policy in the page forbids it to load or run anything, should that ever fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from reenact.compare.result import ColumnDifference, Comparison, PartComparison, RowDifference
from reenact.model.verdict import OutputJudgement

__all__ = ["page"]

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #667085; --line: #d9dde3; --ground: #ffffff; --panel: #f6f7f9;
  --good: #1a7f4b; --near: #8a6100; --bad: #b3261e; --bar: #3b6fd4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #9aa3b2; --line: #343a44; --ground: #15181d;
  --panel: #1d2127; --good: #5fd39a; --near: #e3b341; --bad: #ff8a80; --bar: #7ea6f4; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto; max-width: 70rem;
  padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .4rem; } p { margin: .3rem 0; } .soft { color: var(--soft); }
td:first-child { min-width: 6rem; } table { border-collapse: collapse; margin: .5rem 0; max-width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } code, td.value { font-family: ui-monospace, monospace;
  font-size: .9em; overflow-wrap: anywhere; }
.level { font-weight: 600; } .identical { color: var(--good); } .equivalent { color: var(--near); }
.different, .missing, .extra { color: var(--bad); } section { background: var(--panel); border: 1px solid var(--line);
  border-radius: 8px; padding: .25rem 1rem 1rem; margin: 1rem 0; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg rect { fill: var(--bar); } svg .axis { stroke: var(--line); } .hint { border-left: 3px solid var(--near); padding-left: .6rem; }
pre { overflow-x: auto; margin: .4rem 0; }
"""
_BAR_HEIGHT: Final = 18
_CHART_WIDTH: Final = 460
_LABEL_WIDTH: Final = 130


def page(title: str, outputs: Sequence[OutputJudgement], comparisons: Mapping[str, Comparison]) -> str:
    """Write the page for a comparison."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=soft>{_summary(outputs)}</p>",
        _overview(outputs),
        *(_output(output, comparisons.get(output.name)) for output in outputs if _has_more(output, comparisons)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _summary(outputs: Sequence[OutputJudgement]) -> str:
    counts: dict[str, int] = {}
    for output in outputs:
        counts[output.verdict] = counts.get(output.verdict, 0) + 1
    return escape(", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "nothing to compare")


def _has_more(output: OutputJudgement, comparisons: Mapping[str, Comparison]) -> bool:
    return output.name in comparisons or bool(output.relaxations or output.hint)


def _level(output: OutputJudgement) -> str:
    words: str = output.verdict
    if words == "equivalent" and output.equivalence:
        words = f"equivalent: {output.equivalence}"
    return f'<span class="level {output.verdict}">{escape(words)}</span>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: frozenset[int] = frozenset()) -> str:
    """Write a table; cells are HTML already."""

    def cell(tag: str, at: int, text: str) -> str:
        return f"<{tag}{' class=number' if at in numbers else ''}>{text}</{tag}>"

    head = "".join(cell("th", at, escape(name)) for at, name in enumerate(header))
    lines = ["<tr>" + "".join(cell("td", at, text) for at, text in enumerate(row)) + "</tr>" for row in rows]
    return f"<div class=wide><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def _overview(outputs: Sequence[OutputJudgement]) -> str:
    rows = [
        (
            f"<code>{escape(o.name)}</code>",
            _level(o),
            escape("; ".join(o.differences)) + ("" if o.decides else " (only reported)"),
        )
        for o in outputs
    ]
    return _table(("output", "level", "differences"), rows)


def _output(output: OutputJudgement, comparison: Comparison | None) -> str:
    lines = [f"<h2><code>{escape(output.name)}</code> — {_level(output)}</h2>"]
    if output.policy is not None:
        lines.append(
            f"<p class=soft>Declared for <code>{escape(output.policy.pattern)}</code>: {output.policy.compare}</p>"
        )
    if output.relaxations:
        rows = [
            (
                r.kind,
                escape(" ".join(filter(None, (r.part, r.column)))),
                escape(r.detail),
                f"{r.values:,}" if r.values else "",
                escape(r.largest),
            )
            for r in output.relaxations
        ]
        lines += [
            "<h3>Let pass</h3>",
            _table(("what", "where", "how", "values", "largest"), rows, numbers=frozenset({3, 4})),
        ]
    if output.hint:
        lines.append(f"<p class=hint>{escape(output.hint)}</p>")
    if comparison is not None:
        lines += [_part(part) for part in comparison.parts if part.level != "identical"]
    return f"<section>{''.join(lines)}</section>"


def _part(part: PartComparison) -> str:
    lines = [f"<h3>{escape(part.part)}</h3>"] if part.part else []
    if part.recorded_rows is not None and part.got_rows is not None:
        lines.append(f"<p>{part.recorded_rows:,} rows → {part.got_rows:,} rows</p>")
    counts = ((part.changed, "changed"), (part.added, "added"), (part.removed, "removed"))
    if any(count for count, _ in counts):
        lines.append(f"<p>{', '.join(f'{count:,} {word}' for count, word in counts if count)}</p>")
    lines += [f"<p class=soft>{escape(note)}</p>" for note in part.notes]
    if part.schema:
        rows = [
            (f"<code>{escape(c.column)}</code>", c.change, escape(c.recorded or ""), escape(c.got or ""))
            for c in part.schema
        ]
        lines.append(_table(("column", "change", "before", "now"), rows))
    if part.columns:
        lines += [
            _columns(part.columns),
            _chart([(c.column, c.changed + c.within) for c in part.columns], "Values that differ, by column"),
        ]
        lines += [
            _chart([(f"from {power}", count) for power, count in c.histogram], f"How far apart: {c.column}")
            for c in part.columns
            if c.histogram
        ]
    if part.examples:
        lines.append(_examples(part.examples))
    if part.lines:
        lines.append(f"<pre>{escape(chr(10).join(part.lines))}</pre>")
    return "".join(lines)


def _columns(columns: Sequence[ColumnDifference]) -> str:
    rows = [
        (
            f"<code>{escape(c.column)}</code>",
            f"{c.changed:,}",
            f"{c.within:,}",
            "" if c.largest is None else f"{c.largest:.6g}",
            "" if c.largest_relative is None else f"{c.largest_relative:.3g}",
        )
        for c in columns
    ]
    header = ("column", "changed", "within tolerance", "largest difference", "relative")
    return _table(header, rows, numbers=frozenset({1, 2, 3, 4}))


def _chart(bars: Sequence[tuple[str, int]], title: str) -> str:
    """Draw horizontal bars with their numbers."""
    most = max((count for _, count in bars), default=0)
    if not most:
        return ""
    height = len(bars) * (_BAR_HEIGHT + 6) + 4
    lines = []
    for at, (label, count) in enumerate(bars):
        top = at * (_BAR_HEIGHT + 6) + 2
        width = max(1.0, count / most * _CHART_WIDTH)
        middle = top + _BAR_HEIGHT - 5
        short = label if len(label) <= 18 else label[:17] + "…"  # noqa: PLR2004 - what the label's place holds
        lines.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{_BAR_HEIGHT}" rx="2"></rect>'
            f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{middle}">{count:,}</text>'
        )
    total = _LABEL_WIDTH + _CHART_WIDTH + 90
    axis = f'<line class=axis x1="{_LABEL_WIDTH}" y1="0" x2="{_LABEL_WIDTH}" y2="{height}"></line>'
    return (
        f"<h3>{escape(title)}</h3><div class=wide>"
        f'<svg role="img" aria-label="{escape(title)}" width="{total}" height="{height}" viewBox="0 0 {total} {height}">'
        f"{axis}{''.join(lines)}</svg></div>"
    )


def _examples(examples: Sequence[RowDifference]) -> str:
    rows = [row for example in examples for row in _example(example)]
    return "<h3>First rows that differ</h3>" + _table(
        ("", "row", "column", "before", "now", "difference"), rows, numbers=frozenset({5})
    )


def _example(example: RowDifference) -> Iterator[tuple[str, ...]]:
    where = ", ".join(f"{name} = {'null' if value is None else value}" for name, value in example.key)
    numbers = [f"{n:,}" for n in dict.fromkeys((example.recorded_row, example.got_row)) if n is not None]
    shown = escape(where or f"row {' → '.join(numbers)}")
    label: str = example.kind
    for cell in example.cells:
        before = "" if example.kind == "added" else _value(cell.recorded)
        now = "" if example.kind == "removed" else _value(cell.got)
        delta = "" if cell.delta is None else f"{cell.delta:+.6g}"
        yield label, shown, f"<code>{escape(cell.column)}</code>", before, now, delta
        label = shown = ""


def _value(value: str | None) -> str:
    return "<span class=soft>null</span>" if value is None else f"<code>{escape(value)}</code>"
