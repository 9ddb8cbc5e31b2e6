"""`reenact log`: the log of what was signed, its checkpoints and their witnesses."""

from __future__ import annotations

import os
import sys

import click

from reenact.cli.passphrase import VARIABLE, asked
from reenact.cli.table import print_table
from reenact.cli.text import printable
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb
from reenact.errors import StoreError

__all__ = ["command"]


@verb(
    "log",
    examples=(
        "reenact log show --limit 10",
        "reenact log checkpoint --to checkpoint.txt",
        "reenact log timestamp --tsa https://tsa.example.com",
        "reenact log cosign --name example.com/audit --key audit.pem --since seen.txt --to seen.txt",
    ),
    exits=(0, 1, 2, 4),
)
@click.argument("action", type=click.Choice(["show", "checkpoint", "cosign", "timestamp"]))
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="show: how many entries.")
@click.option("--name", help="cosign: what the witness is called, such as example.com/audit.")
@click.option("--key", "key_file", metavar="FILE", help="cosign: the witness's private key (Ed25519, PEM).")
@click.option("--since", metavar="FILE", help="cosign: the checkpoint it saw last; the log must still begin with it.")
@click.option("--tsa", metavar="URL", help="timestamp: the time-stamping authority (RFC 3161).")
@click.option("--to", metavar="FILE", help="checkpoint, cosign: write the checkpoint there, not to standard output.")
@json_option
@store_option
def command(
    *,
    action: str,
    limit: int,
    name: str | None,
    key_file: str | None,
    since: str | None,
    tsa: str | None,
    to: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Show the log, sign its present state, or cosign that as a witness.

    show lists the newest entries. checkpoint signs how many entries there are and the root of the tree over them; whoever keeps
    that can tell later that nothing was removed or changed (reenact verify --since). cosign checks the whole log, and that it still
    begins with the checkpoint the witness saw last, and adds the witness's signature to the newest checkpoint. timestamp signs the
    present state and has an authority put its time under it, which shows that all of the log was there by then.
    """
    from reenact.actions import checkpointing  # noqa: PLC0415 - help needs no action

    settings = settings_for(store)
    if action == "show":
        entries = checkpointing.log_entries(settings, limit)
        if as_json:
            print_json(entries)
        else:
            rows = [
                (str(e.index), e.time, printable(e.kind), printable(e.about), printable(e.key_id[:12])) for e in entries
            ]
            print_table(("ENTRY", "TIME", "KIND", "ABOUT", "KEY"), rows, right=frozenset({0}))
        return 0
    if action == "checkpoint":
        _give(asked(lambda: checkpointing.checkpoint(settings)), to)
        return 0
    if action == "timestamp":
        if tsa is None:
            raise click.UsageError("timestamp needs --tsa")
        size, time = asked(lambda: checkpointing.stamp(settings, tsa))
        print(f"{size} entries of the log bear the time {printable(time)}")
        return 0
    if name is None or key_file is None:
        raise click.UsageError("cosign needs --name and --key")

    def cosign() -> bytes:
        passphrase = os.fsencode(os.environ.get(VARIABLE, "")) or None
        return checkpointing.cosign(settings, name=name, key_file=key_file, since=since, passphrase=passphrase)

    _give(asked(cosign), to)
    return 0


def _give(note: bytes, to: str | None) -> None:
    """Write a checkpoint to a file or to standard output, byte for byte."""
    if to is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(note)
        sys.stdout.buffer.flush()
        return
    from reenact import atomic  # noqa: PLC0415 - only here

    try:
        atomic.replace(os.path.abspath(to), note)
    except OSError as error:
        raise StoreError(f"{to} cannot be written: {error.strerror}") from error
