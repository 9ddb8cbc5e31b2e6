from __future__ import annotations

import fcntl
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reenact.digests import Digest, of_bytes
from reenact.errors import ObjectMissing, SandboxError
from reenact.model.artifact import Entry
from reenact.replay.census import load, take
from reenact.replay.layers import LayerCache
from reenact.replay.ownership import Ownership
from tests.worlds import Memory, entry

OWN = Ownership(exact=os.geteuid() == 0, uid=os.geteuid(), gid=os.getegid())
KEY = of_bytes(b"layer")
OTHER = of_bytes(b"other layer")


@pytest.fixture
def objects() -> Memory:
    return Memory()


@pytest.fixture
def entries(objects: Memory) -> list[Entry]:
    mine: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid()}
    contents = {"/lib/a": b"aaaa", "/lib/b": b"bbbb", "/lib/twin": b"aaaa"}
    return [
        entry("/", "directory", **mine),
        entry("/lib", "directory", need="list", names=("a", "b", "twin"), **mine),
        entry("/lib/link", "symlink", target="a", **mine),
        entry("/asked", size_bytes=7, **mine),
        *(
            entry(path, need="content", digest=objects.add(data), size_bytes=len(data), **mine)
            for path, data in contents.items()
        ),
    ]


def cache(folder: Path, objects: Memory, limit_bytes: int = 1 << 30) -> LayerCache:
    return LayerCache(folder / "worlds", source=objects, ownership=OWN, limit_bytes=limit_bytes)


def laid_out(
    layers: LayerCache, entries: Sequence[Entry], key: Digest = KEY, *, shared: bool = True, rehash: bool = False
) -> dict[str, bytes]:
    with layers.layer(key, entries, shared=shared, rehash=rehash) as tree:
        return {str(path.relative_to(tree)): path.read_bytes() for path in Path(tree).rglob("*") if path.is_file()}


