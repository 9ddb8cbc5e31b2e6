from __future__ import annotations

import os
import random

import pytest

from reenact.store import prefix
from reenact.store.effort import Effort, choose_effort
from tests.shelf import table


def chosen(content: bytes) -> Effort | None:
    return choose_effort(
        lambda offset, length: content[offset : offset + length],
        len(content),
        lambda sample, effort: len(prefix.compress(sample, b"", "plain", effort)),
    )


@pytest.mark.parametrize("size", [300_000, 1 << 20, 5 << 20, 20 << 20])
def test_what_does_not_compress_stays_raw(size: int) -> None:
    assert chosen(os.urandom(size)) is None


@pytest.mark.parametrize("rows", [8000, 120_000])
def test_tables_are_compressed(rows: int) -> None:
    assert chosen(table(rows)) is not None


def test_zeros_take_the_least_effort() -> None:
    assert chosen(bytes(8 << 20)) == "quick"


def test_a_part_that_compresses_is_found_between_samples() -> None:
    """As in sorted, compressed Parquet: a dictionary page that comes again behind each column's incompressible pages."""
    chance = random.Random(1)
    page = chance.randbytes(120_000)
    group = b"".join((page, chance.randbytes(500_000), page, chance.randbytes(1_300_000)))
    content = b"".join(group[:500_000] + chance.randbytes(300_000) + group[500_000:740_000] for _ in range(16))
    assert chosen(content) is not None


@pytest.mark.parametrize(
    ("quick", "steady", "found"), [(1014, 1010, "quick"), (1100, 1010, "steady"), (1100, 1100, "hard")]
)
def test_the_least_effort_that_is_nearly_best_is_taken(quick: int, steady: int, found: str) -> None:
    taken = {"quick": quick, "steady": steady, "hard": 1000}
    assert choose_effort(lambda _, length: bytes(length), 64 << 20, lambda _, effort: taken[effort]) == found
