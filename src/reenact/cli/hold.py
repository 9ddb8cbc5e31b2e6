"""`reenact hold`: keep runs from being pruned."""

from __future__ import annotations

import click

from reenact.cli.text import printable
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "hold",
    examples=(
        "reenact hold latest --reason 'audit of January'",
        "reenact hold 5f2c 77ab --matter audit-7 --reason audit",
    ),
    exits=(0, 1, 2, 4),
)
@click.argument("references", nargs=-1, required=True, metavar="RUN...")
@click.option("--reason", required=True, help="Why they must stay.")
@click.option("--matter", help="What they are held for; `release` can name it.")
@json_option
@store_option
def command(*, references: tuple[str, ...], reason: str, matter: str | None, as_json: bool, store: str | None) -> int:
    """Keep runs from being pruned, until they are released.

    A run may be held several times, for different matters, and stays until all of them are released. Holds are records of
    their own, beside the runs, and are logged.
    """
    from reenact.actions.custody import hold  # noqa: PLC0415 - help needs no action

    held = hold(settings_for(store), references, reason, matter)
    if as_json:
        print_json(held)
    else:
        for line in held:
            print(f"held  {line.run_id}  {printable(line.reason)}")
    return 0
