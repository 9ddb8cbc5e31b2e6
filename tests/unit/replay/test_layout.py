from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from reenact.errors import MalformedBundle, ObjectMissing, SandboxError
from reenact.model.artifact import Entry
from reenact.model.paths import to_text
from reenact.replay.layout import lay_out
from reenact.replay.ownership import Ownership
from reenact.replay.trees import remove_tree
from tests.worlds import MTIME, Memory, encoded, entry

OWN = Ownership(exact=os.geteuid() == 0, uid=os.geteuid(), gid=os.getegid())


@pytest.fixture
def objects() -> Memory:
    return Memory()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


def mine(path: str, kind: Any = "file", **facts: Any) -> Entry:
    return entry(path, kind, **{"uid": os.geteuid(), "gid": os.getegid(), **facts})


def content(objects: Memory, path: str, data: bytes, **facts: Any) -> Entry:
    return mine(path, need="content", digest=objects.add(data), size_bytes=len(data), **facts)


def test_every_kind_of_path_is_laid_out(root: Path, objects: Memory) -> None:
    entries = [
        mine("/", "directory", mode=0o711),
        mine("/d", "directory", mode=0o750),
        content(objects, "/d/file", b"bytes", mode=0o6755),
        mine("/d/link", "symlink", target="../elsewhere"),
        mine("/d/pipe", "fifo", mode=0o640),
        mine("/d/sock", "socket", mode=0o660),
        mine("/d/device", "device", device=(1, 3)),
        mine("/d/only-asked", size_bytes=1 << 40),
    ]
    paths = lay_out(entries, str(root), source=objects, ownership=OWN)
    assert paths == ["/", "/d", "/d/file", "/d/link", "/d/only-asked", "/d/pipe", "/d/sock"]
    assert sorted(os.listdir(root / "d")) == ["file", "link", "only-asked", "pipe", "sock"]
    assert (root / "d/file").read_bytes() == b"bytes"
    assert os.readlink(root / "d/link") == "../elsewhere"
    modes = {name: stat.filemode(os.lstat(root / name).st_mode) for name in (".", "d", "d/file", "d/pipe", "d/sock")}
    assert modes == {
        ".": "drwx--x--x",
        "d": "drwxr-x---",
        "d/file": "-rwsr-sr-x",
        "d/pipe": "prw-r-----",
        "d/sock": "srw-rw----",
    }
    asked = os.stat(root / "d/only-asked")
    assert (asked.st_size, asked.st_blocks) == (1 << 40, 0)
    for path in paths:
        assert os.lstat(str(root) + path).st_mtime_ns == int(MTIME), path


def test_names_that_are_no_text_survive(root: Path, objects: Memory) -> None:
    name = os.fsdecode(b"caf\xe9\\ \n\xf0\x9f\x98\x80")
    target = os.fsdecode(b"\xff")
    lay_out(
        [content(objects, to_text("/" + name), b"x"), mine("/l", "symlink", target=to_text(target))],
        str(root),
        source=objects,
        ownership=OWN,
    )
    assert sorted(os.listdir(root)) == sorted([name, "l"])
    assert os.readlink(root / "l") == target


def test_folders_no_entry_describes_are_plain(root: Path, objects: Memory) -> None:
    paths = lay_out([content(objects, "/a/b/c", b"x")], str(root), source=objects, ownership=OWN)
    assert paths == ["/", "/a", "/a/b", "/a/b/c"]
    assert stat.S_IMODE(os.stat(root / "a/b").st_mode) == (
        0o755 if OWN.exact else 0o555
    )  # root's, and so not the job's
    assert os.stat(root / "a/b").st_mtime_ns == 0


