"""Make the workloads' data from fixed seeds, with the standard library alone. What is there already is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

__all__ = ["big_file", "many_files", "orders", "snapshots"]

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
            file.writelines(_rows(Random(2), 0, ORDERS))
        unfinished.rename(path)
    return path


def _rows(random: Random, first: int, count: int, words: list[str] | None = None) -> Iterator[str]:
    words = words or _vocabulary(random)
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - the table holds local times, as such tables do
    for number in range(first, first + count):
        # Low indexes are likelier, so that the text compresses as text does.
        text = " ".join([words[int(VOCABULARY * random.random() ** 2.5)] for _ in range(9)])
        when = start + timedelta(seconds=7 * number)
        yield f"{number},{when},cat_{int(40 * random.random()):02d},{random.gammavariate(2.0, 40.0):.2f},{text}\n"


def _vocabulary(random: Random) -> list[str]:
    return ["".join(random.choices(LETTERS, k=random.randint(3, 8))) for _ in range(VOCABULARY)]


def snapshots(folder: Path, rows: int, days: int) -> list[Path]:
    """Make W5's input: a CSV table as it is each day, 1 % of its rows rewritten and 0.3 % appended since the day before.

    Three million rows are 0.32 GB.
    """
    place = folder / f"snapshots-{rows}"
    place.mkdir(parents=True, exist_ok=True)
    paths = [place / f"day{day:02d}.csv" for day in range(days)]
    if not all(path.exists() for path in paths):
        random = Random(5)
        words = _vocabulary(random)
        table = list(_rows(random, 0, rows, words))
        for day, path in enumerate(paths):
            if day:
                _grow(table, random, words)
            with path.with_suffix(".part").open("w", encoding="ascii") as file:
                file.write("id,ts,category,amount,text\n")
                file.writelines(table)
            path.with_suffix(".part").rename(path)
    return paths


def _grow(table: list[str], random: Random, words: list[str]) -> None:
    """Let a day pass: id and time of a row stay, what follows is another's."""
    count = len(table)
    for number, new in zip(
        random.sample(range(count), count // 100), _rows(random, 0, count // 100, words), strict=True
    ):
        kept, fresh = table[number].split(",", 2), new.split(",", 2)
        table[number] = f"{kept[0]},{kept[1]},{fresh[2]}"
    table.extend(_rows(random, count, count * 3 // 1000, words))


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
