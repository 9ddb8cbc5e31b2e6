"""Signed notes: a text, a blank line, and a line for each signature. What checkpoints and their cosignatures are written as.

Keys sign with the algorithm they are of: Ed25519 (type 1) or ECDSA over P-256 (type 2). Witnesses cosign with a time (type 4).

See: https://c2sp.org/signed-note and https://c2sp.org/tlog-cosignature
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from reenact.errors import SignatureInvalid
from reenact.seal.public import PublicKey

__all__ = ["Note", "NoteSignature", "cosign", "cosigned_at", "is_key_name", "load", "sign", "signed_by"]

_DASH: Final = "\N{EM DASH} "
_KEY_HASH_BYTES: Final = 4
_ED25519: Final = b"\x01"
_COSIGNATURE: Final = b"\x04"
_TIME_BYTES: Final = 8
_MOST_SIGNATURES: Final = 64
"""What a hostile note may make us look at; the format asks for 16 at least."""


class NoteSignature(NamedTuple):
    """One signature line."""

    name: str
    """Of the key."""
    key_hash: bytes
    """Four bytes: a hint at which key it is, no proof."""
    signature: bytes

    def line(self) -> str:
        """Write it down, with a newline."""
        data = base64.b64encode(self.key_hash + self.signature).decode("ascii")
        return f"{_DASH}{self.name} {data}\n"


class Note(NamedTuple):
    """A text and its signatures, none of which is checked."""

    text: str
    """Ends with a newline."""
    signatures: tuple[NoteSignature, ...]

    def dump(self) -> bytes:
        """Write it down."""
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()


def is_key_name(name: str) -> bool:
    """Tell whether a key may be called so: not empty, no spaces, no plus."""
    return bool(name) and name.isprintable() and not any(c.isspace() or c == "+" for c in name)


def load(data: bytes) -> Note:
    """Read a note.

    Raises:
        SignatureInvalid: it is malformed.
    """
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise SignatureInvalid("the note is not UTF-8") from error
    text, blank, lines = whole.rpartition("\n\n")
    if any(c < " " and c != "\n" for c in whole) or not blank or not lines.endswith("\n"):
        raise SignatureInvalid("the note has no signatures, or a control character")
    found = tuple(_signature(line) for line in lines[:-1].split("\n")[: _MOST_SIGNATURES + 1])
    if len(found) > _MOST_SIGNATURES:
        raise SignatureInvalid(f"the note has more than {_MOST_SIGNATURES} signatures")
    note = Note(text + "\n", found)
    if note.dump() != data:
        raise SignatureInvalid("the note is not written as notes are")
    return note


def _signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureInvalid("the note has a signature that is not base64") from error
    if not line.startswith(_DASH) or not space or not is_key_name(name) or len(data) <= _KEY_HASH_BYTES:
        raise SignatureInvalid("the note has a malformed signature line")
    return NoteSignature(name, data[:_KEY_HASH_BYTES], data[_KEY_HASH_BYTES:])


def _key_hash(name: str, key: PublicKey, kind: bytes) -> bytes:
    """Give the short id of a key under a name; an ECDSA key's comes from its DER alone."""
    raw = key.raw_ed25519()
    if raw is None:
        return hashlib.sha256(key.der).digest()[:_KEY_HASH_BYTES]
    return hashlib.sha256(name.encode() + b"\n" + kind + raw).digest()[:_KEY_HASH_BYTES]


def sign(text: str, name: str, key: PublicKey, do_sign: Callable[[bytes], bytes]) -> NoteSignature:
    """Sign a text, which ends with a newline."""
    return NoteSignature(name, _key_hash(name, key, _ED25519), do_sign(text.encode()))


def signed_by(note: Note, name: str, key: PublicKey) -> bool:
    """Tell whether a key signed a note under a name.

    Raises:
        SignatureInvalid: a signature names the key and does not match.
    """
    return _matching(note, name, key, _ED25519, lambda signature: (signature, note.text.encode())) is not None


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosign(text: str, name: str, key: PublicKey, do_sign: Callable[[bytes], bytes], seconds: int) -> NoteSignature:
    """Cosign the text of a checkpoint as a witness, at a time in seconds since the epoch.

    Raises:
        SignatureInvalid: the key is not Ed25519, for which alone the format is defined.
    """
    if key.raw_ed25519() is None:
        raise SignatureInvalid(f"key {key.key_id[:12]} is not an Ed25519 key, which cosignatures need")
    signature = seconds.to_bytes(_TIME_BYTES, "big") + do_sign(_cosigned(text, seconds))
    return NoteSignature(name, _key_hash(name, key, _COSIGNATURE), signature)


def cosigned_at(note: Note, name: str, key: PublicKey) -> int | None:
    """Give when a witness cosigned, in seconds since the epoch; None when it did not.

    Raises:
        SignatureInvalid: a cosignature names the witness and does not match.
    """

    def parts(signature: bytes) -> tuple[bytes, bytes]:
        seconds = int.from_bytes(signature[:_TIME_BYTES], "big")
        return signature[_TIME_BYTES:], _cosigned(note.text, seconds)

    if key.raw_ed25519() is None:
        return None
    found = _matching(note, name, key, _COSIGNATURE, parts)
    return int.from_bytes(found[:_TIME_BYTES], "big") if found is not None else None


def _matching(
    note: Note, name: str, key: PublicKey, kind: bytes, parts: Callable[[bytes], tuple[bytes, bytes]]
) -> bytes | None:
    wanted = name, _key_hash(name, key, kind)
    for entry in note.signatures:
        if (entry.name, entry.key_hash) == wanted:
            signature, signed = parts(entry.signature)
            if not key.verify(signature, signed):
                raise SignatureInvalid(f"the note's signature by key {key.key_id[:12]} does not match")
            return entry.signature
    return None
