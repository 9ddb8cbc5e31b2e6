"""Files of a commit, read without a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reenact.errors import UsageError
from reenact.replay.revision import commit_of, files_at, named, read_blobs, top_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "sub").mkdir()
    (tmp_path / "etl.py").write_text("1\n")
    (tmp_path / "sub" / "né w.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sub" / "né w.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("etl.py")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "first")
    (tmp_path / "etl.py").write_text("2\n")
    (tmp_path / "new.py").write_text("")
    (tmp_path / "x.log").write_text("")
    return tmp_path


def test_a_commit_gives_its_files_whatever_the_work_tree_holds(repository: Path) -> None:
    found = commit_of(str(repository), "first")
    files = files_at(str(repository), found.commit)
    assert {name: (blob.mode, blob.is_link) for name, blob in files.items() if name != ".gitignore"} == {
        "etl.py": (0o644, False),
        "link": (0o644, True),
        "sub/né w.sh": (0o755, False),
    }
    contents = {blob.name: data for blob, data in read_blobs(str(repository), [*files.values()])}
    assert (contents["etl.py"], contents["link"]) == (b"1\n", b"etl.py")


def test_what_git_ignores_is_not_named(repository: Path) -> None:
    tracked, others = named(str(repository))
    assert "etl.py" in tracked
    assert others == {"new.py"}


@pytest.mark.parametrize("revision", ["nowhere", "--help", "first:etl.py"])
def test_what_is_no_commit_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="neither a folder nor a revision"):
        commit_of(str(repository), revision)


def test_a_folder_outside_of_any_repository_has_none(tmp_path: Path) -> None:
    assert top_of(str(tmp_path / "nowhere")) is None
    assert files_at(str(tmp_path), "HEAD") == {}
