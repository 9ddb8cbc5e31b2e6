"""`reenact plan`: can a run be replayed now?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from reenact.cli.progress import progress
from reenact.cli.text import count, printable, size
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb
from reenact.replay.rungs import RUNGS, ReplayRung

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.replay.plan import Plan

__all__ = ["command", "exit_code"]


@verb(
    "plan",
    examples=("reenact plan latest", "reenact plan etl --json", "reenact plan etl --rung here"),
    exits={**EXITS, 0: "replayable", 3: "unreplayable: something is missing"},
)
@run_argument
@click.option(
    "--rung",
    type=click.Choice(RUNGS),
    default="world",
    show_default=True,
    help="Of which way to replay to speak; see: reenact replay --help.",
)
@json_option
@store_option
def command(*, reference: str, rung: ReplayRung, as_json: bool, store: str | None) -> int:
    """Say whether a run can be replayed now: check every object it needs, and run nothing.

    Everything that is missing or damaged is listed at once, with what it was in the run.
    """
    from reenact.actions.plan import plan  # noqa: PLC0415 - help needs no action

    with progress(f"checking {reference}"):
        made = plan(settings_for(store), reference, rung)
    if as_json:
        # The sentences too: what scripts print for people.
        print_json({**msgspec.to_builtins(made), "missing": made.missing})
    else:
        print("\n".join(_lines(made)))
    return exit_code(made)


def exit_code(plan: Plan) -> int:
    """Give 0 when the run can be replayed, 4 when something that it needs is damaged, else 3."""
    if plan.replayable:
        return 0
    return 4 if any(lack.problem == "damaged" for lack in plan.lacks) else 3


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{'✔ replayable' if plan.replayable else '✘ unreplayable'} {plan.run_id}"
    needs = f"{count(len(plan.pieces), 'piece')}, {size(plan.size_bytes)}"
    yield f"  needs: {needs}"
    if plan.rung == "world":
        yield f"  rung: world, made as {'root' if plan.way == 'root' else 'an ordinary user'}"
    elif plan.rung is not None:
        yield f"  rung: {plan.rung}, in a fresh folder on this machine itself"
    for title, items in (
        ("in the way", plan.obstacles),
        ("lacking", [lack.sentence() for lack in plan.lacks]),
        ("secret to be given", [f"{secret.name} ({secret.where})" for secret in plan.secrets]),
        ("this machine differs", plan.drift),
        ("hazard", [f"{hazard.code}: {hazard.message}" for hazard in plan.hazards]),
    ):
        for item in items:
            yield f"  {title}: {printable(item)}"