def test_hard_link_groups_are_one_file_and_equal_files_are_not(root: Path, objects: Memory) -> None:
    entries = [
        mine("/a", link="/a"),  # of this name only the size was asked
        content(objects, "/b", b"same", link="/a"),
        content(objects, "/c", b"same"),
        content(objects, "/d", b"same"),
    ]
    lay_out(entries, str(root), source=objects, ownership=OWN)
    inodes = {name: os.stat(root / name).st_ino for name in "abcd"}
    assert inodes["a"] == inodes["b"]
    assert len(set(inodes.values())) == 3
    assert (root / "a").read_bytes() == b"same"


def test_attributes_come_along(root: Path, objects: Memory) -> None:
    try:
        os.setxattr(root, "user.try", b"1")
    except OSError:
        pytest.skip("this file system has no user attributes")
    attributes = {"user.origin": encoded(b"\0raw")}
    lay_out(
        [
            content(objects, "/f", b"x", xattrs=attributes, mode=0o400),
            mine("/d", "directory", xattrs=attributes, mode=0o500),
        ],
        str(root),
        source=objects,
        ownership=OWN,
    )
    assert os.getxattr(root / "f", "user.origin") == os.getxattr(root / "d", "user.origin") == b"\0raw"


def test_holes_come_along(root: Path, objects: Memory) -> None:
    data = bytes(1 << 20) + b"end"
    lay_out([content(objects, "/f", data, sparse=True)], str(root), source=objects, ownership=OWN)
    assert (root / "f").read_bytes() == data
    assert os.stat(root / "f").st_blocks * 512 < 1 << 20


def test_kernel_folders_stay_empty(root: Path, objects: Memory) -> None:
    entries = [
        content(objects, "/proc/self/x", b""),
        content(objects, "/dev/y", b""),
        content(objects, "/dev/shm/z", b"z"),
    ]
    lay_out(entries, str(root), source=objects, ownership=OWN)
    assert sorted(path.name for path in root.rglob("*")) == ["dev", "shm", "z"]


@pytest.mark.parametrize("path", ["relative", "", "/a/../../etc/x", "/a//b", "/a/./b", "/a/", "/nul\0", "/"])
def test_a_path_that_would_leave_the_tree_is_refused(root: Path, objects: Memory, path: str) -> None:
    with pytest.raises(MalformedBundle):
        lay_out([content(objects, path, b"x")], str(root), source=objects, ownership=OWN)
    assert list(root.iterdir()) == []


def test_nothing_is_written_through_a_recorded_link(root: Path, tmp_path: Path, objects: Memory) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    entries = [mine("/a", "symlink", target=str(outside)), content(objects, "/a/b", b"x")]
    with pytest.raises(MalformedBundle, match="no folder"):
        lay_out(entries, str(root), source=objects, ownership=OWN)
    assert list(outside.iterdir()) == []


def test_a_path_that_is_there_twice_is_refused(root: Path, objects: Memory) -> None:
    with pytest.raises(MalformedBundle, match="twice"):
        lay_out([content(objects, "/a", b"x"), content(objects, "/a", b"y")], str(root), source=objects, ownership=OWN)


def test_a_lost_content_names_its_path(root: Path, objects: Memory) -> None:
    lost = content(objects, "/a/lost", b"x")
    objects.objects.clear()
    with pytest.raises(ObjectMissing) as caught:
        lay_out([lost], str(root), source=objects, ownership=OWN)
    assert "/a/lost" in caught.value.hint()


def test_what_the_file_system_refuses_is_named(root: Path, objects: Memory) -> None:
    with pytest.raises(SandboxError, match="cannot lay out"):
        lay_out([content(objects, "/" + "n" * 300, b"x")], str(root), source=objects, ownership=OWN)


# --- ownership

