"""What differs, for people: a line for each output, and below it rows, columns and lines, the first ones."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from reenact.cli.text import aligned, printable, short_digest

if TYPE_CHECKING:
    from reenact.compare.result import Comparison, PartComparison, RowDifference
    from reenact.model.policy import Policy
    from reenact.model.verdict import OutputJudgement

__all__ = ["level_words", "output_lines", "policy_words", "print_differences"]

_VALUE_CHARACTERS: Final = 40
"""Of a value, in a table for people; --json has all of it."""
_SHOWN_IDENTICAL: Final = 20
_SHOWN_OTHERS: Final = 200
_ALWAYS_SHOWN: Final = frozenset({"exit-code", "stdout", "stderr"})
_STYLES: Final = {
    "✔": "green",
    "✘": "red",
    "identical": "green",
    "equivalent:": "yellow",
    "different": "red",
    "missing": "red",
    "extra": "red",
    "~": "yellow",
    "+": "green",
    "-": "red",
    "hint:": "cyan",
}
"""How the first word of a line is coloured on a terminal."""
_MARKS: Final = {"changed": "~", "added": "+", "removed": "-"}


def print_differences(lines: Iterable[str]) -> None:
    """Print lines; on a terminal the first word of each says by its colour what kind of line it is."""
    if not sys.stdout.isatty():
        print("\n".join(lines))
        return
    from rich.console import Console  # noqa: PLC0415 - 60 ms, spent only for a person at a terminal
    from rich.text import Text  # noqa: PLC0415 - same

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        shown = Text(line)
        words = line.split(maxsplit=1)
        if words and (style := _STYLES.get(words[0])):
            start = line.index(words[0])
            shown.stylize(style, start, start + len(words[0]))
        console.print(shown)


def level_words(output: OutputJudgement) -> str:
    """Name the level, as in ``equivalent: order``."""
    if output.verdict == "equivalent" and output.equivalence is not None:
        return f"equivalent: {output.equivalence}"
    return output.verdict


def output_lines(outputs: Sequence[OutputJudgement], comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Give the lines for outputs: first one for each, then what differs in each; of many alike the rest is only counted."""
    shown = _chosen(outputs)
    rows = [(level_words(o), printable(o.name), _change(o.recorded, o.got), _differences(o)) for o in shown]
    yield from aligned(rows, indent="  ")
    left_out = Counter(o.verdict == "identical" for o in outputs) - Counter(o.verdict == "identical" for o in shown)
    for identical, number in sorted(left_out.items()):
        what = "identical" if identical else "not identical"
        yield f"  … and {number:,} more, {what}; --json has them all"
    for output in shown:
        details = [*_relaxed(output), *_details(comparisons.get(output.name), output)]
        if output.hint:
            details.append(f"hint: {output.hint}")
        if details:
            yield ""
            yield f"  {printable(output.name)}"
            yield from (f"    {line}".rstrip() for line in details)


def _chosen(outputs: Sequence[OutputJudgement]) -> list[OutputJudgement]:
    """Choose those that are shown, in their order: identical ones give way to others."""
    room = {True: _SHOWN_IDENTICAL, False: _SHOWN_OTHERS}
    chosen = []
    for output in outputs:
        identical = output.verdict == "identical" and output.name not in _ALWAYS_SHOWN
        room[identical] -= 1
        if room[identical] >= 0:
            chosen.append(output)
    return chosen


def _differences(output: OutputJudgement) -> str:
    """Say in words what differs, and when that does not count."""
    said = printable("; ".join(output.differences))
    return said if output.decides or not said else f"{said} (only reported)"


def _change(recorded: str | None, got: str | None) -> str:
    if recorded == got:
        return _short(recorded)
    return f"{_short(recorded)} → {_short(got)}"


def _short(value: str | None) -> str:
    """A digest shortened; anything else (an exit status) as it is."""
    return short_digest(value) if value is None or value.startswith("sha256:") else printable(value)


