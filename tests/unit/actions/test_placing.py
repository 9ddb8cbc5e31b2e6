from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reenact.actions.placing import place
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, ObjectDamaged, UsageError
from tests.bundles import artifact


class Objects:
    """Bytes by digest, as the store's reader gives them."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = {of_bytes(content): content for content in contents}

    def copy_to(self, digest: Digest, descriptor: int, *, sparse: bool = False) -> object:
        del sparse
        os.write(descriptor, self.contents[digest])
        return None


def test_files_get_their_bytes_mode_and_time(tmp_path: Path) -> None:
    placed = place(
        Objects(b"a", b"b"),
        [artifact("out/a.sh", b"a", mode=0o4755), artifact("b", b"b", mtime_ns="123456789")],
        tmp_path / "new",
    )
    assert [(p.name, p.size_bytes) for p in placed] == [("b", 1), ("out/a.sh", 1)]
    made = tmp_path / "new" / "out" / "a.sh"
    assert made.read_bytes() == b"a"
    # Never set-user-id: the file now belongs to whoever restores it.
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    assert (tmp_path / "new" / "b").stat().st_mtime_ns == 123456789
    assert sorted(os.listdir(tmp_path / "new")) == ["b", "out"]


def test_a_name_outside_the_root_keeps_its_path_below_the_folder(tmp_path: Path) -> None:
    [placed] = place(Objects(b"x"), [artifact("/var/data/x", b"x")], tmp_path)
    assert placed.path == str(tmp_path / "var" / "data" / "x")
    assert (tmp_path / "var" / "data" / "x").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", "..", "a\0b"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="no artifact can be called"):
        place(Objects(b"x"), [artifact(name, b"x")], tmp_path / "inner")
    assert not (tmp_path / "x").exists()


def test_a_link_is_not_followed_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    to = tmp_path / "to"
    to.mkdir()
    (to / "out").symlink_to(outside)
    with pytest.raises(NotADirectoryError, match="links are not followed"):
        place(Objects(b"x"), [artifact("out/x", b"x")], to)
    assert os.listdir(outside) == []


def test_a_recorded_link_is_made_last_so_that_nothing_goes_through_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = artifact("a", None, "created", type="symlink", target=str(outside), names=None)
    with pytest.raises(FileExistsError):
        place(Objects(b"x"), [link, artifact("a/x", b"x")], tmp_path / "to")
    assert os.listdir(outside) == []


def test_links_folders_and_fifos(tmp_path: Path) -> None:
    things = [
        artifact("d", None, "created", mode=0o555),
        artifact("d/f", b"x"),
        artifact("l", None, "created", type="symlink", target="d/f"),
        artifact("p", None, "created", type="fifo", mode=0o600),
        artifact("s", None, "created", type="socket"),
    ]
    assert [p.name for p in place(Objects(b"x"), things, tmp_path)] == ["d", "d/f", "l", "p"]
    assert (tmp_path / "l").readlink() == Path("d/f")
    assert (tmp_path / "l").read_bytes() == b"x"
    assert stat.S_ISFIFO((tmp_path / "p").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755
    assert not (tmp_path / "s").exists()


def test_what_is_in_the_way_is_named_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"already a, b$"):
        place(Objects(b"x"), [artifact(n, b"x") for n in "abc"], tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_text() == "mine"


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9 '\"\n\\x"
    place(Objects(b"x"), [artifact("caf\\xe9 '\"\n\\\\x", b"x")], tmp_path)
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_a_damaged_object_leaves_no_file(tmp_path: Path) -> None:
    class Damaged(Objects):
        def copy_to(self, digest: Digest, descriptor: int, *, sparse: bool = False) -> object:
            del sparse
            os.write(descriptor, b"half")
            raise ObjectDamaged(digest, "other")

    with pytest.raises(ObjectDamaged):
        place(Damaged(), [artifact("x", b"x")], tmp_path)
    assert os.listdir(tmp_path) == []
