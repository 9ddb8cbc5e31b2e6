"""`reenact init`: make the settings file, the store and its key."""

from __future__ import annotations

from pathlib import Path

import click

from reenact.cli.text import printable
from reenact.cli.verb import settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "init",
    examples=(
        "reenact init",
        "reenact init --store /srv/records",
        "reenact init --encrypt --recipient age1… --recipient ~/.ssh/colleague.pub",
    ),
    exits=(0, 1, 2, 4),
)
@click.option("--encrypt", is_flag=True, help="Make the store an encrypted one, which only its recipients can read.")
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="KEY|FILE",
    help="Who can read it beside you: a public key of age or of ssh, or a file of them. May be repeated.",
)
@store_option
def command(*, encrypt: bool, recipients: tuple[str, ...], store: str | None) -> int:
    """Make a settings file, a store and a signing key in the current folder.

    Optional: `reenact run` makes the store and the key when they are missing. What is there already stays as it is.

    With --encrypt the store's files tell whoever cannot read it little more than how many and how long they are. You read it with
    an identity, a private key that is made on first use and kept in your configuration folder: keep a copy, without it the store
    is lost. The settings file that is made says that only encrypted stores are to be recorded into.
    """
    if recipients and not encrypt:
        raise click.UsageError("--recipient is for --encrypt")
    from reenact.actions.initialise import init  # noqa: PLC0415 - help needs no action

    for part in init(Path.cwd(), lambda: settings_for(store), encrypt=encrypt, recipients=recipients):
        state = "made" if part.made else "there already"
        print(f"{part.what:<14} {state:<14} {printable(part.where)}")
    return 0
