"""Judging signatures: an envelope, an entry, a checkpoint, against the keys that counted at its place. Pure; collects flaws."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reenact import clock
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, SignatureInvalid
from reenact.seal import checkpoint as checkpoints
from reenact.seal import note as notes
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.entry import Entry, load, signed_part
from reenact.seal.envelope import load as load_envelope
from reenact.seal.envelope import pre_authentication_encoding
from reenact.seal.flaws import Flaw
from reenact.seal.keyring import Keyring
from reenact.seal.note import Note
from reenact.seal.trust import Trust

__all__ = ["CLOCK_SKEW", "Signed", "checkpoint_flaws", "entry_flaws", "neighbour_flaws", "open_envelope", "time_flaws"]

CLOCK_SKEW: Final = timedelta(minutes=10)
"""How far the clocks of hosts that share a store may be apart without anybody being accused of anything."""


class Signed(NamedTuple):
    """An envelope as far as it could be believed."""

    payload: bytes | None
    """What was signed; None when no signature by a known key holds."""
    signers: tuple[str, ...]
    """Ids of known keys whose signatures hold and that counted at the time."""
    flaws: tuple[Flaw, ...]


def open_envelope(data: bytes, payload_type: str, keyring: Keyring, index: int | None, trust: Trust | None) -> Signed:
    """Judge an envelope.

    Args:
        data: Its bytes.
        payload_type: What it must hold.
        keyring: The keys that are known, and when they counted.
        index: Where the log says it was signed; None where it does not.
        trust: Whose signatures are demanded; None means anybody's that is known.
    """
    try:
        envelope = load_envelope(data, payload_type)
    except SignatureInvalid as error:
        return Signed(None, (), (Flaw("signature-invalid", str(error)),))
    body = pre_authentication_encoding(payload_type, envelope.payload)
    good: list[str] = []
    stale: list[Flaw] = []
    for signature in envelope.signatures:
        key = keyring.public(signature.key_id)
        if key is None or signature.key_id in good:
            continue
        if not _holds(keyring, signature.key_id, signature.signature, body):
            message = f"the signature by key {signature.key_id[:12]} does not match the record"
            return Signed(None, (), (Flaw("signature-invalid", message),))
        flaw = keyring.flaw_at(signature.key_id, index)
        if flaw is not None:
            stale.append(flaw)
        else:
            good.append(signature.key_id)
    if not good and not stale:
        names = ", ".join(signature.key_id[:12] for signature in envelope.signatures)
        return Signed(None, (), (Flaw("signature-invalid", f"no known key signed the record; it names {names}"),))
    flaws = stale if not good else [*_enough(good, keyring, trust)]
    return Signed(envelope.payload, tuple(good), tuple(flaws))


def _holds(keyring: Keyring, key_id: str, signature: bytes, body: bytes) -> bool:
    key = keyring.public(key_id)
    try:
        return key is not None and key.verify(signature, body)
    except SignatureInvalid:
        return False


def _enough(signers: list[str], keyring: Keyring, trust: Trust | None) -> Iterator[Flaw]:
    """Hold the signers against what is demanded."""
    if trust is None:
        return
    owners = {owner for key_id in signers if (owner := keyring.owner(key_id)) is not None}
    if not owners:
        names = ", ".join(key_id[:12] for key_id in signers)
        yield Flaw("key-untrusted", f"it is signed by {names}, none of which the trust file names")
    elif len(owners) < trust.threshold:
        message = (
            f"signed by {len(owners)} of those you trust ({', '.join(sorted(owners))}), expected {trust.threshold}"
        )
        yield Flaw("threshold", message)


def entry_flaws(data: bytes, index: int, keyring: Keyring, trust: Trust | None) -> tuple[Entry | None, list[Flaw]]:
    """Judge an entry by itself: read it, and check its signature, its place and its key."""
    try:
        entry = load(data, index)
    except IntegrityError as error:
        return None, [Flaw("entry-damaged", str(error))]
    signed = signed_part(data)
    if signed is None or not _holds(keyring, entry.key_id, signed[1], signed[0]):
        message = f"entry {index} is not signed by key {entry.key_id[:12]}, which it names"
        return entry, [Flaw("entry-signature", message)]
    if entry.index != index:
        return entry, [Flaw("entry-moved", f"entry {index} was signed as entry {entry.index}")]
    if entry.kind == "key":
        return entry, []  # whether the key that says it has a say is for the keyring; if not, it counts for nothing
    flaw = keyring.flaw_at(entry.key_id, index)
    if flaw is not None:
        return entry, [flaw]
    if trust is not None and keyring.owner(entry.key_id) is None:
        message = f"entry {index} is signed by {entry.key_id[:12]}, which the trust file does not name"
        return entry, [Flaw("key-untrusted", message)]
    return entry, []


def neighbour_flaws(before: bytes | None, entry: Entry, index: int) -> list[Flaw]:
    """Check that an entry follows the one it was signed to follow.

    Args:
        before: The bytes of the entry before it; None for the first.
        entry: The entry.
        index: Its place.
    """
    expected = of_bytes(before) if before is not None else None
    if entry.previous != expected:
        return [Flaw("entry-chain", f"entry {index} follows {entry.previous}, got {expected}")]
    return []


def time_flaws(entry: Entry, latest_before: str, ended_at: str | None, trust: Trust | None) -> list[Flaw]:
    """Hold the times of a run and its entry against each other and against the log.

    Args:
        entry: The run's.
        latest_before: The latest time of an entry before it; empty when there is none.
        ended_at: When the record says the run ended; None where that does not matter.
        trust: May limit how late a run is logged.
    """
    try:
        logged = clock.parse(entry.time)
        earlier = clock.parse(latest_before) if latest_before else None
        ended = clock.parse(ended_at) if ended_at else None
    except ValueError as error:
        return [Flaw("back-dated", f"a time cannot be read: {error}")]
    return [*_time_flaws(entry, logged, earlier, ended, trust)]


def _time_flaws(
    entry: Entry, logged: datetime, earlier: datetime | None, ended: datetime | None, trust: Trust | None
) -> Iterator[Flaw]:
    if earlier is not None and logged < earlier - CLOCK_SKEW:
        yield Flaw("back-dated", f"entry {entry.index} says {entry.time}, an entry before it {earlier.isoformat()}")
    if ended is None:
        return
    if ended > logged + CLOCK_SKEW:
        yield Flaw("back-dated", f"the run ended {ended.isoformat()}, after it was logged, {entry.time}")
    limit = trust.max_log_delay_seconds if trust is not None else None
    if limit is not None and (logged - ended).total_seconds() > limit:
        yield Flaw("back-dated", f"the run ended {ended.isoformat()} and was logged {entry.time}, later than you allow")


def checkpoint_flaws(
    note: Note, origin: str, keyring: Keyring, trust: Trust | None
) -> tuple[Checkpoint | None, list[Flaw]]:
    """Judge a checkpoint by itself: whose log it is, who signed it, and which witnesses saw it."""
    try:
        found = checkpoints.parse(note.text)
        if found.origin != origin:
            return None, [Flaw("checkpoint-invalid", f"the checkpoint is of {found.origin}, expected {origin}")]
        signed = [key_id for key_id, state in keyring.states.items() if notes.signed_by(note, origin, state.public)]
        seen = [w.name for w in trust.witness_keys if notes.cosigned_at(note, w.name, w.public)] if trust else []
    except SignatureInvalid as error:
        return None, [Flaw("checkpoint-invalid", str(error))]
    if not signed:
        return None, [Flaw("checkpoint-invalid", f"no known key signed the checkpoint of {found.size} entries")]
    stale = [flaw for key_id in signed if (flaw := keyring.flaw_at(key_id, found.size - 1)) is not None]
    if len(stale) == len(signed):
        return None, [Flaw(flaw.code, f"the checkpoint of {found.size} entries: {flaw.message}") for flaw in stale]
    flaws = []
    if trust is not None and all(keyring.owner(key_id) is None for key_id in signed):
        flaws.append(Flaw("key-untrusted", "the checkpoint is signed by no key the trust file names"))
    if trust is not None and len(seen) < trust.witnesses:
        message = f"{len(seen)} witnesses cosigned the checkpoint of {found.size} entries, expected {trust.witnesses}"
        flaws.append(Flaw("witness-missing", message))
    return found, flaws
