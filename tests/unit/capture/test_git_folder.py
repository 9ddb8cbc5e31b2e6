"""Reading a repository's plain files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.capture import git_folder


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://git.example/a.git", "https://git.example/a.git"),
        ("https://user:pw@git.example:8443/a.git", "https://git.example:8443/a.git"),
        ("https://only-a-token@git.example/a", "https://git.example/a"),
        ("https://git.example/a?private_token=x#y", "https://git.example/a"),
        ("ssh://git:pw@git.example:22/a", "ssh://git@git.example:22/a"),
        ("git+https://u:p@git.example/a", "git+https://git.example/a"),
        ("git@git.example:team/a.git", "git@git.example:team/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("file:///srv/a", "file:///srv/a"),
        ("https://u:p@[bad/a", "[bad/a"),
    ],
)
def test_credentials_are_taken_off_a_url(url: str, expected: str) -> None:
    assert git_folder.without_credentials(url) == expected


def lay(folder: Path, config: str) -> git_folder.Repository:
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text(config)
    found = git_folder.find(str(folder))
    assert found is not None
    return found


def test_the_remote_is_the_branchs_then_origin_then_the_only_one(tmp_path: Path) -> None:
    config = (
        '[core]\n\tbare = false\n[remote "origin"]\n\turl = git@a.example:o.git ; why\n\tfetch = +x\n'
        '[remote "fork"] url = "git@a.example:f.git"\n[branch "side"]\n\tremote = fork\n'
    )
    repository = lay(tmp_path, config)
    assert git_folder.remote_url(repository, "main") == "git@a.example:o.git"
    assert git_folder.remote_url(repository, "side") == "git@a.example:f.git"
    (tmp_path / ".git/config").write_text('[remote "a"]\nurl=x.example:1\n[remote "b"]\nurl=x.example:2\n')
    assert git_folder.remote_url(repository, "main") is None
    (tmp_path / ".git/config").write_text('[remote "a"]\nurl=x.example:1\n')
    assert git_folder.remote_url(repository, None) == "x.example:1"


def test_a_file_called_git_that_leads_nowhere_is_no_repository(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for text in ("gitdir: ../gone\n", "something else\n"):
        (inner / ".git").write_text(text)
        assert git_folder.find(str(inner)) == git_folder.find(str(tmp_path))


def test_head_follows_references_but_not_forever(tmp_path: Path) -> None:
    repository = lay(tmp_path, "")
    git = tmp_path / ".git"
    assert git_folder.head(repository) == (None, None)
    (git / "HEAD").write_text("ref: refs/heads/a/b\n")
    assert git_folder.head(repository) == (None, "a/b")
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{'1' * 40} refs/heads/a/b\n^{'2' * 40}\n")
    assert git_folder.head(repository) == ("1" * 40, "a/b")
    (git / "refs/heads/a").mkdir(parents=True)
    (git / "refs/heads/a/b").write_text("3" * 40 + "\n")
    assert git_folder.head(repository) == ("3" * 40, "a/b")
    (git / "refs/heads/a/b").write_text("ref: refs/heads/a/b\n")
    assert git_folder.head(repository) == (None, "a/b")
    (git / "HEAD").write_text("4" * 64)
    assert git_folder.head(repository) == ("4" * 64, None)
