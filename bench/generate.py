"""Make the workloads' data from fixed seeds, with the standard library alone. What is there already is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

__all__ = ["big_file", "many_files", "orders"]

ORDERS = 2_000_000
FILES = 10_000
FILE_BYTES = 4096
BIG_BYTES = 2 << 30
BLOCK_BYTES = 1 << 24
VOCABULARY = 4000
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def orders(folder: Path) -> Path:
    """Make W2's input: a CSV file of two million rows, about 220 MB, compressible like text."""
    path = folder / "orders.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("w", encoding="ascii") as file:
            file.write("id,ts,category,amount,text\n")
            file.writelines(_rows())
        unfinished.rename(path)
    return path


def _rows() -> Iterator[str]:
    random = Random(2)
    words = ["".join(random.choices(LETTERS, k=random.randint(3, 8))) for _ in range(VOCABULARY)]
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - the table holds local times, as such tables do
    for number in range(ORDERS):
        # Low indexes are likelier, so that the text compresses as text does.
        text = " ".join([words[int(VOCABULARY * random.random() ** 2.5)] for _ in range(9)])
        when = start + timedelta(seconds=7 * number)
        yield f"{number},{when},cat_{int(40 * random.random()):02d},{random.gammavariate(2.0, 40.0):.2f},{text}\n"


def many_files(folder: Path) -> Path:
    """Make W3's input: ten thousand files of 4 KiB that do not compress."""
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        unfinished.mkdir(parents=True, exist_ok=True)
        random = Random(3)
        for number in range(FILES):
            (unfinished / f"f{number:05d}.bin").write_bytes(random.randbytes(FILE_BYTES))
        unfinished.rename(folder)
    return folder


def big_file(folder: Path) -> Path:
    """Make W4's input: one file of 2 GiB that does not compress. `BENCH_BIG_BYTES` makes it smaller."""
    size = int(os.environ.get("BENCH_BIG_BYTES", BIG_BYTES))
    path = folder / f"big-{size}.bin"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        random = Random(4)
        with unfinished.open("wb") as file:
            for at in range(0, size, BLOCK_BYTES):
                file.write(random.randbytes(min(BLOCK_BYTES, size - at)))
        unfinished.rename(path)
    return path
