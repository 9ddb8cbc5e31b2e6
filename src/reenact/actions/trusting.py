"""Find and read what somebody trusts: files outside the store."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace

from reenact.errors import SettingsError, SignatureInvalid
from reenact.seal import checkpoint as checkpoints
from reenact.seal import note
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.trust import TRUST_FILE, Trust, read_trust
from reenact.settings import Settings

__all__ = ["load_trust", "read_pin", "trust_path"]


def trust_path(settings: Settings, given: str | None = None) -> str:
    """Name the trust file: the one given, else the one beside the settings file, in the root."""
    return given if given is not None else os.path.join(settings.root, TRUST_FILE)


def load_trust(settings: Settings, given: str | None = None) -> Trust | None:
    """Read the trust file; None when none was given and there is none in the root.

    Raises:
        SettingsError: it cannot be used; nobody is trusted by mistake.
    """
    path = trust_path(settings, given)
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except FileNotFoundError:
        if given is None:
            return None
        raise SettingsError(f"there is no trust file {path}") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"the trust file {path} cannot be read: {error}") from error
    trust = read_trust(tables, path)
    if trust.timestamp_ca is None:
        return trust
    return replace(trust, timestamp_ca=os.path.join(os.path.dirname(os.path.abspath(path)), trust.timestamp_ca))


def read_pin(path: str) -> Checkpoint:
    """Read a checkpoint somebody kept: a signed note, or only its three lines. Its signatures are not looked at: it is theirs.

    Raises:
        SettingsError: it cannot be used.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = note.load(data).text if b"\n\n" in data else data.decode()
        return checkpoints.parse(text)
    except (OSError, UnicodeDecodeError, SignatureInvalid) as error:
        raise SettingsError(f"the checkpoint {path} cannot be read: {error}") from error
