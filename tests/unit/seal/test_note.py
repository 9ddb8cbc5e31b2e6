from __future__ import annotations

import base64
from pathlib import Path

import pytest

from reenact.errors import SignatureInvalid
from reenact.seal import checkpoint as checkpoints
from reenact.seal import note
from reenact.seal.checkpoint import Checkpoint, Checkpoints
from reenact.seal.interface import Signer
from reenact.seal.keys import load_signing_key
from reenact.seal.note import Note
from reenact.seal.pem import load_private, new_private
from reenact.seal.public import ED25519_PREFIX, PublicKey
from reenact.store.backends.memory import MemoryBackend

ORIGIN = "reenact/0b0c0d0e-0000-4000-8000-000000000000"
POINT = Checkpoint(ORIGIN, 7, bytes(range(32)))


@pytest.fixture
def key(tmp_path: Path) -> Signer:
    return load_signing_key(tmp_path, "store")


@pytest.fixture
def curve() -> Signer:
    return load_private(new_private("p256", None), None, "", "test")


def signed(by: Signer) -> Note:
    text = POINT.text()
    return Note(text, (note.sign(text, ORIGIN, by.public, by.sign),))


def test_the_note_of_the_specification_is_verified() -> None:
    # The example of golang.org/x/mod/sumdb/note: PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW
    encoded = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert encoded[:1] == b"\x01"
    public = PublicKey.of(ED25519_PREFIX + encoded[1:])
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    found = note.load(text.encode())
    assert found.signatures[0].key_hash.hex() == "c74f20a3"
    assert note.signed_by(found, "PeterNeumann", public)
    changed = note.load(text.replace("answer", "Answer").encode())
    with pytest.raises(SignatureInvalid, match="does not match"):
        note.signed_by(changed, "PeterNeumann", public)


@pytest.mark.parametrize("kind", ["key", "curve"])
def test_what_was_signed_verifies_and_no_changed_byte_does(kind: str, request: pytest.FixtureRequest) -> None:
    by: Signer = request.getfixturevalue(kind)
    data = signed(by).dump()
    assert note.signed_by(note.load(data), ORIGIN, by.public)
    assert checkpoints.parse(note.load(data).text) == POINT
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            assert not note.signed_by(note.load(changed), ORIGIN, by.public), place
        except SignatureInvalid:
            continue


def test_nobody_else_signed_it(key: Signer, curve: Signer) -> None:
    assert not note.signed_by(signed(key), ORIGIN, curve.public)
    assert not note.signed_by(signed(key), "another", key.public)


def test_a_witness_cosigns_with_a_time(key: Signer, curve: Signer) -> None:
    text = POINT.text()
    seen = note.cosign(text, "example.com/w", key.public, key.sign, 1_700_000_000)
    both = note.load(Note(text, (*signed(key).signatures, seen)).dump())
    assert note.cosigned_at(both, "example.com/w", key.public) == 1_700_000_000
    assert note.cosigned_at(signed(key), "example.com/w", key.public) is None
    later = seen._replace(signature=(1_800_000_000).to_bytes(8, "big") + seen.signature[8:])
    with pytest.raises(SignatureInvalid, match="does not match"):
        note.cosigned_at(Note(text, (later,)), "example.com/w", key.public)
    with pytest.raises(SignatureInvalid, match="not an Ed25519 key"):
        note.cosign(text, "example.com/w", curve.public, curve.sign, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        b"a\n\n\xe2\x80\x94 n AAAA\n",
        b"\xff\n\n\xe2\x80\x94 n AAAAAAA=\n",
        b"a\rb\n\n\xe2\x80\x94 n AAAAAAA=\n",
        b"a\n\n\xe2\x80\x94 n AAAAAAA=",
        b"a\n\n" + b"\xe2\x80\x94 n AAAAAAA=\n" * 65,
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        note.load(data)


@pytest.mark.parametrize(
    "text", ["", "a\n1\n", "a\n01\nAAAA\n", "a\n1\nAAAA\n", "a\n-1\n" + "A" * 43 + "=\n", "a\n1\n" + "A" * 43 + "="]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(SignatureInvalid):
        checkpoints.parse(text)


def test_signatures_of_one_size_are_put_together_and_two_texts_are_kept_apart(key: Signer, curve: Signer) -> None:
    kept = Checkpoints(MemoryBackend())
    for by in (key, curve):
        assert kept.put(POINT, signed(by).signatures[0], by.public.key_id)
        assert not kept.put(POINT, signed(by).signatures[0], by.public.key_id)
    assert kept.sizes() == [7]
    assert {s.key_hash for s in kept.merged(7).signatures} == {signed(by).signatures[0].key_hash for by in (key, curve)}
    other = POINT._replace(root=bytes(32))
    kept.put(other, note.sign(other.text(), ORIGIN, key.public, key.sign), "fork")
    with pytest.raises(SignatureInvalid, match="different logs"):
        kept.merged(7)
