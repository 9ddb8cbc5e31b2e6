from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.holes import Holes, has_holes
from reenact.store.output import Output
from tests.shelf import RUN, Shelf, edited, table

MIB = 1 << 20


def sparse(path: Path, size_bytes: int, *pieces: tuple[int, bytes]) -> bytes:
    """Write a file with holes; give its content."""
    content = bytearray(size_bytes)
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for at, data in pieces:
            file.seek(at)
            file.write(data)
            content[at : at + len(data)] = data
    if not has_holes(path.stat()):
        pytest.skip("the file system of temporary files makes no holes")
    return bytes(content)


def test_holes_are_told_from_data_and_the_offset_stays(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sparse(path, 8 * MIB, (3 * MIB, b"x" * MIB), (6 * MIB + 4096, b"y" * 4096))
    with path.open("rb") as file:
        file.seek(77)
        holes = Holes(file.fileno())
        found = [holes.covers(place * MIB, MIB) for place in range(8)]
        assert found == [True, True, True, False, True, True, False, True]
        assert not Holes(file.fileno()).covers(7 * MIB, MIB + 1)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 77


def test_a_file_without_holes_is_never_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(MIB))
    with path.open("rb") as file:
        monkeypatch.setattr(os, "lseek", None)
        assert not Holes(file.fileno()).covers(0, MIB)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [(0, b"head")],
        [(20 * MIB - 1, b"!")],
        [(5 * MIB + 4096, random.Random(1).randbytes(3 * MIB)), (12 * MIB, table(9000))],
        # All that is looked at of it is noise, so that it would be kept raw but for its holes.
        [
            ((20 * MIB + 123) * place // 16 // 4096 * 4096 + 4096, random.Random(place).randbytes(MIB))
            for place in range(16)
        ],
    ],
)
def test_a_sparse_file_comes_back_and_takes_no_room_for_its_holes(
    tmp_path: Path, pieces: list[tuple[int, bytes]]
) -> None:
    content = sparse(tmp_path / "f", 20 * MIB + 123, *pieces)
    shelf = Shelf(str(tmp_path / "store"), DeltaPolicy())
    writer = shelf.store.writer(RUN)
    with (tmp_path / "f").open("rb") as file:
        digest = writer.add_descriptor(file.fileno()).digest
    writer.commit()
    assert digest == of_bytes(content)
    assert shelf.stored_bytes(digest) < sum(len(data) for _, data in pieces) + 20_000
    with (tmp_path / "copy").open("wb") as file:
        assert shelf.store.objects.copy_to(digest, file.fileno(), sparse=True) == len(content)
    assert (tmp_path / "copy").read_bytes() == content
    assert os.stat(tmp_path / "copy").st_blocks * 512 < sum(len(data) for _, data in pieces) + 16 * 2 * 65536 + 65536
    shelf.close()


def test_a_version_with_a_hole_is_a_delta_of_one_without(tmp_path: Path) -> None:
    old = table(120_000)
    shelf = Shelf(str(tmp_path / "store"), DeltaPolicy())
    first = shelf.put(old)
    new = edited(old, 1) + bytes(9 * MIB) + old[:1000]
    second = shelf.put(new, first)
    assert shelf.form(second) == "zstd delta"
    assert shelf.copy(second) == new
    assert shelf.stored_bytes(second) < 0.05 * shelf.stored_bytes(first)
    third = shelf.put(new[: 7 * MIB] + old, second)
    assert shelf.copy(third) == new[: 7 * MIB] + old
    shelf.close()


@pytest.mark.parametrize("blocks", [[b""], [bytes(65536)], [b"a" + bytes(70_000)], [bytes(5), bytes(200_000), b"end"]])
def test_zeros_at_the_end_count(tmp_path: Path, blocks: list[bytes]) -> None:
    with (tmp_path / "f").open("wb") as file:
        output = Output(file.fileno(), sparse=True)
        for block in blocks:
            output.write(block)
        assert output.finish() == sum(map(len, blocks))
    assert (tmp_path / "f").read_bytes() == b"".join(blocks)
