"""A version of a large file goes through recording, verifying and restoring within bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.shelf import table

CONTENT_BYTES = 1 << 30
MOST_MIB = 300
INSERTED_EVERY = 1 << 24

WORK = """
import os, sys
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import open_store
from reenact.ids import RunId

def most_mib():
    # Not ru_maxrss: after exec that still counts the memory of the process which started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) >> 10

store = open_store(sys.argv[1], create=True, deltas=DeltaPolicy())
previous = None
for path in sys.argv[2:4]:
    writer = store.writer(RunId("01990000-0001-7000-8000-000000000001"))
    descriptor = os.open(path, os.O_RDONLY)
    previous = writer.add_descriptor(descriptor, previous).digest
    writer.commit()
    os.close(descriptor)
assert store.objects.bases_of(previous)
assert store.objects.verify([previous], content=True) == []
descriptor = os.open(sys.argv[4], os.O_WRONLY | os.O_CREAT)
store.objects.copy_to(previous, descriptor)
os.close(descriptor)
store.close()
print(most_mib())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder that is gone at once afterwards: pytest keeps its own for a while."""
    with tempfile.TemporaryDirectory(prefix="reenact-large-") as folder:
        yield Path(folder)


def write_versions(old: Path, new: Path) -> None:
    """Write a table of 1 GiB, and one with some rows inserted; each piece of it differs from the others."""
    piece = table(20_000)
    chance = Random(1)
    written = due = 0
    with old.open("wb") as first, new.open("wb") as second:
        while written < CONTENT_BYTES:
            part = piece.translate(bytes.maketrans(b"0123456789", bytes(chance.sample(b"0123456789", 10))))
            first.write(part)
            if written >= due:
                second.write(chance.randbytes(300).hex().encode() + b"\n")
                due += INSERTED_EVERY
            second.write(part)
            written += len(part)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_is_bounded_at_any_size(place: Path) -> None:
    old, new, copy = place / "old", place / "new", place / "copy"
    write_versions(old, new)
    command = [sys.executable, "-c", WORK, str(place / "store"), str(old), str(new), str(copy)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ)
    assert int(done.stdout) < MOST_MIB
    assert subprocess.run(["cmp", str(new), str(copy)], check=False).returncode == 0
