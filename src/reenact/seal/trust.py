"""Whom somebody trusts, written down outside the store: ``reenact.trust.toml``. A store cannot vouch for itself. Pure.

See docs/how-to/manage-keys.md for the file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reenact.errors import IntegrityError, SettingsError
from reenact.seal import checkpoint as checkpoints
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.note import is_key_name
from reenact.seal.public import ED25519_PREFIX, PublicKey

__all__ = ["TRUST_FILE", "Trust", "Witness", "read_trust"]

TRUST_FILE: Final = "reenact.trust.toml"
_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")
_KNOWN: Final = {
    "threshold",
    "follow_rotation",
    "witnesses",
    "max_log_delay_seconds",
    "timestamp_ca",
    "owner",
    "witness",
    "checkpoint",
}
_RAW_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody whose cosignature counts."""

    name: str
    public: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What has to hold for a record to be believed."""

    owners: Mapping[str, str]
    """Key id to the name of its owner."""
    threshold: int = 1
    """How many different owners must have signed."""
    follow_rotation: bool = True
    """Whether a key that a trusted key announced in the log is its owner's, too."""
    witness_keys: tuple[Witness, ...] = ()
    witnesses: int = 0
    """How many of them must have cosigned the checkpoint."""
    pinned: Checkpoint | None = None
    """A state of the log seen earlier: the log must still begin with it."""
    timestamp_ca: str | None = None
    """PEM file of the certificates that must vouch for a time stamp over some checkpoint; None: none is demanded."""
    max_log_delay_seconds: float | None = None
    """How long after its end a run may be logged; None means any time."""


def read_trust(tables: Mapping[str, Any], source: str) -> Trust:
    """Read what a trust file says.

    Args:
        tables: Its parsed TOML.
        source: Its name, for messages.

    Raises:
        SettingsError: it says something that cannot be used; a misread trust file must not pass for a lenient one.
    """
    try:
        return _read(tables)
    except (ValueError, TypeError, KeyError, AttributeError, IntegrityError) as error:
        said = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise SettingsError(f"{source}: {said}", hint="see docs/how-to/manage-keys.md") from error


def _read(tables: Mapping[str, Any]) -> Trust:
    unknown = tables.keys() - _KNOWN
    if unknown:
        raise ValueError(f"there is no {', '.join(sorted(unknown))} in a trust file")
    owners: dict[str, str] = {}
    for owner in tables.get("owner", []):
        _only(owner, {"name", "keys"}, "owner")
        for key_id in owner["keys"]:
            if _KEY_ID.fullmatch(key_id) is None:
                raise ValueError(f"{key_id!r} is no key id: expected 64 hex digits, as `reenact keys list` shows them")
            owners[key_id] = _text(owner["name"])
    witnesses = tuple(_witness(one) for one in tables.get("witness", []))
    trust = Trust(
        owners=owners,
        threshold=_count(tables.get("threshold", 1), "threshold", at_least=1),
        follow_rotation=_yes_or_no(tables.get("follow_rotation", True)),
        witness_keys=witnesses,
        witnesses=_count(tables.get("witnesses", len(witnesses)), "witnesses", at_least=0),
        pinned=_pinned(tables["checkpoint"]) if "checkpoint" in tables else None,
        timestamp_ca=_text(tables["timestamp_ca"]) if "timestamp_ca" in tables else None,
        max_log_delay_seconds=_seconds(tables.get("max_log_delay_seconds")),
    )
    if trust.threshold > len(set(owners.values())):
        raise ValueError(f"threshold is {trust.threshold}, of {len(set(owners.values()))} owners")
    if trust.witnesses > len(witnesses):
        raise ValueError(f"witnesses is {trust.witnesses}, of {len(witnesses)} that are named")
    return trust


def _only(table: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = table.keys() - known
    if unknown:
        raise ValueError(f"there is no {', '.join(sorted(unknown))} in [{what}]")


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"got {value!r}, expected a text")


def _count(value: object, name: str, *, at_least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= at_least:
        return value
    raise ValueError(f"{name} is {value!r}, expected a whole number from {at_least}")


def _yes_or_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"follow_rotation is {value!r}, expected true or false")


def _seconds(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"max_log_delay_seconds is {value!r}, expected a number of seconds")


def _witness(table: Mapping[str, Any]) -> Witness:
    _only(table, {"name", "key"}, "witness")
    name = _text(table["name"])
    try:
        raw = base64.b64decode(_text(table["key"]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the key of witness {name!r} is not base64") from error
    der = raw if raw.startswith(ED25519_PREFIX) else ED25519_PREFIX + raw
    if not is_key_name(name) or len(der) != len(ED25519_PREFIX) + _RAW_BYTES:
        raise ValueError(f"witness {name!r} has no usable name, or no Ed25519 key")
    return Witness(name, PublicKey.of(der))


def _pinned(table: Mapping[str, Any]) -> Checkpoint:
    _only(table, {"origin", "size", "root"}, "checkpoint")
    return checkpoints.parse(f"{_text(table['origin'])}\n{table['size']}\n{_text(table['root'])}\n")
