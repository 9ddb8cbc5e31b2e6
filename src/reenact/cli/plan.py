"""`reenact plan`: can a run be replayed now?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reenact.cli.progress import progress
from reenact.cli.text import printable
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.replay.plan import Plan

__all__ = ["command"]


@verb(
    "plan",
    examples=("reenact plan latest", "reenact plan etl --json"),
    exits={**EXITS, 0: "replayable", 3: "unreplayable: something is missing"},
)
@run_argument
@json_option
@store_option
def command(*, reference: str, as_json: bool, store: str | None) -> int:
    """Say whether a run can be replayed now: check every object it needs, and run nothing.

    Everything that is missing or damaged is listed at once, with what it was in the run.
    """
    from reenact.actions.plan import plan  # noqa: PLC0415 - help needs no action

    with progress(f"checking {reference}"):
        made = plan(settings_for(store), reference)
    if as_json:
        print_json(made)
    else:
        print("\n".join(_lines(made)))
    return 0


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{'✔ replayable' if plan.replayable else '✘ unreplayable'} {printable(plan.run_id)}"
