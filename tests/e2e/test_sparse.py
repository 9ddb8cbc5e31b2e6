"""A file of any length, part holes and part noise, passes through recording, verifying and restoring in little memory and room.

``REENACT_TEST_SPARSE_BYTES`` makes the file longer, ``REENACT_TEST_NOISE_BYTES`` makes more of it noise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.e2e.desk import Desk

SIZE_BYTES = int(os.environ.get("REENACT_TEST_SPARSE_BYTES", "3221225472"))
NOISE_BYTES = int(os.environ.get("REENACT_TEST_NOISE_BYTES", "268435456"))
PIECE_BYTES = 16 << 20
MOST_MIB = 400
LOOK_SECONDS = 0.02


def write_sparse(path: Path) -> None:
    """Spread pieces of noise over a file of holes."""
    count = NOISE_BYTES // PIECE_BYTES
    chance = Random(1)
    with path.open("wb") as file:
        file.truncate(SIZE_BYTES)
        for place in range(count):
            file.seek(SIZE_BYTES // count * place // 4096 * 4096)
            file.write(chance.randbytes(PIECE_BYTES))


def processes(pid: int) -> Iterator[int]:
    """Give a process and all below it."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from processes(int(child))
    except OSError:
        return


def most_mib(pid: int) -> int:
    """Give the most resident memory of a process so far, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM:")), 0)


def peak(desk: Desk, *words: str) -> int:
    """Run a command to its end; give the memory of whichever of its processes took the most."""
    found = 0
    with desk.start([desk.person.reenact, *words], stdin=None, stdout=None, stderr=None) as process:
        while process.poll() is None:
            found = max([found, *map(most_mib, processes(process.pid))])
            time.sleep(LOOK_SECONDS)
    assert process.returncode == 0
    return found


def used(top: Path) -> int:
    """Give the room that the files below a folder take on their disk."""
    return sum(path.stat().st_blocks * 512 for path in top.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_and_room_are_bounded(my_desk: Desk) -> None:
    path = my_desk.folder / "big"
    write_sparse(path)
    if path.stat().st_blocks * 512 > 2 * NOISE_BYTES:
        pytest.skip("the file system of temporary files makes no holes")
    # The job reads some of it, which makes it an input; the recorder reads all of it.
    assert (
        peak(my_desk, "run", "--job", "big", "--", "dd", "if=big", "of=/dev/null", "bs=1M", "count=64", "status=none")
        < MOST_MIB
    )
    assert used(my_desk.store) < NOISE_BYTES * 1.01 + (8 << 20)
    assert peak(my_desk, "verify", "--all", "--deep") < MOST_MIB
    assert peak(my_desk, "restore", "big", "big", "--inputs", "--to", str(my_desk.out)) < MOST_MIB
    restored = my_desk.out / "big"
    assert restored.stat().st_size == SIZE_BYTES
    assert used(my_desk.out) < NOISE_BYTES * 1.01 + (8 << 20)
    assert my_desk.execute(["cmp", str(path), str(restored)]).exit_code == 0
