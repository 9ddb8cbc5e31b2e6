"""`reenact recipients`: who can read an encrypted store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from reenact.cli.progress import progress
from reenact.cli.text import count, printable
from reenact.cli.verb import family, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.recipients import Readers

__all__ = ["command"]

_EXITS = {
    0: "done",
    1: "it failed, for the reason printed",
    2: "the command, or a recipient, cannot be used",
    4: "none of your identities unlocks the store, or its keys are not what they were",
}
_names = click.argument("names", nargs=-1, required=True, metavar="RECIPIENT|FILE...")


@verb("me", examples=("reenact recipients me",), exits=_EXITS)
def me() -> int:
    """Print your own recipient, for others to add; an identity is made when there is none."""
    from reenact.actions.recipients import recipient_of_mine  # noqa: PLC0415 - help needs no action

    print(recipient_of_mine(os.environ))
    return 0


@verb("list", examples=("reenact recipients list", "reenact recipients list --json"), exits=_EXITS)
@json_option
@store_option
def list_(*, as_json: bool, store: str | None) -> int:
    """List who can read the store. The fingerprint is the same for all who are shown the same keys."""
    from reenact.actions.recipients import readers  # noqa: PLC0415 - help needs no action

    _show(readers(settings_for(store)), as_json=as_json)
    return 0


@verb("add", examples=("reenact recipients add age1…", "reenact recipients add ~/.ssh/colleague.pub"), exits=_EXITS)
@_names
@json_option
@store_option
def add(*, names: tuple[str, ...], as_json: bool, store: str | None) -> int:
    """Let others read the store: all that is in it, and all that will be."""
    from reenact.actions.recipients import add as add_  # noqa: PLC0415 - help needs no action

    _show(add_(settings_for(store), names), as_json=as_json)
    return 0


@verb("remove", examples=("reenact recipients remove age1…",), exits=_EXITS)
@_names
@json_option
@store_option
def remove(*, names: tuple[str, ...], as_json: bool, store: str | None) -> int:
    """Keep others from reading what is recorded from now on.

    A new key is drawn for what is written from now on. Whoever is removed had the keys of what was written before, and may
    have kept them: as long as they can get at the store's files they can read that, unless it is encrypted anew, and what they
    copied stays theirs. The names of values stay as they are: they tell a removed reader whether the store holds bytes they know.
    Recordings that are running now end with the key they began with.
    """
    from reenact.actions.recipients import remove as remove_  # noqa: PLC0415 - help needs no action

    _show(remove_(settings_for(store), names), as_json=as_json)
    if not as_json:
        _say_what_stays()
    return 0


@verb("rotate", examples=("reenact recipients rotate",), exits=_EXITS)
@json_option
@store_option
def rotate(*, as_json: bool, store: str | None) -> int:
    """Draw a new key for what is recorded from now on; the recipients stay."""
    from reenact.actions.recipients import rotate as rotate_  # noqa: PLC0415 - help needs no action

    _show(rotate_(settings_for(store)), as_json=as_json)
    if not as_json:
        _say_what_stays()
    return 0


@verb("reencrypt", examples=("reenact recipients reencrypt",), exits=_EXITS)
@json_option
@store_option
def reencrypt(*, as_json: bool, store: str | None) -> int:
    """Encrypt what earlier keys encrypted anew, with the newest one.

    Everything may go on meanwhile. Cut off at any time, nothing is lost, and the next call goes on where this one was.
    """
    from reenact.actions.recipients import reencrypt as reencrypt_  # noqa: PLC0415 - help needs no action

    with progress("encrypting anew") as say:
        done = reencrypt_(settings_for(store), say)
    if as_json:
        print_json(done)
    else:
        print(f"{count(done.renewed, 'value')} of {done.values} encrypted anew, with the key of epoch {done.epoch}")
        for key in done.damaged:
            print(f"damaged, left as it is: {printable(key)}")
    return 4 if done.damaged else 0


command = family(
    "recipients",
    list_,
    me,
    add,
    remove,
    rotate,
    reencrypt,
    help="Say and change who can read an encrypted store.\n\nA recipient is a public key: age1…, ssh-ed25519 … or ssh-rsa …. The"
    " private half, an identity, is looked for in the file that REENACT_IDENTITY names, and in reenact/keys/identity.txt in your"
    " configuration folder.",
    examples=("reenact recipients list", "reenact recipients add age1…"),
    exits=_EXITS,
)


def _show(found: Readers, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print(f"{printable(found.store)}: epoch {found.epoch}, key fingerprint {found.fingerprint}")
    for recipient in found.recipients:
        print(f"  {printable(recipient)}{'  (you)' if recipient in found.yours else ''}")


def _say_what_stays() -> None:
    print(
        "what was written before is still readable with the earlier keys; to change that: reenact recipients reencrypt"
    )
