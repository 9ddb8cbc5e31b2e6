"""`reenact run`: record a command."""

from __future__ import annotations

import click

from reenact.cli.quick import Words, start
from reenact.cli.verb import Pairs, store_option, verb

__all__ = ["command"]


@verb(
    "run",
    examples=(
        "reenact run -- python etl.py --day 2026-01-31",
        "reenact run --job daily -p day=2026-01-31 -- ./load.sh",
        "reenact run --label team=finance -- dbt build",
    ),
    exits="That of the command, whatever happened to the recording; 2 when the options or the settings cannot be used; 127"
    " when there is no such command and 126 when it cannot be executed; if the command was ended by a signal, so is this.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--job", metavar="NAME", help="The job's name; without it the name of the script, or of the program.")
@click.option(
    "-p", "--param", "parameters", type=Pairs(), multiple=True, help="A parameter of this run, for finding it later."
)
@click.option("--label", "labels", type=Pairs(), multiple=True, help="A label, for finding the run later.")
@click.option(
    "--rung",
    type=click.Choice(["auto", "kernel", "strace", "python", "declared"]),
    help="The way of observing, instead of the first that works here.",
)
@click.option(
    "--linger",
    "linger_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait this long for processes that the command left behind.",
)
@store_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] CMD...")
def command(
    *,
    argv: tuple[str, ...],
    job: str | None,
    parameters: tuple[tuple[str, str], ...],
    labels: tuple[tuple[str, str], ...],
    rung: str | None,
    linger_seconds: float | None,
    store: str | None,
) -> int:
    """Run a command and record everything it depends on.

    Its input, output, terminal, signals and exit status are its own. When it has ended, one line on standard error says which
    run was recorded and whether it can be replayed exactly.
    """
    return start(Words(argv, job, dict(parameters), dict(labels), rung, linger_seconds, store))
