"""`reenact replay`: run again from the record, and judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from reenact.cli.differences import output_lines, print_differences
from reenact.cli.progress import progress
from reenact.cli.text import duration, printable
from reenact.cli.verb import EXITS, Pairs, json_option, print_json, run_argument, settings_for, store_option, verb
from reenact.replay.rungs import RUNGS, ReplayRung

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.actions.replay import ReplayRequest, ReplayResult
    from reenact.actions.varying import Variation
    from reenact.settings import Settings

__all__ = ["EXIT_OF", "command"]

EXIT_OF = {
    "reproduced": 0,
    "equivalent": 0,
    "diverged": 1,
    "unreplayable": 3,
    "unchanged": 0,
    "changed": 1,
    "unsure": 3,
}


@verb(
    "replay",
    examples=(
        "reenact replay latest",
        "reenact replay etl --to /tmp/again",
        "reenact replay etl~3 --dry-run --json",
        "reenact replay etl --rung auto",
        "reenact replay etl --code . --dry-run",
        "reenact replay etl --input raw/orders.csv=fixed.csv --to /tmp/fixed",
    ),
    exits={
        **EXITS,
        0: "reproduced, or equivalent: equal as far as declared; varied: unchanged",
        1: "diverged: something the run made, or needed, is not the same; varied: changed",
        3: "unreplayable on that rung: something the replay needs is missing, or stands in its way;"
        " varied, also unsure: it needed something that was neither recorded nor given",
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
@click.option(
    "--code",
    metavar="DIR|REV",
    help="What if: with the code of a folder, which stands for the job's root, or of a revision of the recorded repository.",
)
@click.option(
    "--env",
    "environment",
    metavar="current|DIR|LOCK",
    help="What if: with what is at the recorded paths of the environment now; with a virtual environment; or with one that uv"
    " builds from a file of pinned requirements.",
)
@click.option(
    "--input",
    "inputs",
    type=Pairs(),
    multiple=True,
    metavar="NAME=PATH",
    help="What if: with another file, or folder, in place of an input.",
)
@click.option(
    "-p",
    "--param",
    "parameters",
    type=Pairs(),
    multiple=True,
    help="What if: with another value of a parameter, in the command and the variables that told it to the job.",
)
@click.option(
    "--var", "variables", type=Pairs(), multiple=True, help="What if: with an environment variable set to this."
)
@click.option("--unset", multiple=True, metavar="NAME", help="What if: without an environment variable.")
@click.option("--command", "words", metavar="WORDS", help="What if: with another command, quoted as for a shell.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the verdict as a JUnit report too, one test case an output.",
)
@json_option
@store_option
def command(
    *,
    reference: str,
    dry_run: bool,
    to: Path | None,
    rung: ReplayRung | Literal["auto"],
    code: str | None,
    environment: str | None,
    inputs: tuple[tuple[str, str], ...],
    parameters: tuple[tuple[str, str], ...],
    variables: tuple[tuple[str, str], ...],
    unset: tuple[str, ...],
    words: str | None,
    junit: Path | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Run a recorded run again from the record, and say whether it gave the same.

    In its world the replay sees the recorded files at their recorded paths and nothing else: no other file of this machine
    and no network. On the rungs rebuilt and here the job runs on this machine itself, on copies of its files in a fresh folder;
    the verdict names the rung and all that it does not keep apart. A run that used files outside its own folder is refused there.
    The record is not touched; the replay is a run of its own, and its verdict is signed and kept with the record.

    With a "what if" option the replay runs in the same closed world with that one thing changed (several may be given), and the
    verdict says which outputs are others then: unchanged, changed, or unsure.
    """
    from reenact.actions.replay import ReplayRequest  # noqa: PLC0415 - help needs no action
    from reenact.actions.varying import Variation  # noqa: PLC0415 - same

    variation = Variation(
        code=code,
        environment=environment,
        inputs=inputs,
        parameters=parameters,
        variables=(*variables, *((name, None) for name in unset)),
        command=_split(words),
    )
    if variation and rung != "world":
        raise click.UsageError("a replay with something changed is possible in a closed world only: leave --rung out")
    request = ReplayRequest(reference=reference, dry_run=dry_run, to=to, rung=rung)
    with progress(f"replaying {reference}"):
        result = _replayed(settings_for(store), request, variation)
    if junit is not None:
        from reenact.cli.junit import write_replay  # noqa: PLC0415 - only where it is wanted

        write_replay(result, junit)
    if as_json:
        print_json(result)
    else:
        print_differences(_lines(result))
    return EXIT_OF[result.verdict]


def _replayed(settings: Settings, request: ReplayRequest, variation: Variation) -> ReplayResult:
    if variation:
        from reenact.actions.what_if import what_if  # noqa: PLC0415 - only where it is wanted

        return what_if(settings, request, variation)
    from reenact.actions.replay import replay  # noqa: PLC0415 - same

    return replay(settings, request)


def _split(words: str | None) -> tuple[str, ...]:
    if words is None:
        return ()
    import shlex  # noqa: PLC0415 - rarely needed

    try:
        found = tuple(shlex.split(words))
    except ValueError as error:
        raise click.UsageError(f"--command {words!r}: {error}") from error
    if not found:
        raise click.UsageError("--command: no command is given")
    return found


def _lines(result: ReplayResult) -> Iterator[str]:
    mark = "✔" if EXIT_OF[result.verdict] == 0 else "✘"
    yield " · ".join(
        part for part in (f"{mark} {result.verdict} {result.run_id}", result.rung, duration(result.seconds)) if part
    )
    if result.summary:
        yield f"  {printable(result.summary)}"
    yield from output_lines(result.outputs, result.comparisons)
    for title, items in (
        ("higher rung not possible", result.passed_over),
        ("missing", result.missing),
        ("not in the world" if result.variations else "not in the record", result.unrecorded),
        ("note", result.notes),
        ("not isolated", result.not_isolated),
        ("this machine differs", result.drift),
        ("hazards", result.hazards),
    ):
        for item in items:
            yield f"  {title}: {printable(item)}"
