"""`reenact release`: end the holds of runs."""

from __future__ import annotations

import click

from reenact.cli.text import printable
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "release",
    examples=(
        "reenact release latest --reason 'the audit is over'",
        "reenact release 5f2c --matter audit-7 --reason over",
    ),
    exits=(0, 1, 2, 4),
)
@click.argument("references", nargs=-1, required=True, metavar="RUN...")
@click.option("--reason", required=True, help="Why they may go now.")
@click.option("--matter", help="End only the holds for this.")
@json_option
@store_option
def command(*, references: tuple[str, ...], reason: str, matter: str | None, as_json: bool, store: str | None) -> int:
    """End the holds of runs, so that they can be pruned.

    The hold and its release both stay on record.
    """
    from reenact.actions.custody import release  # noqa: PLC0415 - help needs no action

    released = release(settings_for(store), references, reason, matter)
    if as_json:
        print_json(released)
    else:
        for line in released:
            print(f"released  {line.run_id}  {printable(line.matter or '-')}")
    return 0
