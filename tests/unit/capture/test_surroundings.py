from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture import surroundings
from reenact.capture.roles import name_process
from reenact.capture.surroundings import Parent, inside_world, parent_run
from reenact.ids import RunId

RUN = RunId("01890a5d-ac96-774b-bcce-b302099a8057")
ASK = "from reenact.capture.surroundings import parent_run; found = parent_run(); print(found and [*found])"


@pytest.fixture(autouse=True)
def main_process() -> Iterator[None]:
    """Be called as the main process of a recording is."""
    name = Path("/proc/self/comm").read_text().strip()
    name_process(surroundings.MAIN)
    yield
    name_process(name)


def begin(folder: Path, header: dict[str, Any]) -> int:
    """Lay out the journal of a live run of this process; give the descriptor that holds its lock."""
    folder.mkdir(parents=True)
    body = json.dumps(["run", header]).encode()
    folder.joinpath("events").write_bytes(b"%08x %b\nmore" % (zlib.crc32(body), body))
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "journals" / RUN
    lock = begin(folder, {"job": "outer"})
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield folder
    os.close(lock)


def asked_below(*around: str) -> str:
    """Ask in a process below this one, perhaps some more between."""
    return subprocess.run(
        [*around, sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_recording_of_an_ancestor_is_found(live: Path) -> None:
    assert asked_below() == str([RUN, str(live), False])
    assert asked_below("sh", "-c", '"$@"; exit $?', "sh") == str([RUN, str(live), False])


def test_a_recording_that_has_ended_is_none(tmp_path: Path) -> None:
    lock = begin(tmp_path / "journals" / RUN, {})
    os.close(lock)
    assert asked_below() == "None"


def test_what_bears_another_name_is_not_looked_through(live: Path) -> None:
    assert live.exists()
    name_process("pytest")
    assert asked_below() == "None"


def test_a_name_may_hold_anything(live: Path) -> None:
    assert asked_below("sh", "-c", 'echo ") R 1 (" > /proc/self/comm; "$@"; exit $?', "sh") == str(
        [RUN, str(live), False]
    )


@pytest.mark.parametrize("name", ["journals/0", "journals/01890a5d-ac96-774b-bcce-b302099a805", f"x/{RUN}"])
def test_other_locks_are_no_recordings(tmp_path: Path, name: str) -> None:
    lock = begin(tmp_path / name, {})
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert asked_below() == "None"
    os.close(lock)


def test_a_replay_is_known_by_its_journal(tmp_path: Path) -> None:
    lock = begin(tmp_path / "journals" / RUN, {"replay_of": RUN})
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert asked_below() == str([RUN, str(tmp_path / "journals" / RUN), True])
    os.close(lock)


@pytest.mark.parametrize("text", ["", "no record\n", "00000000 [1,2]\n", "00000000 []\n"])
def test_a_journal_without_a_header_is_no_replay(live: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    live.joinpath("events").write_text(text)
    monkeypatch.setattr(os, "getppid", os.getpid)
    assert parent_run() == Parent(run_id=RUN, folder=str(live), replays=False)


def test_this_machine_is_no_world() -> None:
    assert not inside_world()


def test_inside_a_replay_a_recording_is_just_its_command(tmp_path: Path) -> None:
    lock = begin(tmp_path / "journals" / RUN, {"replay_of": RUN})
    fcntl.flock(lock, fcntl.LOCK_EX)
    words = [sys.executable, "-m", "reenact.cli.main", "run", "--store", str(tmp_path / "store"), "--", "sh", "-c"]
    done = subprocess.run([*words, "echo made; exit 3"], capture_output=True, check=False)
    os.close(lock)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"made\n", b"")
    assert not (tmp_path / "store").exists()
