"""What an encrypted store costs beside a plain one: the same work in turns, CPU seconds and their ratio.

    python bench/encryption.py [ROUNDS]

Works below BENCH (default /tmp/reenact-bench), some 2 GB.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from reenact.digests import Digest
from reenact.ids import RunId
from reenact.store.crypt.identities import own_recipient
from reenact.store.opening import Store, open_store

RUN = RunId("01990000-0001-7000-8000-000000000001")
BASE = Path(os.environ.get("BENCH", "/tmp/reenact-bench"), "encryption")
LARGE_BYTES = 512 << 20
SMALL_FILES = 20_000


def data() -> tuple[Path, list[bytes]]:
    """Make a file that does not compress, and small contents that do."""
    path = BASE / "large.bin"
    if not path.exists() or path.stat().st_size != LARGE_BYTES:
        with path.open("wb") as file:
            for _ in range(LARGE_BYTES >> 20):
                file.write(os.urandom(1 << 20))
    chance = random.Random(1)
    return path, [b"%d," % chance.getrandbits(64) * (20 + number % 400) for number in range(SMALL_FILES)]


def cpu_of(work: Callable[[], object]) -> tuple[float, float]:
    """Give the CPU and wall seconds of some work, all threads together."""
    begun, started = os.times(), time.perf_counter()
    work()
    ended = os.times()
    return ended.user + ended.system - begun.user - begun.system, time.perf_counter() - started


def put_large(store: Store, path: Path) -> Digest:
    writer = store.writer(RUN)
    with path.open("rb") as file:
        digest = writer.add_descriptor(file.fileno()).digest
    writer.commit()
    return digest


def put_small(store: Store, contents: list[bytes]) -> list[Digest]:
    writer = store.writer(RUN)
    digests = [writer.add_bytes(content) for content in contents]
    writer.commit()
    return digests


def one(place: Path, *, encrypted: bool) -> dict[str, tuple[float, float]]:
    """Do everything once in a new store."""
    path, contents = data()
    shutil.rmtree(place, ignore_errors=True)
    store = open_store(str(place), create=True, encrypt_to=[own_recipient(os.environ)] if encrypted else ())
    found: dict[str, tuple[float, float]] = {}
    large: list[Digest] = []
    small: list[Digest] = []
    found["put one large file"] = cpu_of(lambda: large.append(put_large(store, path)))
    null = os.open(os.devnull, os.O_WRONLY)
    found["read it"] = cpu_of(lambda: store.objects.copy_to(large[0], null))
    found["put 20,000 small"] = cpu_of(lambda: small.extend(put_small(store, contents)))
    found["read 20,000 small"] = cpu_of(lambda: [store.objects.read(digest) for digest in small])
    found["verify all"] = cpu_of(lambda: store.objects.verify([*large, *small], content=False))
    os.close(null)
    store.close()
    shutil.rmtree(place)
    return found


def main(rounds: int) -> None:
    """Measure in turns, and print medians."""
    BASE.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(BASE)
    results = [(one(BASE / "plain", encrypted=False), one(BASE / "sealed", encrypted=True)) for _ in range(rounds)]
    print(f"{'work':<22}{'plain CPU s':>12}{'encrypted':>12}{'ratio':>8}{'wall ratio':>12}")
    for name in results[0][0]:
        plain, sealed = (median(result[which][name][0] for result in results) for which in (0, 1))
        ratio = median(sealed_[name][0] / max(plain_[name][0], 0.01) for plain_, sealed_ in results)
        wall = median(sealed_[name][1] / plain_[name][1] for plain_, sealed_ in results)
        print(f"{name:<22}{plain:>12.2f}{sealed:>12.2f}{ratio:>8.2f}{wall:>12.2f}")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
