"""`reenact compare`: what differs in the outputs of two runs, or in two files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from reenact.cli.differences import output_lines, print_differences
from reenact.cli.policy_options import policy_from, policy_options
from reenact.cli.progress import progress
from reenact.cli.text import aligned, count, printable
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.compare import CompareResult
    from reenact.replay.contrast import Contrast

__all__ = ["command"]

_SHOWN: Final = 30
"""Of what differed before, for people; --json has all."""
_LONGEST: Final = 60
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@verb(
    "compare",
    examples=(
        "reenact compare etl~1 etl",
        "reenact compare yesterday.parquet today.parquet --key id --relative price=1e-9",
        "reenact compare etl out/daily.parquet --html differences.html",
    ),
    exits={**EXITS, 0: "equal, as declared", 1: "not equal"},
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@policy_options
@click.option("--name", metavar="NAME", help="Which output of a run is meant, where a run is compared with a file.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page with tables and charts of the differences: one file, which loads nothing.",
)
@json_option
@store_option
def command(
    *,
    first: str,
    second: str,
    name: str | None,
    html: Path | None,
    as_json: bool,
    store: str | None,
    **words: Any,  # noqa: ANN401 - the options of a policy
) -> int:
    """Compare two runs, two files or folders, or a run and a file, by what is in them.

    A and B name runs, or are paths. A is taken for what was before. What counts as equal is what reenact.toml declares
    for the names of outputs, or these options where any is given. Nothing is executed or kept. Of two runs it is also told
    what differed before: what they read, ran with and were told, the likeliest causes first (which one it was: reenact explain).
    """
    from reenact.actions.compare import CompareRequest, compare  # noqa: PLC0415 - help needs no action

    request = CompareRequest(first=first, second=second, policy=policy_from("**", words), name=name)
    with progress(f"comparing {first} and {second}"):
        result = compare(settings_for(store), request)
    if html is not None:
        from reenact.compare.page import page  # noqa: PLC0415 - only for a page

        title = f"{result.first} and {result.second}"
        html.write_text(page(title, result.outputs, result.comparisons), encoding="utf-8")
    if as_json:
        print_json(result)
    else:
        print_differences(_lines(result))
    return 0 if result.equal else 1


def _lines(result: CompareResult) -> Iterator[str]:
    unlike = sum(o.verdict not in {"identical", "equivalent"} for o in result.outputs)
    said = "equal" if result.equal else f"not equal: {unlike} of {count(len(result.outputs), 'output')}"
    yield f"{'✔' if result.equal else '✘'} {said}"
    yield from output_lines(result.outputs, result.comparisons)
    if result.before:
        yield ""
        yield f"  What differed before the run ({len(result.before):,})"
        rows = [(printable(c.section), printable(c.name), _values(c)) for c in result.before[:_SHOWN]]
        yield from aligned(rows, indent="    ")
        if len(result.before) > _SHOWN:
            yield f"    … and {len(result.before) - _SHOWN:,} more; --json has all"


def _values(one: Contrast) -> str:
    return f"{_value(one.before)} → {_value(one.after)}"


def _value(value: str | None) -> str:
    """Write a value for people: digests and what is long cut short."""
    if value is None:
        return "-"
    text = _DIGEST.sub(lambda found: found[0].partition(":")[2][:12], printable(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
