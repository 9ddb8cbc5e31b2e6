"""Checkpoints: what a log was at one moment, in three lines, signed by those who keep it and cosigned by witnesses.

Each signature is a value of its own, ``log/checkpoints/<size>/<signer>``, put where nothing is: so any number of signers add
theirs without a lock, and two texts for one size, which only a forked log can have, stay side by side as evidence.

See: https://c2sp.org/tlog-checkpoint
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from reenact.errors import SignatureInvalid
from reenact.seal import note
from reenact.seal.log import LogPlace
from reenact.seal.merkle import HASH_BYTES
from reenact.seal.note import Note, NoteSignature

__all__ = ["Checkpoint", "CheckpointPlace", "Checkpoints", "origin_of", "parse"]

_FOLDER: Final = "log/checkpoints"
_STAMPS: Final = "log/timestamps"
_DIGITS: Final = 12
_LINES: Final = 3


class CheckpointPlace(LogPlace, Protocol):
    """The part of a store's backend checkpoints need."""

    def names(self, folder: str) -> Sequence[str]:
        """Give the names directly in a folder, sorted; empty when there is no such folder."""


class Checkpoint(NamedTuple):
    """The state of a log."""

    origin: str
    """Which log."""
    size: int
    root: bytes

    def text(self) -> str:
        """Write the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"


def origin_of(store_id: str) -> str:
    """Name the log of a store; also the name its own keys sign checkpoints under."""
    return f"reenact/{store_id}"


def parse(text: str) -> Checkpoint:
    """Read the text of a checkpoint; lines behind the third are passed over.

    Raises:
        SignatureInvalid: it is none.
    """
    lines = text.split("\n")
    try:
        origin, digits, encoded = lines[:_LINES]
        root = base64.b64decode(encoded, validate=True)
        size = int(digits)
    except (ValueError, binascii.Error) as error:
        raise SignatureInvalid("a checkpoint has not three lines: a log, a size and a root") from error
    if not origin or digits != str(size) or size < 0 or len(root) != HASH_BYTES or not text.endswith("\n"):
        raise SignatureInvalid("a checkpoint's size or root is malformed")
    return Checkpoint(origin, size, root)


class Checkpoints:
    """The checkpoints kept in a store."""

    def __init__(self, place: CheckpointPlace) -> None:
        self._place = place

    def sizes(self) -> list[int]:
        """List the sizes for which there are any, smallest first."""
        return [int(name) for name in self._place.names(_FOLDER) if len(name) == _DIGITS and name.isdecimal()]

    def put(self, checkpoint: Checkpoint, signature: NoteSignature, signer: str) -> bool:
        """Keep a signature; tell whether it was not there before. Durable on return.

        Args:
            checkpoint: What is signed.
            signature: The signature.
            signer: A name for it in the store: the key's id.
        """
        data = Note(checkpoint.text(), (signature,)).dump()
        return self._place.put_if_absent(f"{_FOLDER}/{checkpoint.size:0{_DIGITS}d}/{signer}", data)

    def at(self, size: int) -> dict[str, bytes]:
        """Give the kept notes for a size by their names: each a whole signed note."""
        folder = f"{_FOLDER}/{size:0{_DIGITS}d}"
        return {name: self._place.get(f"{folder}/{name}") for name in self._place.names(folder)}

    def merged(self, size: int) -> Note:
        """Give the one note with all signatures for a size.

        Raises:
            SignatureInvalid: there is none, one is malformed, or they are about different trees.
        """
        notes = [note.load(data) for data in self.at(size).values()]
        if len({one.text for one in notes}) != 1:
            raise SignatureInvalid(f"the checkpoints at {size} entries are about {len(notes)} different logs")
        return Note(notes[0].text, tuple(dict.fromkeys(s for one in notes for s in one.signatures)))

    def put_stamp(self, size: int, reply: bytes) -> bool:
        """Keep the reply of a time-stamping authority for the checkpoint of a size; tell whether it was not there before."""
        name = hashlib.sha256(reply).hexdigest()
        return self._place.put_if_absent(f"{_STAMPS}/{size:0{_DIGITS}d}/{name}", reply)

    def stamps(self) -> list[tuple[int, bytes]]:
        """Give all replies kept, each with the size of its checkpoint, in the order of sizes."""
        sizes = [name for name in self._place.names(_STAMPS) if len(name) == _DIGITS and name.isdecimal()]
        return [
            (int(size), self._place.get(f"{_STAMPS}/{size}/{name}"))
            for size in sizes
            for name in self._place.names(f"{_STAMPS}/{size}")
        ]
