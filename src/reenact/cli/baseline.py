"""`reenact baseline`: the run that a job is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reenact.cli.table import print_table
from reenact.cli.text import printable
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.model.baseline import Baseline

__all__ = ["command"]


@verb(
    "baseline",
    examples=(
        "reenact baseline set etl",
        "reenact baseline set etl 9f3a5b7c --reason 'checked by hand'",
        "reenact baseline show etl",
        "reenact baseline list --json",
        "reenact baseline clear etl",
    ),
    exits=(0, 1, 2, 4),
)
@click.argument("action", type=click.Choice(["set", "show", "list", "clear"]))
@click.argument("job", required=False)
@click.argument("reference", metavar="[RUN]", required=False)
@click.option("--reason", default="", help="set, clear: why; it is kept with the choice.")
@json_option
@store_option
def command(
    *, action: str, job: str | None, reference: str | None, reason: str, as_json: bool, store: str | None
) -> int:
    """Choose the run that later ones of a job are compared with, by `reenact validate` and in reports of others.

    set takes a run of the job, its latest where none is named. show gives the choice that holds and all before it. list gives
    those of all jobs. clear ends it. A run that is a baseline is not pruned. Choices are never overwritten, and are logged.
    """
    from reenact.actions import baseline  # noqa: PLC0415 - help needs no action

    if (job is None) != (action == "list") or (reference is not None and action != "set"):
        wanted = {"list": "", "set": " JOB [RUN]"}.get(action, " JOB")
        raise click.UsageError(f"expected: reenact baseline {action}{wanted}")
    settings = settings_for(store)
    found: list[Baseline]
    if job is None:
        found = baseline.list_baselines(settings)
    elif action == "set":
        found = [baseline.set_baseline(settings, job, reference, reason)]
    elif action == "clear":
        found = [baseline.clear_baseline(settings, job, reason)]
    else:
        found = baseline.show_baseline(settings, job)
    if as_json:
        print_json(found)
    else:
        print_table(("JOB", "RUN", "SET", "BY", "REASON"), [_row(choice) for choice in found])
    return 0


def _row(choice: Baseline) -> tuple[str, ...]:
    when = choice.set_at[:19].replace("T", " ")
    return printable(choice.job), choice.run_id or "(none)", when, printable(choice.set_by), printable(choice.reason)
