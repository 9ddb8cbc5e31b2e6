"""`reenact attest`: write the proof of a run, to ship with its outputs."""

from __future__ import annotations

import click

from reenact.cli.passphrase import asked
from reenact.cli.progress import progress
from reenact.cli.text import count, printable
from reenact.cli.verb import json_option, print_json, run_argument, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "attest",
    examples=("reenact attest latest --to shipped", "reenact attest etl --to shipped --since checkpoint.txt"),
    exits=(0, 1, 2, 4),
)
@run_argument
@click.option("--to", required=True, metavar="DIR", help="The folder the proof file goes to.")
@click.option("--since", metavar="FILE", help="A checkpoint the receiver keeps: show that the log began with it.")
@json_option
@store_option
def command(*, reference: str, to: str, since: str | None, as_json: bool, store: str | None) -> int:
    """Write a file that proves a run to somebody who has nothing else: RUN.proof.json.

    It holds the signed record and the verdicts of its replays, where they are in the log, a signed checkpoint of that, and the
    history of the keys. Whoever gets it with the outputs checks both with: reenact verify --proof FILE OUTPUT...
    """
    from reenact.actions.proving import attest  # noqa: PLC0415 - help needs no action
    from reenact.actions.trusting import read_pin  # noqa: PLC0415 - same

    pin = read_pin(since) if since is not None else None
    with progress(f"proving {reference}"):
        made = asked(lambda: attest(settings_for(store), reference, to, pin))
    if as_json:
        print_json(made)
        return 0
    words = f"; replayed: {', '.join(made.verdicts)}" if made.verdicts else ""
    print(f"wrote {printable(made.path)}: {count(len(made.outputs), 'output')} of run {made.run_id}{words}")
    return 0
