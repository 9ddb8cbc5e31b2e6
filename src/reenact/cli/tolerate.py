"""`reenact tolerate`: how much does a job vary, and what would cover it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reenact.cli.progress import progress
from reenact.cli.text import aligned, count, duration, printable
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.actions.tolerate import Tolerated, Toleration
    from reenact.replay.spread import ColumnSpread

__all__ = ["command"]


@verb(
    "tolerate",
    examples=("reenact tolerate etl --runs 5", "reenact tolerate etl --runs 10 --key id >> reenact.toml"),
    exits={
        **EXITS,
        0: "all replays are identical, or covered by what is proposed",
        1: "an output differs in a way that no policy covers",
        3: "unreplayable: something a replay needs is missing",
    },
)
@run_argument
@click.option("--runs", type=click.IntRange(2, 1000), default=5, show_default=True, help="How often to replay.")
@click.option("--key", multiple=True, metavar="COLUMN", help="A column that tells which row is which.")
@json_option
@store_option
def command(*, reference: str, runs: int, key: tuple[str, ...], as_json: bool, store: str | None) -> int:
    """Replay a run several times, say how much its outputs vary, and propose the tightest policy that covers that.

    Standard output is text for reenact.toml: the sections, with all else as comments. Where a section would hide more than
    the noise of calculating, that is said: better make the job repeatable (seeds, order) than declare it away.
    """
    from reenact.actions.tolerate import tolerate  # noqa: PLC0415 - help needs no action

    with progress(f"replaying {reference}") as say:
        result = tolerate(settings_for(store), reference, runs=runs, key=key, say=say)
    if as_json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return 3 if result.missing else 0 if result.covered else 1


def _lines(result: Toleration) -> Iterator[str]:
    if result.missing:
        yield f"# unreplayable {result.run_id}"
        yield from (f"#   missing: {printable(line)}" for line in result.missing)
        return
    yield f"# run {result.run_id}: {count(result.runs, 'replay')} in {duration(result.seconds)}"
    for output in result.outputs:
        yield from _output(output)
    for line in result.unrecorded:
        yield f"# not in the record: {printable(line)}"


def _output(output: Tolerated) -> Iterator[str]:
    spread = output.spread
    alike = "all" if spread.identical == spread.replays else f"{spread.identical} of {spread.replays}"
    yield f"# {printable(spread.name)}: {alike} identical"
    yield from (f"#   {line}" for line in aligned([_column(column) for column in spread.columns]))
    for line in spread.beyond:
        yield f"#   no policy covers this: {printable(line)}"
    for line in output.warnings:
        yield f"#   warning: {printable(line)}"
    if output.section:
        if not output.covers:
            yield "#   this does not cover all replays:"
        yield from printable(output.section, keep="\n").rstrip("\n").splitlines()
        yield ""


def _column(column: ColumnSpread) -> tuple[str, ...]:
    most = "no numbers" if column.largest is None else f"at most {column.largest:.6g}"
    relative = "" if column.largest_relative is None else f"{column.largest_relative:.2g} of the value"
    return f"column {printable(column.column)}", f"in {count(column.rows, 'row')}", most, relative
