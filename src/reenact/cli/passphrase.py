"""Asking for a key's passphrase, where a person is there to be asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from reenact.errors import SignerUnavailable

__all__ = ["VARIABLE", "asked", "new_passphrase"]

VARIABLE = "REENACT_KEY_PASSPHRASE"
_T = TypeVar("_T")


def asked(call: Callable[[], _T]) -> _T:
    """Do something that may need a key; where its passphrase is lacking and a terminal is there, ask for it and do it again."""
    try:
        return call()
    except SignerUnavailable as error:
        if VARIABLE not in error.hint() or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
    os.environ[VARIABLE] = click.prompt("Passphrase of the key", hide_input=True, err=True)
    return call()


def new_passphrase(*, wanted: bool) -> bytes | None:
    """Get the passphrase of a key that is being made: from the variable, else from the person, twice; None if none is wanted."""
    if not wanted:
        return None
    given = os.environ.get(VARIABLE) or click.prompt(
        "Passphrase of the new key", hide_input=True, confirmation_prompt=True, err=True
    )
    return os.fsencode(given)
