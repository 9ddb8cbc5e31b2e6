"""The small modules everything rests on: digests, ids, clock, atomic files."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact import atomic, clock, digests, ids


@given(st.binary())
def test_a_digest_is_the_sha256_and_survives_its_raw_form(data: bytes) -> None:
    digest = digests.of_bytes(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert digests.from_raw(digests.to_raw(digest)) == digest
    assert digests.is_digest(digest)


def test_a_digest_is_what_sha256sum_prints(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * (digests.BLOCK_BYTES + 1))
    printed = subprocess.run(["sha256sum", str(file)], capture_output=True, text=True, check=True).stdout.split()[0]
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.lseek(descriptor, 7, os.SEEK_SET)
        assert digests.of_descriptor(descriptor) == f"sha256:{printed}"
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 7
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 64]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    assert not digests.is_digest(text)
    with pytest.raises(ValueError, match="not a digest"):
        digests.to_raw(text)


def test_lines_are_told_apart_from_their_joins() -> None:
    assert digests.of_lines(["a", "b"]) != digests.of_lines(["ab"])
    assert digests.of_lines(["a", "b"]) == digests.of_bytes(b"a\nb\n")
    assert digests.of_lines([os.fsdecode(b"\xff")]) == digests.of_bytes(b"\xff\n")


@given(st.integers(0, (1 << 48) * 1_000_000 - 1))
def test_an_id_is_a_uuid7_that_carries_its_time(now_ns: int) -> None:
    run_id = ids.new_run_id(now_ns)
    assert ids.is_run_id(run_id)
    assert ids.started_ms(run_id) == now_ns // 1_000_000


@given(st.lists(st.integers(0, 1 << 62), min_size=2, max_size=5))
def test_ids_sort_by_their_start_to_a_quarter_of_a_microsecond(times: list[int]) -> None:
    coarse = sorted({time // 250 * 250 for time in times})
    made = [ids.new_run_id(time) for time in coarse if time // 1_000_000 < 1 << 48]
    assert [i[:18] for i in made] == sorted(i[:18] for i in made)


def test_seeding_the_generator_does_not_make_two_runs_share_an_id() -> None:
    def seeded() -> str:
        random.seed(1)
        return ids.new_run_id(1_700_000_000_000_000_000)

    assert seeded() != seeded()


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_a_time_is_written_in_microseconds_and_read_back(ns: int) -> None:
    text = clock.from_ns(ns)
    assert text.endswith("Z")
    moment = clock.parse(text)
    assert int(moment.timestamp()) * 10**6 + moment.microsecond == ns // 1000


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its zone"):
        clock.parse("2026-01-31T06:00:00")


def test_put_if_absent_puts_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert atomic.put_if_absent(path, b"first", mode=0o600)
    assert not atomic.put_if_absent(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_of_many_who_put_at_once_one_wins_and_all_see_the_same(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: atomic.put_if_absent(path, b"%d" % n, durable=False), range(32)))
    assert won.count(True) == 1
    assert path.read_bytes() == b"%d" % won.index(True)


def test_replace_leaves_the_old_file_when_it_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "f"
    atomic.replace(path, b"old")
    atomic.replace(path, b"new")
    assert path.read_bytes() == b"new"
    (tmp_path / "d").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic.replace(tmp_path / "d", b"x")
    assert sorted(os.listdir(tmp_path)) == ["d", "f"]


def test_a_group_is_there_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    view, last = str(tmp_path / "views" / "v"), str(tmp_path / "last")
    assert atomic.put_group({view: b"1"}, last, b"counts", folders=[str(tmp_path)], mode=0o444)
    assert not atomic.put_group({view: b"2"}, last, b"other")
    assert (Path(view).read_bytes(), Path(last).read_bytes()) == (b"2", b"counts")
    assert stat.S_IMODE(os.stat(last).st_mode) == 0o444
    assert sorted(os.listdir(tmp_path)) == ["last", "views"]
    assert os.listdir(tmp_path / "views") == ["v"]


def test_of_a_group_that_cannot_be_put_the_last_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.put_group({str(tmp_path / "nowhere" / "v"): b"1"}, str(tmp_path / "last"), b"counts")
    with pytest.raises(FileNotFoundError):
        atomic.put_group({}, str(tmp_path / "last"), b"counts", folders=[str(tmp_path / "nowhere")])
    assert os.listdir(tmp_path) == []


def test_all_is_made_durable_or_the_caller_hears_of_it(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(b"")
    atomic.sync([tmp_path, *paths])
    with pytest.raises(FileNotFoundError):
        atomic.sync([*paths, tmp_path / "d"])
