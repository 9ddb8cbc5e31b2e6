"""Which code a run ran, against real repositories of every shape."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reenact.capture.code import CodeObserver, entry_point
from reenact.model.code import Code


def git(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "etl.py").write_text("print(1)\n")
    (folder / "lib").mkdir()
    (folder / "lib/a.sql").write_text("select 1\n")
    (folder / ".gitignore").write_text("*.log\nout/\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def observe(root: Path, *names: str, argv: tuple[str, ...] = ()) -> tuple[Code, dict[str, str]]:
    observer = CodeObserver(str(root))
    observer.start()
    return observer.finish([str(root / name) for name in names], argv)


def test_a_clean_commit_is_told_whole(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://me:s3cret@git.example/team/repo.git")
    code, causes = observe(repository, "etl.py", "lib/a.sql", argv=("python", "etl.py"))
    assert code == Code(
        repository="https://git.example/team/repo.git",
        root=str(repository),
        commit=git(repository, "rev-parse", "HEAD"),
        tree=git(repository, "rev-parse", "HEAD^{tree}"),
        branch="main",
        dirty=False,
        entry_point="etl.py",
    )
    assert causes == {}


def test_only_files_the_run_read_are_listed_but_any_change_makes_it_dirty(repository: Path) -> None:
    (repository / "etl.py").write_text("print(2)\n")
    code, _ = observe(repository, "lib/a.sql")
    assert (code.dirty, code.uncommitted) == (True, ())
    code, _ = observe(repository, "etl.py", "lib/a.sql")
    assert (code.dirty, code.uncommitted) == (True, ("etl.py",))


def test_staged_added_and_deleted_files_differ_from_the_commit(repository: Path) -> None:
    (repository / "new name.py").write_text("1\n")
    git(repository, "add", "new name.py")
    (repository / "lib/a.sql").unlink()
    git(repository, "mv", "etl.py", "moved.py")
    code, _ = observe(repository, "new name.py", "lib/a.sql", "moved.py", "etl.py", ".gitignore")
    assert code.uncommitted == ("etl.py", "lib/a.sql", "moved.py", "new name.py")
    assert code.untracked == ()


def test_untracked_files_are_told_from_ignored_ones(repository: Path) -> None:
    for name in ("extra.py", "pkg/deep/x.py", "pkg/x.log", "out/data.csv", "Zürich \\x.py"):
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    raw = os.fsdecode(b"b\xff.py")
    (repository / raw).write_text("1\n")
    names = ("extra.py", "pkg/deep/x.py", "pkg/x.log", "out/data.csv", "Zürich \\x.py", raw, "etl.py", "/usr/bin/env")
    code, causes = observe(repository, *names)
    assert code.untracked == ("Zürich \\\\x.py", "b\\xff.py", "extra.py", "pkg/deep/x.py")
    assert (code.dirty, code.uncommitted) == (False, ())
    assert "code.untracked" not in causes


def test_names_are_relative_to_the_jobs_root_inside_the_work_tree(repository: Path) -> None:
    (repository / "lib/a.sql").write_text("select 2\n")
    (repository / "etl.py").write_text("print(2)\n")
    observer = CodeObserver(str(repository / "lib"))
    observer.start()
    code, _ = observer.finish([str(repository / "lib/a.sql"), str(repository / "etl.py")])
    assert code.root == str(repository)
    assert code.uncommitted == (str(repository / "etl.py"), "a.sql")


def test_no_repository_is_said_for_every_field(tmp_path: Path) -> None:
    (tmp_path / "x.py").touch()
    code, causes = observe(tmp_path, "x.py", argv=("python3", "x.py"))
    assert code == Code(entry_point="x.py")
    fields = ("repository", "root", "commit", "tree", "branch", "dirty", "uncommitted", "untracked")
    assert causes == {f"code.{field}": f"{tmp_path} lies in no Git work tree" for field in fields}


def test_a_repository_without_commits(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "x.py").touch()
    code, causes = observe(tmp_path, "x.py")
    assert (code.commit, code.tree, code.branch, code.dirty) == (None, None, "main", False)
    assert code.untracked == ("x.py",)
    assert causes["code.commit"] == causes["code.tree"] == "the repository has no commit yet"


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    code, causes = observe(repository)
    assert code.commit == git(repository, "rev-parse", "HEAD")
    assert (code.branch, causes["code.branch"]) == (None, "HEAD is detached")


def test_packed_refs_and_a_work_tree_of_its_own(repository: Path, tmp_path: Path) -> None:
    git(repository, "remote", "add", "up", "git@git.example:team/repo.git")
    git(repository, "pack-refs", "--all")
    other = tmp_path / "other"
    git(repository, "worktree", "add", "-q", "-b", "side", str(other))
    (other / "etl.py").write_text("print(3)\n")
    code, causes = observe(other, "etl.py")
    assert (code.root, code.branch, code.dirty) == (str(other), "side", True)
    assert code.repository == "git@git.example:team/repo.git"
    assert code.commit == git(repository, "rev-parse", "main")
    assert "code.commit" not in causes
    assert observe(repository)[0].dirty is False


def test_a_submodule_is_a_repository_and_a_border(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "submodule", "add", "-q", str(repository), "sub")
    git(outer, "commit", "-q", "-m", "with sub")
    (outer / "sub/etl.py").write_text("print(4)\n")
    code, causes = observe(outer, "sub/etl.py")
    assert (code.root, code.dirty, code.uncommitted, code.untracked) == (str(outer), False, (), ())
    assert causes["code.uncommitted[sub]"].startswith("a submodule")
    code, causes = observe(outer / "sub", "etl.py")
    assert (code.root, code.uncommitted) == (str(outer / "sub"), ("etl.py",))
    assert code.commit == git(repository, "rev-parse", "HEAD")
    assert "code.uncommitted[sub]" not in causes


def test_a_repository_inside_that_is_no_submodule_is_untracked(repository: Path) -> None:
    inner = repository / "vendored"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "deep").mkdir()
    (inner / "deep/x.py").touch()
    assert observe(repository, "vendored/deep/x.py")[0].untracked == ("vendored/deep/x.py",)


def test_a_shallow_clone_is_told_like_any_other(repository: Path, tmp_path: Path) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", str(clone))
    code, causes = observe(clone, "etl.py")
    assert code.commit == git(repository, "rev-parse", "HEAD")
    assert (code.dirty, causes) == (False, {"code.entry_point": causes["code.entry_point"]})


def test_a_bare_repository_is_named_as_the_cause(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "b.git")
    code, causes = observe(tmp_path / "b.git")
    assert code.commit is None
    assert "bare" in causes["code.commit"]


def test_without_git_the_plain_files_still_tell(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(repository))
    code, causes = observe(repository, "etl.py")
    assert (code.commit, code.branch, code.tree, code.dirty) == (expected, "main", None, None)
    for field in ("tree", "dirty", "uncommitted", "untracked"):
        assert causes[f"code.{field}"] == "git is not installed"


def test_a_git_that_fails_is_quoted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / ".git/index").write_bytes(b"no index at all, but long enough to be read as one....")
    code, causes = observe(repository, "etl.py")
    assert (code.branch, code.dirty) == ("main", None)
    assert causes["code.dirty"].startswith("git failed with status 128: ")
    monkeypatch.setattr("reenact.capture.code._TIMEOUT_SECONDS", 0.05)
    tool = repository / "slow/git"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    assert "more than" in observe(repository)[1]["code.dirty"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_of_another_user_is_refused_by_git_and_said(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(repository.parent))
    monkeypatch.delenv("SUDO_UID", raising=False)
    expected = git(repository, "rev-parse", "HEAD")
    for base, folders, names in os.walk(repository):
        for name in [".", *folders, *names]:
            os.chown(os.path.join(base, name), 12345, 12345)
    code, causes = observe(repository, "etl.py")
    assert (code.commit, code.dirty) == (expected, None)
    assert "safe.directory" in causes["code.dirty"]


def test_variables_that_lead_git_elsewhere_are_not_followed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    code, _ = observe(repository, "etl.py")
    assert (code.commit, code.dirty) == (expected, False)


def test_a_monitor_the_repository_names_is_not_run(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    assert observe(repository, "etl.py")[0].dirty is False
    assert not mark.exists()


def test_observing_leaves_the_repository_as_it_was(repository: Path) -> None:
    (repository / "etl.py").touch()
    before = {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    observe(repository, "etl.py")
    assert {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("python", "-u", "etl.py", "a.csv"), "/j/etl.py"),
        (("/usr/bin/python3.11", "/j/etl.py"), "/j/etl.py"),
        (("python", "../j/sub/../etl.py"), "/j/etl.py"),
        (("python", "-m", "pkg.load"), "/j/pkg/load.py"),
        (("python", "-m", "pkg"), "/j/pkg/__main__.py"),
        (("uv", "run", "--no-sync", "etl.py"), "/j/etl.py"),
        (("env", "A=1", "python", "etl.py"), "/j/etl.py"),
        (("./run", "etl.py.csv"), "/j/run"),
        (("./run", "etl.py"), "/j/etl.py"),
        (("bash", "-c", "python etl.py"), "/bin/x"),
        (("make", "all"), "/bin/x"),
        (("python", "gone.py"), "/bin/x"),
    ],
)
def test_the_entry_point_is_the_first_script_or_the_program(argv: tuple[str, ...], expected: str) -> None:
    paths = ["/j/etl.py", "/j/a.csv", "/j/pkg/load.py", "/j/pkg/__main__.py", "/j/run", "/j/etl.py.csv"]
    assert entry_point(argv, paths, ("/j",), "/bin/x") == expected


def test_a_script_called_through_a_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "real.py").touch()
    (tmp_path / "link.py").symlink_to("real.py")
    assert entry_point((sys.executable, "link.py"), [str(tmp_path / "real.py")], (str(tmp_path),)) == str(
        tmp_path / "real.py"
    )
