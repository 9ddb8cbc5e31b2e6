"""`reenact replay`: run again from the record, and judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from reenact.cli.progress import progress
from reenact.cli.text import aligned, duration, printable, short_digest
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb
from reenact.replay.rungs import RUNGS, ReplayRung

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
        "reenact replay etl --rung auto",
    ),
    exits={
        **EXITS,
        0: "reproduced, or equivalent under the declared tolerance",
        1: "diverged: something the run made, or needed, is not the same",
        3: "unreplayable on that rung: something the replay needs is missing, or stands in its way",
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
@click.option(
    "--rung",
    type=click.Choice([*RUNGS, "auto"]),
    default="world",
    show_default=True,
    help="Where to run: in the closed world of the record; in a fresh folder, with the recorded Python packages installed"
    " again (rebuilt) or with what is on this machine (here); or on the first of these that is possible (auto).",
)
@json_option
@store_option
def command(
    *,
    reference: str,
    dry_run: bool,
    to: Path | None,
    rung: ReplayRung | Literal["auto"],
    as_json: bool,
    store: str | None,
) -> int:
    """Run a recorded run again from the record, and say whether it gave the same.

    In its world the replay sees the recorded files at their recorded paths and nothing else: no other file of this machine
    and no network. On the rungs rebuilt and here the job runs on this machine itself, on copies of its files in a fresh folder;
    the verdict names the rung and all that it does not keep apart. A run that used files outside its own folder is refused there.
    The record is not touched; the replay is a run of its own, and its verdict is signed and kept with the record.
    """
    from reenact.actions.replay import ReplayRequest, replay  # noqa: PLC0415 - help needs no action

    with progress(f"replaying {reference}"):
        result = replay(settings_for(store), ReplayRequest(reference=reference, dry_run=dry_run, to=to, rung=rung))
    if as_json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return EXIT_OF[result.verdict]


def _lines(result: ReplayResult) -> Iterator[str]:
    mark = "✔" if EXIT_OF[result.verdict] == 0 else "✘"
    yield " · ".join(
        part for part in (f"{mark} {result.verdict} {result.run_id}", result.rung, duration(result.seconds)) if part
    )
    yield from aligned(
        [(o.verdict, printable(o.name), _change(o.recorded, o.got), _differences(o)) for o in result.outputs],
        indent="  ",
    )
    for title, items in (
        ("higher rung not possible", result.passed_over),
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
