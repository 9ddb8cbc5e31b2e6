"""`reenact push`: copy runs to another store."""

from __future__ import annotations

import click

from reenact.cli.progress import progress
from reenact.cli.transfer import check_selection, selection_options, tell
from reenact.cli.verb import EXITS, json_option, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "push",
    examples=(
        "reenact push latest --to /mnt/archive/reenact",
        "reenact push --job daily-load --to s3://bucket/records",
        "reenact push --all --to ~/backup --json",
    ),
    exits={
        **EXITS,
        0: "all are there now",
        3: "bytes of a run are missing here",
        4: "a record or its bytes are damaged",
    },
)
@selection_options
@click.option("--to", "target", required=True, metavar="STORE", help="Where to; made when it is not there.")
@json_option
@store_option
def command(
    *,
    references: tuple[str, ...],
    everything: bool,
    jobs: tuple[str, ...],
    target: str,
    as_json: bool,
    store: str | None,
) -> int:
    """Copy runs to another store, with everything they need to be verified and replayed there.

    Only what is missing there is copied, and what arrives is checked before it counts. Replays of a run and their verdicts go
    along. A run whose record or bytes are not good is named and left out. After a failure or a kill the same command goes on.
    """
    check_selection(references, everything=everything, jobs=jobs)
    from reenact.actions.transfer import Selection, push  # noqa: PLC0415 - help needs no action

    with progress("pushing") as say:
        selection = Selection(names=references, everything=everything, jobs=jobs)
        done = push(settings_for(store), selection, to=target, say=say)
    return tell(done, as_json=as_json)
