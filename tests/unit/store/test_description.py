"""What a store says of itself, and the copy of it that a host keeps of one in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.errors import StoreError
from reenact.store.description import journals_folder, kept_description, private_folders, read_description
from reenact.store.opening import open_store

URL = "s3://bucket/some/place"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file in which this host would keep the description of the store at URL."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    path = Path(kept_description(URL, os.environ))
    path.parent.mkdir(parents=True)
    return path


def test_a_copy_tells_where_this_hosts_files_are(kept: Path, tmp_path: Path) -> None:
    open_store(str(tmp_path / "store"), create=True).close()
    kept.write_bytes((tmp_path / "store" / "store.json").read_bytes())
    found = read_description(URL, os.environ)
    assert found is not None
    assert found.remote
    state, cache = private_folders(found, os.environ)
    assert state == str(tmp_path / ".local" / "state" / "reenact" / found.id)
    assert cache == str(tmp_path / ".cache" / "reenact" / found.id)
    assert journals_folder(URL, found, os.environ) == f"{state}/journals"
    assert kept.is_relative_to(tmp_path / ".cache" / "reenact" / "locations")


@pytest.mark.parametrize("content", [None, b"", b"{}", b"not JSON", b'{"format": 99}'])
def test_a_copy_that_cannot_be_used_is_as_none(kept: Path, content: bytes | None) -> None:
    if content is not None:
        kept.write_bytes(content)
    assert read_description(URL, os.environ) is None


def test_the_description_of_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    assert read_description(str(tmp_path), os.environ) is None
    (tmp_path / "store.json").write_bytes(b"{}")
    with pytest.raises(StoreError, match="cannot be read"):
        read_description(str(tmp_path), os.environ)


def test_two_locations_have_two_copies(kept: Path) -> None:
    others = [
        kept_description(url, os.environ)
        for url in ("s3://bucket/some%2Fplace", "s3://bucket/some", "gs://bucket/some/place")
    ]
    assert len({str(kept), *others}) == 4
