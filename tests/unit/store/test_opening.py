from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reenact.errors import StoreError
from reenact.store.local import cache_folder, stat_cache_name
from reenact.store.opening import open_store


def test_a_store_is_made_once_and_keeps_its_id(tmp_path: Path) -> None:
    location = tmp_path / "deep" / "store"
    made = open_store(str(location), create=True)
    assert open_store(str(location), create=True).id == made.id
    assert open_store(str(location), create=False).id == made.id
    assert made.location == str(location)
    assert (location.stat().st_mode & 0o777) == 0o700
    description = json.loads((location / "store.json").read_bytes())
    assert description.pop("check").startswith("sha256:")
    assert description == {"format": 1, "id": made.id, "digest_names": "plain", "encryption": None}


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_store(str(tmp_path), create=True)
    assert (tmp_path.stat().st_mode & 0o777) == 0o755


def test_what_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store") as caught:
        open_store(str(tmp_path / "store"), create=False)
    assert "reenact init" in caught.value.hint()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": 2}, "format 2"),
        ({"format": "1"}, "format '1'"),
        ({"digest_names": "keyed"}, "encrypted"),
        ({"encryption": {"recipients": []}}, "encrypted"),
        ({"id": "../../elsewhere"}, "cannot be read"),
        ({"id": None}, "cannot be read"),
    ],
)
def test_a_store_this_version_would_misread_is_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    open_store(str(tmp_path), create=True)
    path = tmp_path / "store.json"
    description = json.loads(path.read_bytes()) | change
    path.unlink()
    path.write_text(json.dumps(description))
    with pytest.raises(StoreError, match=what) as caught:
        open_store(str(tmp_path), create=True)
    assert caught.value.hint()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format": 1'])
def test_a_damaged_description_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "store.json").write_bytes(data)
    with pytest.raises(StoreError, match="cannot be read"):
        open_store(str(tmp_path), create=True)


def test_a_place_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gopher is not known"):
        open_store("gopher://bucket/prefix", create=True)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        open_store(str(tmp_path / "file"), create=True)


def test_where_caches_go(tmp_path: Path) -> None:
    assert cache_folder(tmp_path, "id", {"HOME": "/home/u"}) == str(tmp_path / "cache")
    unwritable = tmp_path / "nothing"
    assert cache_folder(unwritable, "id", {"HOME": "/home/u"}) == "/home/u/.cache/reenact/id"
    assert cache_folder(unwritable, "id", {"HOME": "/h", "XDG_CACHE_HOME": "/c"}) == "/c/reenact/id"
    assert cache_folder(unwritable, "id", {"HOME": "/h", "XDG_CACHE_HOME": "c"}) == "/h/.cache/reenact/id"


def test_without_a_home_caches_go_to_a_folder_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = Path(cache_folder(tmp_path / "nothing", "id", {}))
    assert found.parent.parent == tmp_path
    found.parent.chmod(0o777)
    with pytest.raises(StoreError, match="not ours alone"):
        cache_folder(tmp_path / "nothing", "id", {})


def test_the_stat_cache_is_named_for_the_host() -> None:
    assert stat_cache_name() == stat_cache_name()
    assert "/" not in stat_cache_name()


def test_opening_imports_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
from reenact.store.opening import open_store
open_store(sys.argv[1], create=True)
store = open_store(sys.argv[1], create=False)
store.writer("01990000-0001-7000-8000-000000000001")
print(*sorted({"sqlite3", "cryptography", "rich", "click", "msgspec", "tempfile", "reenact.model.bundle"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    # Making a store writes canonical JSON, which is what brings msgspec.
    assert run.stdout.split() == ["msgspec"]
