from __future__ import annotations

import os
from pathlib import Path

from reenact.digests import of_bytes
from reenact.store.statcache import Remembered, StatCache

DIGEST = of_bytes(b"content")
LATER = 10_000_000_000


def remembered(path: Path, after_ns: int = LATER) -> Remembered:
    found = path.stat()
    return Remembered(found, DIGEST, max(found.st_mtime_ns, found.st_ctime_ns) + after_ns)


def test_an_unchanged_file_is_known_also_to_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    cache = StatCache(str(tmp_path / "stat.sqlite"))
    assert cache.lookup(path.stat()) is None
    cache.remember_many([remembered(path)])
    assert cache.lookup(path.stat()) == DIGEST
    cache.close()
    other = StatCache(str(tmp_path / "stat.sqlite"))
    assert other.lookup(path.stat()) == DIGEST
    other.close()


def test_any_change_of_its_stat_makes_it_unknown(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    cache = StatCache(None)
    cache.remember_many([remembered(path)])
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert cache.lookup(path.stat()) is None  # its ctime moved
    assert cache.lookup(before) == DIGEST
    path.write_bytes(b"longer content")
    assert cache.lookup(path.stat()) is None
    copy = tmp_path / "copy"
    copy.write_bytes(b"content")
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.lookup(copy.stat()) is None


def test_a_file_touched_just_before_or_after_it_was_hashed_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    cache = StatCache(None)
    for after_ns in (-LATER, 0, 1_000_000, 2_000_000_000):
        cache.remember_many([remembered(path, after_ns)])
        assert cache.lookup(path.stat()) is None
    cache.remember_many([remembered(path, 2_000_000_001)])
    assert cache.lookup(path.stat()) == DIGEST


def test_a_damaged_cache_knows_nothing_and_learns_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    (tmp_path / "stat.sqlite").write_bytes(os.urandom(5000))
    cache = StatCache(str(tmp_path / "stat.sqlite"))
    assert cache.lookup(path.stat()) is None
    cache.remember_many([remembered(path)])
    assert cache.lookup(path.stat()) == DIGEST
    cache.close()


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    cache = StatCache(str(path / "below" / "stat.sqlite"))
    assert cache.lookup(path.stat()) is None
    cache.remember_many([remembered(path)])
    assert cache.lookup(path.stat()) == DIGEST  # as long as the process lives
    cache.close()


def test_large_inode_numbers(tmp_path: Path) -> None:
    values = list((tmp_path).stat())
    values[1] = (1 << 64) - 1
    odd = os.stat_result(values, {"st_mtime_ns": 1, "st_ctime_ns": 1})
    cache = StatCache(None)
    cache.remember_many([Remembered(odd, DIGEST, LATER)])
    assert cache.lookup(odd) == DIGEST
