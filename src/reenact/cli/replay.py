"""`reenact replay`: run again from the record, and judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reenact.cli.progress import progress
from reenact.cli.text import aligned, duration, printable, short_digest
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.actions.replay import ReplayResult
    from reenact.model.verdict import OutputJudgement

__all__ = ["EXIT_OF", "command"]

EXIT_OF = {"reproduced": 0, "equivalent": 0, "diverged": 1, "unreplayable": 3}


@verb(
    "replay",
    examples=(
        "reenact replay latest",
        "reenact replay etl --to /tmp/again",
        "reenact replay etl~3 --dry-run --json",
    ),
    exits={
        **EXITS,
        0: "reproduced, or equivalent under the declared tolerance",
        1: "diverged: something the run made, or needed, is not the same",
        3: "unreplayable: something the replay needs is missing",
    },
)
@run_argument
@click.option("--dry-run", is_flag=True, help="Plan, run and judge, but keep neither the new run nor its verdict.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the outputs that the replay made into this folder, under their names.",
)
@json_option
@store_option
def command(*, reference: str, dry_run: bool, to: Path | None, as_json: bool, store: str | None) -> int:
    """Run a recorded run again from the record alone, and say whether it gave the same.

    The replay sees the recorded files at their recorded paths and nothing else: no other file of this machine and no network.
    The record is not touched; the replay is a run of its own, and its verdict is signed and kept with the record.
    """
    from reenact.actions.replay import ReplayRequest, replay  # noqa: PLC0415 - help needs no action

    with progress(f"replaying {reference}"):
        result = replay(settings_for(store), ReplayRequest(reference=reference, dry_run=dry_run, to=to))
    if as_json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return EXIT_OF[result.verdict]


def _lines(result: ReplayResult) -> Iterator[str]:
    mark = "✔" if EXIT_OF[result.verdict] == 0 else "✘"
    yield f"{mark} {result.verdict} {result.run_id} · {result.rung} · {duration(result.seconds)}"
    yield from aligned(
        [(o.verdict, printable(o.name), _change(o.recorded, o.got), _differences(o)) for o in result.outputs],
        indent="  ",
    )
    for title, items in (
        ("missing", result.missing),
        ("not in the record", result.unrecorded),
        ("not isolated", result.not_isolated),
        ("this machine differs", result.drift),
        ("hazards", result.hazards),
    ):
        for item in items:
            yield f"  {title}: {printable(item)}"


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
    return short_digest(value) if value is None or value.startswith("sha256:") else value
