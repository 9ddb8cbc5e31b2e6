"""`reenact init`: make the settings file, the store and its key."""

from __future__ import annotations

from pathlib import Path

from reenact.cli.text import printable
from reenact.cli.verb import settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "init",
    examples=("reenact init", "reenact init --store /srv/records"),
    exits=(0, 1, 2),
)
@store_option
def command(*, store: str | None) -> int:
    """Make a settings file, a store and a signing key in the current folder.

    Optional: `reenact run` makes the store and the key when they are missing. What is there already stays as it is.
    """
    from reenact.actions.initialise import init  # noqa: PLC0415 - help needs no action

    for part in init(Path.cwd(), lambda: settings_for(store)):
        state = "made" if part.made else "there already"
        print(f"{part.what:<14} {state:<14} {printable(part.where)}")
    return 0
