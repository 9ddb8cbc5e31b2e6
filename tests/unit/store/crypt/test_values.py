from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.errors import ValueDamaged
from reenact.store.crypt.files import reseal, seal_file
from reenact.store.crypt.keyring import new_key_ring
from reenact.store.crypt.values import (
    CHUNK_BYTES,
    HEADER_BYTES,
    content_length,
    epoch_of,
    open_header,
    open_value,
    seal_value,
    stored_length,
)

RING = new_key_ring("00000000-0000-4000-8000-000000000001")
EDGES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 17 * CHUNK_BYTES + 5)


@pytest.mark.parametrize("length", EDGES)
def test_what_was_encrypted_is_decrypted(length: int, tmp_path: Path) -> None:
    content = os.urandom(length)
    stored = seal_value(RING, "k", content)
    assert open_value(RING, "k", stored) == content
    assert len(stored) == stored_length(length)
    assert content_length(len(stored)) == length
    source, target = tmp_path / "plain", tmp_path / "sealed"
    source.write_bytes(content)
    seal_file(RING, "k", source, str(target))
    assert open_value(RING, "k", target.read_bytes()) == content


@pytest.mark.parametrize("length", EDGES)
def test_encrypting_anew_keeps_the_content(length: int, tmp_path: Path) -> None:
    content = os.urandom(length)
    stored = seal_value(RING, "k", content)
    newer = RING.with_new_epoch()
    old = open_header(newer, "k", stored[:HEADER_BYTES])
    target = tmp_path / "new"
    reseal(newer, "k", old, lambda at, size: stored[at : at + size], str(target))
    assert epoch_of(target.read_bytes()) == 2
    assert open_value(newer, "k", target.read_bytes()) == content
    with pytest.raises(ValueDamaged, match="epoch 2"):
        open_value(RING, "k", target.read_bytes())


@given(st.integers(0, 10**12))
def test_lengths_are_each_others_inverse(length: int) -> None:
    assert content_length(stored_length(length)) == length


def test_lengths_of_cut_values_only_shrink() -> None:
    lengths = [content_length(stored) for stored in range(stored_length(2 * CHUNK_BYTES + 3) + 1)]
    assert all(one <= two for one, two in pairwise(lengths))


def test_the_same_content_under_the_same_name_is_never_encrypted_alike() -> None:
    """So no nonce serves twice under a key: of two log entries that race for a number, both may reach the disk."""
    stored = {seal_value(RING, "log/entries/000000000007", b"x" * 1000) for _ in range(50)}
    assert len({value[24:56] for value in stored}) == 50
    assert len({value[HEADER_BYTES:] for value in stored}) == 50


def test_every_changed_byte_is_refused() -> None:
    stored = seal_value(RING, "k", bytes(100))
    for place in range(len(stored)):
        for mask in (1 << place % 8, 0xFF):
            with pytest.raises(ValueDamaged):
                open_value(RING, "k", stored[:place] + bytes([stored[place] ^ mask]) + stored[place + 1 :])


def test_every_other_length_is_refused() -> None:
    stored = seal_value(RING, "k", os.urandom(CHUNK_BYTES + 40))
    for length in (*range(HEADER_BYTES + 20), *range(len(stored) - 100, len(stored))):
        with pytest.raises(ValueDamaged):
            open_value(RING, "k", stored[:length])
    with pytest.raises(ValueDamaged):
        open_value(RING, "k", stored + b"\0")


def test_chunks_belong_to_their_place_and_value() -> None:
    one, two = (seal_value(RING, "k", bytes(3 * CHUNK_BYTES)) for _ in range(2))
    chunk = CHUNK_BYTES + 16
    first, second = HEADER_BYTES, HEADER_BYTES + chunk
    swapped = one[:first] + one[second : second + chunk] + one[first:second] + one[second + chunk :]
    mixed = one[:first] + two[first:second] + one[second:]
    shorter = one[: second + chunk]
    for wrong in (swapped, mixed, shorter):
        with pytest.raises(ValueDamaged):
            open_value(RING, "k", wrong)


def test_a_value_belongs_to_its_name_and_store() -> None:
    stored = seal_value(RING, "runs/a", b"content")
    with pytest.raises(ValueDamaged, match="another name"):
        open_value(RING, "runs/b", stored)
    with pytest.raises(ValueDamaged, match="other keys"):
        open_value(new_key_ring(RING.store_id), "runs/a", stored)


def test_a_plain_value_is_refused() -> None:
    with pytest.raises(ValueDamaged, match="does not begin"):
        open_value(RING, "k", b"x" * 200)


def test_keys_are_not_shown() -> None:
    shown = f"{RING!r} {RING}"
    assert "store" in shown
    assert repr(RING.epochs[0]) not in shown
