"""`reenact pull`: copy runs from another store."""

from __future__ import annotations

import click

from reenact.cli.progress import progress
from reenact.cli.transfer import check_selection, selection_options, tell
from reenact.cli.verb import EXITS, json_option, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "pull",
    examples=(
        "reenact pull daily-load --from /mnt/archive/reenact",
        "reenact pull --all --from s3://bucket/records",
    ),
    exits={
        **EXITS,
        0: "all are here now",
        3: "bytes of a run are missing there",
        4: "a record or its bytes are damaged",
    },
)
@selection_options
@click.option("--from", "source", required=True, metavar="STORE", help="Where from; RUN names runs of that store.")
@json_option
@store_option
def command(
    *,
    references: tuple[str, ...],
    everything: bool,
    jobs: tuple[str, ...],
    source: str,
    as_json: bool,
    store: str | None,
) -> int:
    """Copy runs from another store into this one, with everything they need to be verified and replayed here.

    Only what is missing here is copied, and what arrives is checked before it counts. Replays of a run and their verdicts come
    along. The public keys that signed the records come too: from then on this store trusts those signers.
    """
    check_selection(references, everything=everything, jobs=jobs)
    from reenact.actions.transfer import Selection, pull  # noqa: PLC0415 - help needs no action

    with progress("pulling") as say:
        selection = Selection(names=references, everything=everything, jobs=jobs)
        done = pull(settings_for(store), selection, source=source, say=say)
    return tell(done, as_json=as_json)