def test_a_layer_is_made_once(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    first = laid_out(cache(tmp_path, objects), entries)
    assert first["lib/link"] == b"aaaa"
    objects.reads.clear()
    assert laid_out(cache(tmp_path, objects), entries) == first
    assert objects.reads == []


def test_layers_share_files_by_links_but_equal_files_of_one_layer_stay_apart(
    tmp_path: Path, objects: Memory, entries: list[Entry]
) -> None:
    layers = cache(tmp_path, objects)
    with layers.layer(KEY, entries) as one, layers.layer(OTHER, entries) as other:
        for name in ("a", "b", "twin"):
            assert os.path.samefile(f"{one}/lib/{name}", f"{other}/lib/{name}")
        assert not os.path.samefile(f"{one}/lib/a", f"{one}/lib/twin")


def test_files_that_a_job_works_on_have_one_name(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    """gzip, bzip2 and xz leave alone what has more."""
    layers = cache(tmp_path, objects)
    with layers.layer(KEY, entries), layers.layer(KEY, entries, shared=False) as own:
        found = {name: os.stat(f"{own}/lib/{name}").st_nlink for name in ("a", "b", "twin")}
    assert found == {"a": 1, "b": 1, "twin": 1}
    objects.reads.clear()
    with layers.layer(KEY, entries, shared=False) as again:
        assert again == own
    assert objects.reads == []


def test_a_layer_stays_trusted_when_another_links_to_its_files(
    tmp_path: Path, objects: Memory, entries: list[Entry]
) -> None:
    """Links move change times; that alone is no damage."""
    layers = cache(tmp_path, objects)
    with layers.layer(KEY, entries) as tree:
        before = os.stat(f"{tree}/lib").st_ino
    laid_out(layers, entries, OTHER)
    objects.reads.clear()
    with layers.layer(KEY, entries) as tree:
        assert os.stat(f"{tree}/lib").st_ino == before
    assert objects.reads == []


def append(tree: Path) -> None:
    with (tree / "lib/a").open("ab") as file:
        file.write(b"x")


def flip_keeping_time(tree: Path) -> None:
    """Change a byte and put the times back: only the change time and the bytes tell."""
    found = os.stat(tree / "lib/a")
    (tree / "lib/a").write_bytes(b"aaab")
    os.utime(tree / "lib/a", ns=(found.st_atime_ns, found.st_mtime_ns))


def chmod(tree: Path) -> None:
    (tree / "lib/a").chmod(0o600)


def delete(tree: Path) -> None:
    (tree / "lib/b").unlink()


def add(tree: Path) -> None:
    (tree / "lib/c").write_bytes(b"")


def add_keeping_time(tree: Path) -> None:
    found = os.stat(tree / "lib")
    (tree / "lib/c").write_bytes(b"")
    os.utime(tree / "lib", ns=(found.st_atime_ns, found.st_mtime_ns))


def swap(tree: Path) -> None:
    (tree / "lib/a").replace(tree / "lib/b")


def relink(tree: Path) -> None:
    (tree / "lib/link").unlink()
    (tree / "lib/link").symlink_to("b")


@pytest.mark.parametrize("vandal", [append, flip_keeping_time, chmod, delete, add, add_keeping_time, swap, relink])
def test_a_changed_layer_is_noticed_and_made_anew(
    tmp_path: Path, objects: Memory, entries: list[Entry], vandal: Callable[[Path], None]
) -> None:
    layers = cache(tmp_path, objects)
    first = laid_out(layers, entries)
    with layers.layer(KEY, entries) as tree:
        pass
    time.sleep(0.02)  # the clock behind change times ticks every 4 to 10 ms on kernels before 6.13
    vandal(Path(tree))
    assert laid_out(layers, entries) == first
    with layers.layer(KEY, entries) as tree:
        assert os.stat(f"{tree}/lib/a").st_mode & 0o7777 == 0o644


def test_rehashing_finds_bytes_that_rotted_unseen(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    """As a disk would do it: no time of the file moves. Here the census is made to agree with the damaged file."""
    layers = cache(tmp_path, objects)
    first = laid_out(layers, entries)
    with layers.layer(KEY, entries) as tree:
        pass
    flip_keeping_time(Path(tree))
    census = Path(tree).parent / "census"
    known = load(census.read_bytes())
    assert known is not None
    census.write_bytes(msgspec.json.encode(take(tree, [row.path for row in known.rows])))
    assert laid_out(layers, entries) != first
    assert laid_out(layers, entries, rehash=True) == first


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format":"reenact-census/99","rows":[]}'])
def test_a_damaged_census_costs_a_rebuild_only(
    tmp_path: Path, objects: Memory, entries: list[Entry], damage: bytes
) -> None:
    layers = cache(tmp_path, objects)
    first = laid_out(layers, entries)
    with layers.layer(KEY, entries) as tree:
        pass
    (Path(tree).parent / "census").write_bytes(damage)
    assert laid_out(layers, entries) == first


def test_a_vandalised_pool_does_not_spread(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    layers = cache(tmp_path, objects)
    first = laid_out(layers, entries)
    for file in (tmp_path / "worlds").glob("pool-*/*/*"):
        found = os.stat(file)
        file.write_bytes(b"evil")
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert laid_out(layers, entries, OTHER) == first


def test_a_lost_object_leaves_no_half_layer(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    kept = dict(objects.objects)
    objects.objects.clear()
    layers = cache(tmp_path, objects)
    with pytest.raises(ObjectMissing):
        laid_out(layers, entries)
    assert [path.name for path in (tmp_path / "worlds").iterdir() if not path.name.startswith("pool-")] == []
    objects.objects.update(kept)
    assert laid_out(layers, entries)["lib/a"] == b"aaaa"


def large(objects: Memory, number: int) -> list[Entry]:
    data = bytes([number]) * 100_000
    facts: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid(), "need": "content", "size_bytes": len(data)}
    return [entry(f"/large{number}", digest=objects.add(data), **facts)]


def present(folder: Path) -> set[str]:
    names = [path.name.removeprefix("own-") for path in (folder / "worlds").iterdir()]
    return {name.partition("-")[0] for name in names if not name.startswith("pool-")}


@pytest.mark.parametrize("shared", [True, False])
def test_the_longest_unused_layers_go_when_the_cache_is_full(tmp_path: Path, objects: Memory, shared: bool) -> None:
    layers = cache(tmp_path, objects, limit_bytes=250_000)
    keys = [of_bytes(bytes([number])) for number in range(4)]
    for number, key in enumerate(keys[:2]):
        laid_out(layers, large(objects, number), key, shared=shared)
    for age, key in ((1, keys[1]), (2, keys[0])):  # the first was used last
        (lock,) = (tmp_path / "worlds").glob(f"*{key[7:]}-*/lock")
        os.utime(lock, ns=(age, age))
    laid_out(layers, large(objects, 2), keys[2], shared=shared)
    assert present(tmp_path) == {keys[0][7:], keys[2][7:]}
    kept = "pool-*/*/*" if shared else "own-*/tree/large*"
    assert sum(path.stat().st_size for path in (tmp_path / "worlds").glob(kept)) == 200_000


def test_a_layer_in_use_is_never_deleted(tmp_path: Path, objects: Memory) -> None:
    layers = cache(tmp_path, objects, limit_bytes=1)
    keys = [of_bytes(bytes([number])) for number in range(2)]
    with layers.layer(keys[0], large(objects, 0)) as tree:
        with layers.layer(keys[1], large(objects, 1)):
            assert present(tmp_path) == {key[7:] for key in keys}
        assert Path(tree, "large0").stat().st_size == 100_000
    laid_out(layers, large(objects, 2), of_bytes(b"third"))
    assert present(tmp_path) == {of_bytes(b"third")[7:]}


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_are_not(
    tmp_path: Path, objects: Memory, entries: list[Entry]
) -> None:
    worlds = tmp_path / "worlds"
    for name in (".tmp-dead", ".tmp-alive", ".tmp-new"):
        (worlds / name / "tree").mkdir(parents=True)
        (worlds / name / "lock").touch()
    with (worlds / ".tmp-alive/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for name in (".tmp-dead", ".tmp-alive"):
            os.utime(worlds / name, ns=(1, 1))
        laid_out(cache(tmp_path, objects), entries)
        assert sorted(path.name for path in worlds.glob(".tmp-*")) == [".tmp-alive", ".tmp-new"]


def _build(folder: Path, objects: Memory, entries: list[Entry], barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    assert laid_out(cache(folder, objects), entries)["lib/a"] == b"aaaa"


def test_processes_that_race_for_a_layer_all_get_it(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    racers = [context.Process(target=_build, args=(tmp_path, objects, entries, barrier)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * 4
    assert present(tmp_path) == {KEY[7:]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, objects: Memory, entries: list[Entry]) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SandboxError, match="layer cache"):
        laid_out(cache(tmp_path, objects), entries)
    tmp_path.chmod(0o700)