def policy_words(policy: Policy) -> str:
    """Say what a policy declares, in one line."""
    words = [f"compare = {policy.compare}"]
    if policy.order == "any" and policy.compare != "rows":
        words.append("order = any")
    if policy.key:
        words.append(f"key = {', '.join(policy.key)}")
    if policy.ignore_columns:
        words.append(f"without {', '.join(policy.ignore_columns)}")
    words += [
        f"{column} within {' or '.join(f'{getattr(t, m)} {m}' for m in t.__struct_fields__ if getattr(t, m) is not None)}"
        for column, t in policy.tolerance.items()
    ]
    return "; ".join(words)


def _relaxed(output: OutputJudgement) -> Iterator[str]:
    """Say what was let pass, and by which policy."""
    if output.policy is not None and (output.relaxations or output.verdict == "different"):
        yield printable(f'declared for "{output.policy.pattern}": {policy_words(output.policy)}')
    for relaxation in output.relaxations:
        where = ": ".join(filter(None, (relaxation.part, relaxation.column and f"column {relaxation.column}")))
        amount = f", {relaxation.values:,} of them" if relaxation.values else ""
        largest = f", at most {float(relaxation.largest):.6g}" if relaxation.largest else ""
        subject = f"{where}: " if where else ""
        yield printable(f"let pass ({relaxation.kind}): {subject}{relaxation.detail}{amount}{largest}")


def _details(comparison: Comparison | None, output: OutputJudgement) -> Iterator[str]:
    if comparison is None or output.verdict != "different":
        return
    for part in comparison.parts:
        if part.level != "different":
            continue
        lines = [*_columns(part), *_examples(part), *map(printable, part.lines)]
        if lines:
            if part.part:
                yield printable(part.part)
            yield from lines


def _columns(part: PartComparison) -> Iterator[str]:
    changed = [column for column in part.columns if column.changed]
    if not changed:
        return
    rows = [("column", "changed", "largest difference", "relative")]
    rows += [
        (
            printable(column.column),
            f"{column.changed:,}",
            "-" if column.largest is None else f"{column.largest:.6g}",
            "-" if column.largest_relative is None else f"{column.largest_relative:.3g}",
        )
        for column in changed
    ]
    yield from aligned(rows, right=frozenset({1, 2, 3}))
    yield ""


def _examples(part: PartComparison) -> Iterator[str]:
    rows = [row for example in part.examples for row in _example(example)]
    yield from aligned(rows)
    total = part.changed + part.added + part.removed
    if total > len(part.examples) > 0:
        yield f"… and {total - len(part.examples):,} more rows ([compare] examples sets how many are shown)"


def _example(example: RowDifference) -> Iterator[tuple[str, ...]]:
    """One line for a row that only one side has, one for each value of a changed one."""
    mark = _MARKS[example.kind]
    where = _where(example)
    if example.kind != "changed":
        values = [f"{c.column}={_cut(c.recorded if example.kind == 'removed' else c.got)}" for c in example.cells]
        yield mark, where, printable(" ".join(values)), ""
        return
    for cell in example.cells:
        delta = "" if cell.delta is None else f"({cell.delta:+.6g})"
        yield mark, where, f"{printable(cell.column)}: {_cut(cell.recorded)} → {_cut(cell.got)}", delta
        mark, where = "", ""


def _where(example: RowDifference) -> str:
    if example.key:
        return printable(", ".join(f"{name}={_cut(value)}" for name, value in example.key))
    numbers = {n for n in (example.recorded_row, example.got_row) if n is not None}
    if len(numbers) == 1:
        return f"row {numbers.pop():,}"
    return f"row {example.recorded_row:,} → {example.got_row:,}"


def _cut(value: str | None) -> str:
    if value is None:
        return "null"
    shown = printable(value)
    return shown if len(shown) <= _VALUE_CHARACTERS else shown[: _VALUE_CHARACTERS - 1] + "…"
