"""Every changed byte of a sealed statement is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.errors import SignatureInvalid
from reenact.seal.envelope import dump, load
from reenact.seal.interface import Signer
from reenact.seal.keys import PublicKey, load_signing_key
from reenact.seal.verify import seal, verify

KIND = "application/vnd.in-toto+json"
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"out.csv"}]}'


@pytest.fixture
def key(tmp_path: Path) -> Signer:
    return load_signing_key(tmp_path, "store")


@pytest.fixture
def other(tmp_path: Path) -> Signer:
    return load_signing_key(tmp_path, "another store")


def trusting(*keys: Signer) -> dict[str, PublicKey]:
    return {key.public.key_id: key.public for key in keys}


def test_what_was_sealed_verifies(key: Signer) -> None:
    assert verify(seal(PAYLOAD, KIND, key), KIND, trusting(key).get) == (PAYLOAD, key.public.key_id)


def test_every_flipped_bit_is_refused(key: Signer) -> None:
    envelope = seal(PAYLOAD, KIND, key)
    trusted = trusting(key).get
    for place in range(len(envelope)):
        for bit in range(8):
            with pytest.raises(SignatureInvalid):
                verify(envelope[:place] + bytes([envelope[place] ^ 1 << bit]) + envelope[place + 1 :], KIND, trusted)


def test_every_cut_and_every_addition_is_refused(key: Signer) -> None:
    envelope = seal(PAYLOAD, KIND, key)
    trusted = trusting(key).get
    for place in range(len(envelope)):
        for changed in (
            envelope[:place],
            envelope[:place] + envelope[place + 1 :],
            envelope[:place] + b" " + envelope[place:],
        ):
            with pytest.raises(SignatureInvalid):
                verify(changed, KIND, trusted)


def test_a_signature_by_nobody_known_is_refused(key: Signer, other: Signer) -> None:
    with pytest.raises(SignatureInvalid, match="no trusted key"):
        verify(seal(PAYLOAD, KIND, key), KIND, trusting(other).get)


def test_a_key_under_the_name_of_another_is_refused(key: Signer, other: Signer) -> None:
    with pytest.raises(SignatureInvalid):
        verify(seal(PAYLOAD, KIND, key), KIND, {key.public.key_id: other.public}.get)


def test_a_signature_of_another_payload_is_refused(key: Signer) -> None:
    first, second = load(seal(PAYLOAD, KIND, key), KIND), load(seal(b"{}", KIND, key), KIND)
    swapped = type(first)(payload_type=KIND, payload=first.payload, signatures=second.signatures)
    with pytest.raises(SignatureInvalid, match="does not match"):
        verify(dump(swapped), KIND, trusting(key).get)


def test_a_second_signature_must_be_good_when_its_key_is_known(key: Signer, other: Signer) -> None:
    first, second = load(seal(PAYLOAD, KIND, key), KIND), load(seal(b"{}", KIND, other), KIND)
    both = type(first)(payload_type=KIND, payload=PAYLOAD, signatures=first.signatures + second.signatures)
    assert verify(dump(both), KIND, trusting(key).get)[0] == PAYLOAD
    with pytest.raises(SignatureInvalid, match="does not match"):
        verify(dump(both), KIND, trusting(key, other).get)


def test_another_payload_type_is_refused(key: Signer) -> None:
    with pytest.raises(SignatureInvalid):
        verify(seal(PAYLOAD, "text/plain", key), KIND, trusting(key).get)
