"""Merkle trees over a list of leaves: hashes, proofs and their verification. Pure; the nodes are given by the caller.

A node is named by its level (0: leaves) and its index: it covers the leaves from ``index << level`` on, ``1 << level`` of them.

See: RFC 6962 section 2.1 (what the hashes and proofs are), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (how proofs are verified).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "NodeReader",
    "consistency_proof",
    "inclusion_proof",
    "is_consistent",
    "leaf_hash",
    "node_hash",
    "range_root",
    "root",
    "root_of_inclusion",
]

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of a whole node by level and index."""

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""Of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf. Its prefix differs from a node's, or a node could be passed off as a leaf."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two nodes into the one above."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Give the root over the hashes of leaves (or of equally large nodes), however many. Costs one hash a leaf."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        odd = [level.pop()] if len(level) % 2 else []
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)] + odd
    return level[0]


def _split(size: int) -> int:
    """Give the largest power of two below a size of two or more."""
    return 1 << (size - 1).bit_length() - 1


def range_root(start: int, end: int, node: NodeReader) -> bytes:
    """Give the root over the leaves from `start` (a multiple of the range's smallest power of two) to before `end`."""
    size = end - start
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_root(start, middle, node), range_root(middle, end, node))


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Give the hashes that lead from a leaf to the root of a tree (RFC 6962 section 2.1.1), nearest the leaf first.

    Args:
        index: Of the leaf, less than `size`.
        size: Of the tree, in leaves.
        node: Gives whole nodes.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    found: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append(range_root(middle, end, node))
            end = middle
        else:
            found.append(range_root(start, middle, node))
            start = middle
    return found[::-1]


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Give the root that a proof leads to from the hash of a leaf; None when a proof cannot have that shape."""
    if not 0 <= index < size:
        return None
    first, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if first & 1 or first == last:
            found = node_hash(step, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, step)
        first, last = first >> 1, last >> 1
    return found if last == 0 else None


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Give the hashes that show a tree of `new` leaves to begin with one of `old` (RFC 6962 section 2.1.2)."""
    if not 0 < old <= new:
        raise ValueError(f"no proof from {old} to {new} leaves")
    found: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append(range_root(middle, end, node))
            end = middle
        else:
            found.append(range_root(start, middle, node))
            start, whole = middle, False
    if not whole:
        found.append(range_root(start, end, node))
    return found[::-1]


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that the tree with `new_root` begins with the one with `old_root`.

    Every tree begins with the empty one, and that needs no proof.
    """
    if old == 0 or old > new:
        return old == 0 and not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    small = large = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            small, large = node_hash(step, small), node_hash(step, large)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            large = node_hash(large, step)
        first, last = first >> 1, last >> 1
    return last == 0 and small == old_root and large == new_root
