"""`reenact keys`: the keys that sign, and whose word counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reenact.cli.passphrase import asked, new_passphrase
from reenact.cli.table import print_table
from reenact.cli.text import printable
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.keys import KeyFacts
    from reenact.settings import Settings

__all__ = ["command"]

_ACTIONS = ("list", "new", "rotate", "retire", "revoke", "trust")


@verb(
    "keys",
    examples=(
        "reenact keys list",
        "reenact keys rotate --reason 'yearly'",
        "reenact keys new --to audit.pem --passphrase",
        "reenact keys revoke 3f9a12 --from-entry 812 --reason 'laptop stolen'",
        "reenact keys trust 3f9a12 --owner data-team",
    ),
    exits=(0, 1, 2),
)
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("key", required=False)
@click.option("--reason", default="", help="Why a key is replaced, retired or revoked; it is kept in the log.")
@click.option(
    "--from-entry", type=click.IntRange(0), help="revoke: the first log entry not to be believed; else the next one."
)
@click.option("--to", metavar="FILE", help="new: where the private key goes; the public one gets .pub behind it.")
@click.option("--algorithm", type=click.Choice(["ed25519", "p256"]), default="ed25519", help="new: the kind of key.")
@click.option(
    "--passphrase", is_flag=True, help="new, rotate: encrypt the private key (REENACT_KEY_PASSPHRASE, or asked for)."
)
@click.option("--owner", help="trust: whose key it is.")
@click.option(
    "--trust", "trust_file", metavar="FILE", help="The trust file, instead of reenact.trust.toml in the root."
)
@json_option
@store_option
def command(
    *,
    action: str,
    key: str | None,
    reason: str,
    from_entry: int | None,
    to: str | None,
    algorithm: str,
    passphrase: bool,
    owner: str | None,
    trust_file: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """List, make, replace, retire, revoke or trust the keys that sign records.

    list shows the keys of the store, since which entry of the log they count, and whose they are. new makes a key in a file.
    rotate replaces your own key by a new one. retire says that a key signs no more; what it signed stays good. revoke says that a
    key is not to be believed, from an entry of the log on. trust writes a key of the store, or the file of a public key, into
    reenact.trust.toml.

    KEY is the id of a key or its beginning, 4 characters or more.
    """
    settings = settings_for(store)
    _check(action, key, to, owner)
    if action == "trust":
        from reenact.actions import keys  # noqa: PLC0415 - help needs no action

        print(f"wrote {keys.trust(settings, key or '', owner or '', trust_file)}")
        return 0
    secret = new_passphrase(wanted=passphrase)
    found = asked(
        lambda: _facts(settings, action, key or "", reason, from_entry, to or "", algorithm, secret, trust_file)
    )
    if as_json:
        print_json(found)
        return 0
    rows = [_row(one) for one in found]
    print_table(("KEY", "KIND", "STATE", "SINCE", "UNTIL", "OWNER", ""), rows, right=frozenset({3, 4}))
    return 0


def _check(action: str, key: str | None, to: str | None, owner: str | None) -> None:
    """Refuse words that an action lacks or has no use for."""
    needs = action in {"retire", "revoke", "trust"}
    if needs != (key is not None):
        raise click.UsageError(f"{action} needs a KEY" if needs else f"{action} takes no KEY")
    if (action == "new") != (to is not None):
        raise click.UsageError("new needs --to FILE" if action == "new" else f"{action} takes no --to")
    if (action == "trust") != (owner is not None):
        raise click.UsageError("trust needs --owner NAME" if action == "trust" else f"{action} takes no --owner")


def _facts(
    settings: Settings,
    action: str,
    key: str,
    reason: str,
    from_entry: int | None,
    to: str,
    algorithm: str,
    passphrase: bytes | None,
    trust_file: str | None,
) -> list[KeyFacts]:
    from reenact.actions import keys  # noqa: PLC0415 - help needs no action

    if action == "list":
        return keys.list_keys(settings, trust_file)
    if action == "new":
        return [keys.new_key(settings, to, "p256" if algorithm == "p256" else "ed25519", passphrase)]
    if action == "rotate":
        return [keys.rotate(settings, reason, passphrase)]
    if action == "retire":
        return [keys.retire(settings, key, reason)]
    return [keys.revoke(settings, key, reason, from_entry)]


def _row(key: KeyFacts) -> tuple[str, ...]:
    state = f"{key.state}: {key.reason}" if key.reason else key.state
    return (
        key.key_id,
        key.algorithm,
        printable(state),
        "-" if key.since is None else str(key.since),
        "-" if key.until is None else str(key.until),
        printable(key.owner or "-"),
        "signs here" if key.signs_here else "",
    )
