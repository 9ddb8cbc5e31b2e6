from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reenact.capture import exemption
from reenact.capture.exemption import granted

OTHER = 1000 if os.geteuid() != 1000 else 1001


def asked(folder: object, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the paths that asking looks at."""
    seen: list[str] = []

    def access(path: str, mode: int) -> bool:
        assert mode == os.F_OK
        seen.append(path)
        return False

    monkeypatch.setattr(os, "access", access)
    exemption.ask([str(folder)])
    return seen


def test_what_is_asked_for_is_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "store é\n"
    there.mkdir()
    (path,) = asked(there, monkeypatch)
    assert granted(path, os.getpid()) == str(there)
    (path,) = asked(there / "not" / "yet", monkeypatch)
    assert granted(path, os.getpid()) == str(there / "not" / "yet")


def test_nothing_is_asked_for_by_other_paths(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/proc/reenact-ignores", "/proc/reenact-ignoresx", "/proc/self/stat", "", "/"):
        assert granted(path, os.getpid()) == ""


@pytest.mark.parametrize("folder", ["/", "relative", "/tmp/../tmp", "/tmp/"])
def test_only_canonical_folders_are(folder: str) -> None:
    assert granted("/proc/reenact-ignores" + folder, os.getpid()) == ""


def test_a_link_is_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert granted(f"/proc/reenact-ignores{tmp_path}/link", os.getpid()) == ""


def test_a_process_that_is_gone_is_granted_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert granted(f"/proc/reenact-ignores{tmp_path}", process.pid) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_others_may_only_ask_for_what_is_theirs(tmp_path: Path) -> None:
    mine, theirs, everybodys = tmp_path / "mine", tmp_path / "theirs", tmp_path / "everybodys"
    for folder in (mine, theirs, everybodys):
        folder.mkdir()
    os.chown(theirs, OTHER, OTHER)
    everybodys.chmod(0o1777)
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=OTHER) as other:
        answers = {
            place: granted(f"/proc/reenact-ignores{place}", other.pid)
            for place in (mine, mine / "new", theirs, theirs / "new", everybodys, everybodys / "new")
        }
        other.communicate(b"")
    assert {place for place, answer in answers.items() if answer} == {theirs, theirs / "new", everybodys / "new"}