USER = Ownership(exact=False, uid=1000, gid=1000, groups=(50,))


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        ({"uid": 1000, "mode": 0o200}, 0o200),  # the job's own: as it was
        ({"uid": 0, "gid": 0, "mode": 0o644}, 0o644),  # programs copy modes
        ({"uid": 0, "gid": 42, "mode": 0o640}, 0),  # was unreadable, stays so
        ({"uid": 0, "gid": 50, "mode": 0o640}, 0o640),  # readable by group
        ({"uid": 0, "gid": 1000, "mode": 0o604}, 0),  # the group's bits count for its members, not the others'
    ],
)
def test_files_stay_as_readable_as_they_were(facts: dict[str, Any], mode: int) -> None:
    assert USER.mode(entry("/f", **facts)) == mode


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        ({"uid": 1000, "mode": 0o755}, 0o755),
        ({"uid": 0, "gid": 0, "mode": 0o755}, 0o555),  # the job could not make names there, and cannot now
        ({"uid": 0, "gid": 0, "mode": 0o700}, 0o000),
        ({"uid": 0, "gid": 0, "mode": 0o711}, 0o111),
        ({"uid": 0, "gid": 50, "mode": 0o775}, 0o775),
        ({"uid": 0, "gid": 0, "mode": 0o1777}, 0o1777),
    ],
)
def test_folders_allow_what_they_allowed(facts: dict[str, Any], mode: int) -> None:
    assert USER.mode(entry("/d", "directory", **facts)) == mode


def test_folders_that_are_mounted_read_only_keep_their_modes() -> None:
    closed = dataclasses.replace(USER, read_only=("/usr",))
    assert closed.mode(entry("/usr/lib", "directory", uid=0, mode=0o755)) == 0o755
    assert closed.mode(entry("/usrlocal", "directory", uid=0, mode=0o755)) == 0o555
    assert closed.mode(entry("/usr/private", "directory", uid=0, mode=0o700)) == 0
    assert closed.label() != USER.label()


def test_a_top_level_folder_is_closed_when_the_user_could_change_no_folder_in_it() -> None:
    entries = [
        entry("/", "directory", mode=0o777),
        entry("/usr", "directory", mode=0o755),
        entry("/usr/lib", "directory", mode=0o555),
        entry("/usr/file", mode=0o666),
        entry("/home", "directory", mode=0o755),
        entry("/home/u", "directory", mode=0o755, uid=1000),
        entry("/opt", "directory", mode=0o775, gid=50),
        entry("/tmp", "directory", mode=0o1777),
    ]
    assert USER.closed(entries) == ("/usr",)
    assert dataclasses.replace(USER, uid=0).closed(entries) == ()
    assert dataclasses.replace(USER, exact=True).closed(entries) == ()


def test_root_recorded_is_allowed_everything() -> None:
    owner = dataclasses.replace(USER, uid=0, gid=0)
    assert owner.mode(entry("/d", "directory", uid=7, mode=0o700)) == 0o700


def test_equal_labels_mean_equal_trees() -> None:
    assert USER.label() == dataclasses.replace(USER).label()
    labels = {USER.label(), dataclasses.replace(USER, gid=1001).label(), dataclasses.replace(USER, exact=True).label()}
    assert len(labels) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sets owners")
def test_root_sets_recorded_owners(root: Path, objects: Memory) -> None:
    entries = [
        content(objects, "/f", b"x", uid=4242, gid=4343, mode=0o4750),
        mine("/l", "symlink", target="f", uid=5, gid=6),
        mine("/d", "directory", uid=7, gid=8, mode=0o2775),
    ]
    lay_out(entries, str(root), source=objects, ownership=Ownership(exact=True, uid=0, gid=0))
    found = {name: os.lstat(root / name) for name in ("f", "l", "d")}
    assert {name: (s.st_uid, s.st_gid) for name, s in found.items()} == {"f": (4242, 4343), "l": (5, 6), "d": (7, 8)}
    assert stat.S_IMODE(found["f"].st_mode) == 0o4750


# --- deleting


def test_a_locked_tree_can_be_deleted(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/f").write_bytes(b"")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"")
    (top / "a/link").symlink_to(outside)
    for path in (top / "a/b", top / "a", top):
        path.chmod(0)
    remove_tree(str(top))
    remove_tree(str(top))
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").exists()
