"""The form of an encrypted value; docs/spec/encryption.md has the same, with what each field is against.

    offset  bytes  what
    0       4      "RNEV"
    4       1      version: 1
    5       3      zero
    8       8      epoch of the data key
    16      8      length of the content in bytes
    24      32     salt, drawn for this value
    56      32     check
    88      ...    chunks of 64 KiB of content, the last one shorter (or empty, where all is), each followed by a tag of 16 bytes

Numbers are little-endian and unsigned. The key of a value and its check are HKDF-SHA256 (RFC 5869) of the epoch's data key with
the salt, and an info of ``reenact value 1``, a zero byte, the first 56 bytes, and the key the value is put under. A chunk is
AES-256-GCM under that key; the nonce is its number, in 12 bytes; there is no associated data.

No nonce is used twice under a key: a key belongs to one salt, a salt of 256 bits is drawn anew each time a value is encrypted,
also again under the same name, and within a value the numbers differ. Since the length, the epoch and the name are in the key,
nothing of a value decrypts in another place, at another length or under another name; and the check, which commits to the key,
says so before anything is decrypted.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reenact.errors import ValueDamaged

if TYPE_CHECKING:
    from reenact.store.crypt.keyring import KeyRing

__all__ = [
    "CHUNK_BYTES",
    "HEADER_BYTES",
    "ValueCipher",
    "content_length",
    "epoch_of",
    "new_cipher",
    "open_header",
    "open_value",
    "seal_value",
    "stored_length",
]

CHUNK_BYTES: Final = 64 << 10
"""Small against what a range costs to fetch, large against the cost of a call: 16 bytes of tag are 0.02 %."""
HEADER_BYTES: Final = 88
_TAG_BYTES: Final = 16
_STORED_CHUNK_BYTES: Final = CHUNK_BYTES + _TAG_BYTES
_MAGIC: Final = b"RNEV\x01\0\0\0"
_HEAD: Final = struct.Struct("<8sQQ32s")
_SALT_BYTES: Final = 32
_INFO: Final = b"reenact value 1\0"


def stored_length(content_bytes: int) -> int:
    """Give the length of an encrypted value from that of its content."""
    return HEADER_BYTES + content_bytes + _TAG_BYTES * max(1, -(-content_bytes // CHUNK_BYTES))


def content_length(stored_bytes: int) -> int:
    """Give the length of the content from that of the encrypted value; of one cut short, what would be left of it."""
    whole, rest = divmod(max(0, stored_bytes - HEADER_BYTES), _STORED_CHUNK_BYTES)
    return whole * CHUNK_BYTES + max(0, rest - _TAG_BYTES)


def epoch_of(header: bytes) -> int:
    """Give the epoch that the beginning of an encrypted value names; 0 when that is none. Nothing is verified."""
    return int(_HEAD.unpack_from(header)[1]) if len(header) >= _HEAD.size and header.startswith(_MAGIC) else 0


class ValueCipher:
    """Encrypts or decrypts the chunks of one value. Safe for threads."""

    __slots__ = ("_gcm", "_key", "content_bytes", "epoch", "header")

    def __init__(self, key: str, head: bytes, data_key: bytes) -> None:
        """Derive the value's key from what comes before the check; use :func:`new_cipher` or :func:`open_header`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 14 ms, for encrypted stores only

        self.epoch: int
        self.content_bytes: int
        _, self.epoch, self.content_bytes, salt = _HEAD.unpack(head)
        info = _INFO + head + key.encode("ascii")
        pseudo_random = hmac.digest(salt, data_key, "sha256")
        first = hmac.digest(pseudo_random, info + b"\x01", "sha256")
        check = hmac.digest(pseudo_random, first + info + b"\x02", "sha256")
        self._gcm = AESGCM(first)
        self._key = key
        self.header = head + check

    @property
    def chunks(self) -> int:
        """How many chunks there are: one at least."""
        return max(1, -(-self.content_bytes // CHUNK_BYTES))

    def seal(self, number: int, content: bytes | memoryview) -> bytes:
        """Encrypt a chunk; each number once."""
        return self._gcm.encrypt(number.to_bytes(12, "little"), content, None)

    def open(self, number: int, stored: bytes | memoryview) -> bytes:
        """Decrypt a chunk.

        Raises:
            ValueDamaged: it is not that chunk of this value.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - imported with the cipher

        length = min(CHUNK_BYTES, self.content_bytes - number * CHUNK_BYTES)
        if len(stored) != length + _TAG_BYTES:
            raise ValueDamaged(self._key, f"chunk {number} has {len(stored)} bytes, not {length + _TAG_BYTES}")
        try:
            return self._gcm.decrypt(number.to_bytes(12, "little"), stored, None)
        except InvalidTag:
            raise ValueDamaged(self._key, f"chunk {number} is not what was encrypted") from None

    @staticmethod
    def place(first: int, last: int) -> tuple[int, int]:
        """Give where in the encrypted value chunks `first` to `last` lie: offset, and length where all are whole."""
        return HEADER_BYTES + first * _STORED_CHUNK_BYTES, (last - first + 1) * _STORED_CHUNK_BYTES

    def open_all(self, first: int, stored: bytes | memoryview) -> Iterator[bytes]:
        """Decrypt chunks that lie back to back, the first of which has number `first`.

        Raises:
            ValueDamaged: one is not what was encrypted.
        """
        view = memoryview(stored)
        for at in range(0, max(1, len(view)), _STORED_CHUNK_BYTES):
            yield self.open(first + at // _STORED_CHUNK_BYTES, view[at : at + _STORED_CHUNK_BYTES])


def new_cipher(ring: KeyRing, key: str, content_bytes: int) -> ValueCipher:
    """Begin to encrypt content of a known length, to be put under `key`."""
    head = _HEAD.pack(_MAGIC, ring.epoch, content_bytes, os.urandom(_SALT_BYTES))
    return ValueCipher(key, head, ring.epochs[-1])


def open_header(ring: KeyRing, key: str, header: bytes) -> ValueCipher:
    """Begin to decrypt.

    Args:
        ring: The keys.
        key: What the value is under.
        header: Its first :data:`HEADER_BYTES`.

    Raises:
        ValueDamaged: they are not the header of a value put under that key.
    """
    if len(header) != HEADER_BYTES:
        raise ValueDamaged(key, f"{len(header)} bytes are too few for its header")
    head = header[: _HEAD.size]
    magic, epoch, _, _ = _HEAD.unpack(head)
    if magic != _MAGIC:
        raise ValueDamaged(key, "it does not begin as an encrypted value does")
    data_key = ring.data_key(epoch)
    if data_key is None:
        raise ValueDamaged(key, f"it is of epoch {epoch}, and the store's keys end with epoch {ring.epoch}")
    cipher = ValueCipher(key, head, data_key)
    if not hmac.compare_digest(cipher.header, header):
        raise ValueDamaged(key, "its header is changed, or it was put under another name or with other keys")
    return cipher


def seal_value(ring: KeyRing, key: str, content: bytes) -> bytes:
    """Encrypt a whole value."""
    cipher = new_cipher(ring, key, len(content))
    view = memoryview(content)
    chunks = (cipher.seal(n, view[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES]) for n in range(cipher.chunks))
    return b"".join((cipher.header, *chunks))


def open_value(ring: KeyRing, key: str, stored: bytes) -> bytes:
    """Decrypt a whole value.

    Raises:
        ValueDamaged: it is not what was put under that key.
    """
    cipher = open_header(ring, key, stored[:HEADER_BYTES])
    if len(stored) != stored_length(cipher.content_bytes):
        raise ValueDamaged(key, f"{len(stored)} bytes where its header says {stored_length(cipher.content_bytes)}")
    return b"".join(cipher.open_all(0, memoryview(stored)[HEADER_BYTES:]))
