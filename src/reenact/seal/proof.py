"""Proof files: all that shows a run was recorded and logged as it is, and replayed, for somebody who has nothing else. Pure.

A proof holds the signed record, its verdicts, their entries with their paths to the root of one signed checkpoint, and the
history of the keys. docs/spec/proof.md describes the file; docs/how-to/check-evidence-without-reenact.md checks one without this
program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from reenact import canonical
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, SignatureInvalid
from reenact.seal import checkpoint as checkpoints
from reenact.seal import note as notes
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.entry import Entry, load
from reenact.seal.evidence import Signed, checkpoint_flaws, entry_flaws, open_envelope
from reenact.seal.flaws import Flaw
from reenact.seal.keyring import Keyring
from reenact.seal.merkle import is_consistent, leaf_hash, root_of_inclusion
from reenact.seal.public import PublicKey
from reenact.seal.trust import Trust

__all__ = ["FORMAT", "CheckedItem", "CheckedProof", "Consistency", "Item", "Proof", "check", "dump_proof", "load_proof"]

FORMAT = "urn:reenact:proof:v1"


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of the log, and what it is about. Bytes are base64 in the file."""

    index: int
    entry: bytes
    path: tuple[bytes, ...]
    """From the leaf to the root of the checkpoint."""
    envelope: bytes | None = None
    """What was signed; none for a key event, which is all in its entry."""


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That the log began with an older state."""

    size: int
    root: bytes
    path: tuple[bytes, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a proof file."""

    format: str
    checkpoint: str
    """A signed note."""
    public_keys: tuple[bytes, ...]
    """DER SubjectPublicKeyInfo."""
    key_events: tuple[Item, ...]
    run: Item
    verdicts: tuple[Item, ...] = ()
    consistency: Consistency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedItem:
    """A run or a verdict of a proof."""

    signed: Signed
    entry: Entry | None
    flaws: tuple[Flaw, ...]
    """Of its place in the log and of its signatures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProof:
    """What a proof is worth."""

    run: CheckedItem
    verdicts: tuple[CheckedItem, ...]
    checkpoint: Checkpoint | None
    keyring: Keyring
    flaws: tuple[Flaw, ...]
    """Of the checkpoint and of key events; those of the items are theirs."""


def dump_proof(proof: Proof) -> bytes:
    """Write a proof as canonical JSON and a newline."""
    return canonical.dumps_plain(proof) + b"\n"


def load_proof(data: bytes) -> Proof:
    """Read a proof; nothing in it is checked.

    Raises:
        SignatureInvalid: it is none.
    """
    try:
        proof = msgspec.json.decode(data, type=Proof)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SignatureInvalid(f"not a proof file: {error}") from error
    if proof.format != FORMAT:
        raise SignatureInvalid(f"a proof of format {proof.format!r}, expected {FORMAT!r}", hint="upgrade reenact")
    return proof


def check(proof: Proof, payload_type: str, trust: Trust | None) -> CheckedProof:
    """Check everything in a proof against its checkpoint, and that against what is trusted.

    Args:
        proof: The content of the file.
        payload_type: What its envelopes must hold.
        trust: Whom to believe; None: the keys that the proof brings along, which proves only that it fits together.
    """
    keys = [PublicKey.of(der) for der in proof.public_keys]
    try:
        note = notes.load(proof.checkpoint.encode())
        claimed = checkpoints.parse(note.text)
    except SignatureInvalid as error:
        return _broken(Flaw("checkpoint-invalid", str(error)), keys)
    flaws: list[Flaw] = []
    keyring = _keyring(proof, keys, claimed, trust, flaws)
    checkpoint, found = checkpoint_flaws(note, claimed.origin, keyring, trust)
    flaws += found
    flaws += _pin_flaws(proof, claimed, trust)
    return CheckedProof(
        run=_item(proof.run, "run", claimed, keyring, payload_type, trust),
        verdicts=tuple(_item(one, "verdict", claimed, keyring, payload_type, trust) for one in proof.verdicts),
        checkpoint=checkpoint,
        keyring=keyring,
        flaws=tuple(flaws),
    )


def _broken(flaw: Flaw, keys: list[PublicKey]) -> CheckedProof:
    nothing = CheckedItem(signed=Signed(None, (), ()), entry=None, flaws=())
    return CheckedProof(run=nothing, verdicts=(), checkpoint=None, keyring=Keyring(keys, ()), flaws=(flaw,))


def _keyring(
    proof: Proof, keys: list[PublicKey], checkpoint: Checkpoint, trust: Trust | None, flaws: list[Flaw]
) -> Keyring:
    """Put the history of keys together from events that are in the log and rightly signed; add what is wrong to `flaws`."""
    known = Keyring([state.public for state in Keyring(keys, _loaded(proof.key_events)).states.values()], ())
    good = []
    for item in sorted(proof.key_events, key=lambda item: item.index):
        entry, found = entry_flaws(item.entry, item.index, known, None)
        found += [*_path_flaws(item, checkpoint)]
        if entry is not None and not found and entry.kind == "key":
            good.append((item.index, entry))
        flaws += found
    owners = trust.owners if trust is not None else None
    return Keyring(keys, good, owners, follow=trust.follow_rotation if trust is not None else True)


def _loaded(items: Iterable[Item]) -> Iterator[tuple[int, Entry]]:
    for item in items:
        try:
            yield item.index, load(item.entry, item.index)
        except IntegrityError:
            continue


def _path_flaws(item: Item, checkpoint: Checkpoint) -> Iterator[Flaw]:
    if root_of_inclusion(item.index, checkpoint.size, leaf_hash(item.entry), item.path) != checkpoint.root:
        message = f"entry {item.index} does not lead to the root of the checkpoint of {checkpoint.size} entries"
        yield Flaw("proof-invalid", message)


def _item(
    item: Item, kind: str, checkpoint: Checkpoint, keyring: Keyring, payload_type: str, trust: Trust | None
) -> CheckedItem:
    entry, flaws = entry_flaws(item.entry, item.index, keyring, trust)
    flaws += _path_flaws(item, checkpoint)
    signed = open_envelope(item.envelope or b"", payload_type, keyring, item.index, trust)
    flaws += signed.flaws
    if entry is not None and signed.payload is not None:
        digest = of_bytes(signed.payload)
        if (entry.kind, entry.statement) != (kind, digest):
            flaws.append(
                Flaw("entry-differs", f"entry {item.index} is of {entry.kind} {entry.statement}, got {digest}")
            )
    return CheckedItem(signed=signed, entry=entry, flaws=tuple(flaws))


def _pin_flaws(proof: Proof, checkpoint: Checkpoint, trust: Trust | None) -> Iterator[Flaw]:
    """Hold the checkpoint against the one somebody pinned."""
    pinned = trust.pinned if trust is not None else None
    if pinned is None:
        return
    shown = proof.consistency
    if pinned.origin != checkpoint.origin:
        yield Flaw(
            "log-forked", f"the proof is of the log {checkpoint.origin}, the pinned checkpoint of {pinned.origin}"
        )
    elif pinned.size > checkpoint.size:
        yield Flaw("log-rewound", f"the proof's log has {checkpoint.size} entries, the pinned checkpoint {pinned.size}")
    elif pinned.size == checkpoint.size:
        if pinned.root != checkpoint.root:
            yield Flaw("log-forked", f"the {pinned.size} entries are not those of the pinned checkpoint")
    elif shown is None or shown.size != pinned.size:
        yield Flaw("checkpoint-missing", "the proof does not show that its log begins with the pinned checkpoint")
    elif shown.root != pinned.root or not is_consistent(
        shown.size, checkpoint.size, shown.root, checkpoint.root, shown.path
    ):
        yield Flaw("log-forked", f"the log does not begin with the {pinned.size} entries of the pinned checkpoint")
