"""The tree against published vectors, against a second way of computing it, and against proofs that were tampered with."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest

from reenact.seal.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    node_hash,
    range_root,
    root,
    root_of_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The leaves of the test vectors published with Certificate Transparency (RFC 6962's reference implementation)."""
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def node(level: int, index: int) -> bytes:
    return root([leaf_hash(leaf) for leaf in LEAVES][index << level : (index + 1) << level])


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = max(1 << bit for bit in range(20) if 1 << bit < len(leaves))
    return hashlib.sha256(b"\1" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    assert root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]
    assert range_root(0, size, node).hex() == ROOTS[size]
    assert by_definition(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int, proof: list[str]) -> None:
    assert [step.hex() for step in inclusion_proof(index, size, node)] == proof
    found = root_of_inclusion(index, size, leaf_hash(LEAVES[index]), [bytes.fromhex(step) for step in proof])
    assert found is not None
    assert found.hex() == ROOTS[size]


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_published_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    assert [step.hex() for step in consistency_proof(old, new, node)] == proof
    steps = [bytes.fromhex(step) for step in proof]
    assert is_consistent(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), steps)


def test_every_proof_in_every_small_tree_holds_and_no_other_does() -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(35)]

    def at(level: int, index: int) -> bytes:
        return root(hashes[index << level : (index + 1) << level])

    roots = [root(hashes[:size]) for size in range(36)]
    for size in range(1, 36):
        assert range_root(0, size, at) == roots[size]
        for index in range(size):
            proof = inclusion_proof(index, size, at)
            assert root_of_inclusion(index, size, hashes[index], proof) == roots[size]
            for wrong in (proof[1:], proof[:-1], [*proof, EMPTY_ROOT], [EMPTY_ROOT, *proof]):
                if wrong != proof:
                    assert root_of_inclusion(index, size, hashes[index], wrong) != roots[size]
            for other in range(size):
                if other != index:
                    assert root_of_inclusion(other, size, hashes[index], proof) != roots[size]
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, at)
            assert is_consistent(old, size, roots[old], roots[size], proof)
            assert not is_consistent(old, size, roots[old - 1], roots[size], proof)
            assert not is_consistent(old, size, roots[old], EMPTY_ROOT, proof)
            assert not is_consistent(old, size, roots[old], roots[size], [*proof, EMPTY_ROOT])
            for at_step in range(len(proof)):
                bent = [*proof[:at_step], node_hash(proof[at_step], b""), *proof[at_step + 1 :]]
                assert not is_consistent(old, size, roots[old], roots[size], bent)
                assert not is_consistent(old, size, roots[old], roots[size], proof[:at_step] + proof[at_step + 1 :])


def test_every_tree_begins_with_the_empty_one_and_none_with_a_longer_one() -> None:
    assert is_consistent(0, 5, EMPTY_ROOT, bytes(32), [])
    assert not is_consistent(0, 5, bytes(32), bytes(32), [])
    assert not is_consistent(3, 2, bytes(32), bytes(32), [])


def test_a_node_is_no_leaf() -> None:
    first, second = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(first + second) != node_hash(first, second)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, node)
    assert root_of_inclusion(index, size, EMPTY_ROOT, []) is None


def test_roots_differ_from_size_to_size() -> None:
    assert all(before != after for before, after in pairwise(ROOTS))
