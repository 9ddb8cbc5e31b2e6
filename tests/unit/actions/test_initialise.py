from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reenact.actions.initialise import Part, init
from reenact.settings import Settings, load


def made(folder: Path) -> dict[str, Part]:
    return {part.what: part for part in init(folder, lambda: load(str(folder), {}))}


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_the_first_time_makes_all_the_second_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    first = made(folder)
    assert all(part.made for part in first.values())
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    assert not any(part.made for part in made(folder).values())
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == before
    [key] = tmp_path.rglob("*.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not key.is_relative_to(folder)
    assert len(list(Path(first["signing key"].where).iterdir())) == 1


def test_the_written_file_changes_no_setting(tmp_path: Path) -> None:
    made(tmp_path)
    root = str(tmp_path)
    assert load(root, {}) == Settings(
        root=root, store=os.path.join(root, ".reenact"), file=os.path.join(root, "reenact.toml")
    )


def test_a_folder_inside_a_repository_becomes_a_root_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "jobs"
    folder.mkdir()
    assert made(folder)["store"].where == str(folder / ".reenact")


def test_a_settings_file_above_is_kept_to(tmp_path: Path) -> None:
    (tmp_path / "reenact.toml").write_text("store = 'kept'\n")
    folder = tmp_path / "below"
    folder.mkdir()
    parts = made(folder)
    assert (parts["settings"].where, parts["settings"].made) == (str(tmp_path / "reenact.toml"), False)
    assert parts["store"].where == str(tmp_path / "kept")
    assert not (folder / "reenact.toml").exists()
