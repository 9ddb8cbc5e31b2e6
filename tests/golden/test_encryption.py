"""The form of encrypted stores, scheme age-aes256gcm-v1: what was written once is read for ever. The files are never edited.

What is decrypted here is decrypted twice: by the program, and by the words of docs/spec/encryption.md alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reenact.store.backends.memory import MemoryBackend
from reenact.store.crypt.keyring import KeyRing
from reenact.store.crypt.names import KeyedNames
from reenact.store.crypt.values import open_value

VECTOR: dict[str, Any] = json.loads((Path(__file__).parent / "encryption-1" / "vector.json").read_bytes())
EPOCHS = tuple(bytes.fromhex(epoch) for epoch in VECTOR["epochs"])
RING = KeyRing(VECTOR["store_id"], bytes.fromhex(VECTOR["names_key"]), EPOCHS)


def decrypted(key: str, stored: bytes) -> bytes:
    """Decrypt a value of one chunk as the specification has it."""
    assert stored[:8] == b"RNEV\x01\0\0\0"
    epoch, length = (int.from_bytes(stored[at : at + 8], "little") for at in (8, 16))
    derived = HKDF(
        algorithm=SHA256(), length=64, salt=stored[24:56], info=b"reenact value 1\0" + stored[:56] + key.encode()
    ).derive(EPOCHS[epoch - 1])
    assert derived[32:] == stored[56:88]
    content = AESGCM(derived[:32]).decrypt(bytes(12), stored[88:], None)
    assert len(content) == length
    return content


@pytest.mark.parametrize("value", VECTOR["values"], ids=lambda value: value["key"])
def test_values(value: dict[str, str]) -> None:
    content, stored = bytes.fromhex(value["content"]), bytes.fromhex(value["stored"])
    assert open_value(RING, value["key"], stored) == content
    assert decrypted(value["key"], stored) == content


@pytest.mark.parametrize("key", VECTOR["names"])
def test_names(key: str) -> None:
    hidden = VECTOR["names"][key]
    names = KeyedNames(RING.names_key)
    assert names.hide(key) == hidden
    assert names.reveal(hidden) == key
    folder = ""
    for plain, part in zip(key.split("/"), hidden.split("/"), strict=True):
        if part != plain:
            data = base64.b32decode(part[1:].upper() + "=" * (-len(part[1:]) % 8))
            assert AESSIV(RING.names_key).decrypt(data, [folder.encode()]).decode() == plain
        folder = f"{folder}/{plain}".lstrip("/")


def test_commitments() -> None:
    for number, (epoch, commitment) in enumerate(zip(EPOCHS, VECTOR["commitments"], strict=True), start=1):
        message = b"reenact epoch commitment 1\0" + VECTOR["store_id"].encode()
        assert hmac.new(epoch, message, hashlib.sha256).hexdigest() == commitment == RING.commitment(number)


def test_a_record_of_keys() -> None:
    pytest.importorskip("pyrage")
    from reenact.store.crypt.age import parse_identities
    from reenact.store.crypt.records import KeyRecords

    backend = MemoryBackend()
    backend.put_if_absent(VECTOR["record"]["key"], VECTOR["record"]["data"].encode())
    records = KeyRecords(backend, VECTOR["store_id"])
    identities = parse_identities(VECTOR["identity"].encode(), "the vector")
    assert records.unlock(records.latest(), identities) == RING
