"""What a replayed job is given as its standard streams, and as its identity."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact.capture.launch import CLOSED
from reenact.capture.live import Journal
from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.digests import of_bytes
from reenact.errors import SandboxError
from reenact.model.artifact import Pointer
from reenact.model.bundle import Bundle, Stream
from reenact.model.environment import MANIFEST_FORMAT, Manifest
from reenact.replay.execute import Execution, _open_stream, _pipe_of, header_of, known_contents
from tests import bundles
from tests.bundles import ROOT, artifact
from tests.worlds import entry

PIPE_BYTES = 1 << 16


def execution(stdin: bytes | None = None) -> Execution:
    redactor = Redactor(b"key", patterns=(), allow=())

    def never(*_: Any) -> Any:
        raise AssertionError("nothing is executed here")

    return Execution(
        run_id=bundles.run_id(9),
        started_ns=5,
        journal=Journal(folder="/nowhere", events=-1, lock=-1),
        argv=(),
        environment={},
        stdin=stdin,
        redact=redactor.argv,
        new_filter=lambda: StreamRedactor(redactor),
        stream_max_bytes=1,
        preimage_max_bytes=1,
        timeout_seconds=0,
        stat_facts=None,
        listings=None,
        open_store=never,
        seal=never,
    )


def opened(name: str, stream: Stream, *places: Path, stdin: bytes | None = None) -> int:
    upper, *lowers = [str(place) for place in places] or [""]
    return _open_stream(name, stream, execution(stdin), upper, tuple(lowers))


def everything(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


# --- a pipe of recorded bytes


@pytest.fixture(autouse=True)
def reaped() -> Iterator[None]:
    """Wait for those who fill pipes: in a replay they end with it."""
    yield
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


@pytest.mark.parametrize("size", [0, 1, PIPE_BYTES - 1, PIPE_BYTES, PIPE_BYTES + 1, 3_000_000])
def test_what_went_through_a_pipe_comes_through_one_again_and_ends(size: int) -> None:
    data = os.urandom(size)
    assert everything(opened("stdin", Stream(kind="pipe"), stdin=data)) == data


def test_a_small_pipe_waits_for_nobody() -> None:
    descriptor = _pipe_of(b"x" * PIPE_BYTES)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    os.close(descriptor)


def test_a_pipe_that_takes_less_than_usual_is_filled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel gives them to a user who has many."""
    real = os.pipe

    def small() -> tuple[int, int]:
        ends = real()
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
        return ends

    monkeypatch.setattr(os, "pipe", small)
    data = os.urandom(10_000)
    assert everything(_pipe_of(data)) == data


def test_who_fills_a_large_pipe_goes_when_nobody_reads_any_more() -> None:
    descriptor = _pipe_of(b"x" * (PIPE_BYTES * 4))
    assert os.read(descriptor, 10) == b"x" * 10
    os.close(descriptor)
    pid, status = os.waitpid(-1, 0)
    assert (pid > 0, status) == (True, 0)


def test_without_recorded_bytes_there_is_no_input() -> None:
    kinds: tuple[Any, ...] = ("pipe", "null", "socket", "terminal", "other")
    for kind in kinds:
        assert everything(opened("stdin", Stream(kind=kind))) == b""


# --- files


def test_a_file_is_opened_where_it_stood_in_the_highest_layer_that_has_it(tmp_path: Path) -> None:
    layers = [tmp_path / name for name in ("upper", "first", "second")]
    for layer in layers:
        (layer / "data").mkdir(parents=True)
    (layers[1] / "data/in").write_bytes(b"first layer")
    (layers[2] / "data/in").write_bytes(b"second layer")
    stream = Stream(kind="file", path="/data/in", offset_bytes=6)
    assert everything(opened("stdin", stream, *layers)) == b"layer"
    (layers[0] / "data/in").write_bytes(b"upper layer!")
    assert everything(opened("stdin", stream, *layers)) == b"layer!"


def test_a_file_that_is_in_no_layer_is_told(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="standard input was the file /data/in, which is not in the world"):
        opened("stdin", Stream(kind="file", path="/data/in"), tmp_path)


@pytest.mark.parametrize(
    ("append", "offset", "result"), [(False, 0, b"NEWold"), (False, 3, b"oldNEW"), (True, 0, b"oldoldNEW")]
)
def test_output_goes_on_where_it_stood(tmp_path: Path, append: bool, offset: int, result: bytes) -> None:
    path = tmp_path / "data/log"
    path.parent.mkdir()
    path.write_bytes(b"oldold")
    stream = Stream(kind="file", path="/data/log", append=append, offset_bytes=offset)
    descriptor = opened("stdout", stream, tmp_path)
    os.write(descriptor, b"NEW")
    os.close(descriptor)
    assert path.read_bytes() == result


def test_the_folder_of_an_output_is_made(tmp_path: Path) -> None:
    os.close(opened("stderr", Stream(kind="file", path="/new/folder/log\\xff"), tmp_path))
    assert os.listdir(tmp_path / "new/folder") == ["log\udcff"]


# --- the other kinds


def test_what_was_closed_is_closed() -> None:
    assert {opened(name, Stream(kind="closed")) for name in ("stdin", "stdout", "stderr")} == {CLOSED}


@pytest.mark.parametrize("kind", ["pipe", "null", "socket", "other"])
def test_other_output_goes_nowhere(kind: Any) -> None:
    descriptor = opened("stdout", Stream(kind=kind))
    assert os.readlink(f"/proc/self/fd/{descriptor}") == "/dev/null"
    os.close(descriptor)


def test_a_terminal_is_one_of_the_recorded_size() -> None:
    before = threading.active_count()
    descriptor = opened("stdout", Stream(kind="terminal", rows=12, columns=34))
    assert os.isatty(descriptor)
    rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    assert (rows, columns) == (12, 34)
    os.write(descriptor, b"x" * 100_000)  # somebody reads it: else it would stand still here
    os.close(descriptor)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(10)
    assert threading.active_count() <= before


def test_a_terminal_of_unknown_size_has_the_usual_one() -> None:
    ours, theirs = pty.openpty()
    usual = fcntl.ioctl(theirs, termios.TIOCGWINSZ, bytes(8))
    descriptor = opened("stderr", Stream(kind="terminal"))
    assert fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)) == usual
    for end in (ours, theirs, descriptor):
        os.close(end)


# --- what is known without reading


def test_what_lies_in_a_lower_layer_is_what_the_record_says(tmp_path: Path) -> None:
    listed = Manifest(
        format=MANIFEST_FORMAT,
        entries=(artifact("/usr/lib/x.so", b"elf").entry, entry("/usr/lib/asked.so")),
    )
    bundle = bundles.bundle(inputs=(artifact("in.csv", b"in"), artifact("changed.csv", b"old")))
    (tmp_path / f"{ROOT[1:]}").mkdir(parents=True)
    (tmp_path / f"{ROOT[1:]}/changed.csv").write_bytes(b"new")
    known = known_contents(bundle, listed, str(tmp_path))
    found = {path: known(path) for path in ("/usr/lib/x.so", f"{ROOT}/in.csv")}
    assert found == {
        "/usr/lib/x.so": (artifact("x", b"elf").entry.digest, 3),
        f"{ROOT}/in.csv": (artifact("x", b"in").entry.digest, 2),
    }
    for path in (f"{ROOT}/changed.csv", "/usr/lib/asked.so", "/elsewhere"):
        assert known(path) is None


def test_the_replay_is_a_run_of_its_own_that_is_like_the_record() -> None:
    pointer = Pointer(digest=of_bytes(b"x"), size_bytes=1, media_type="text/plain")
    plain: Bundle = bundles.bundle(labels={"a": "b"}, parameters={"day": "1"})
    bundle = replace(
        plain, launch=replace(plain.launch, argv=("x", "\\xff"), stdin=Stream(kind="pipe", pointer=pointer))
    )
    found = header_of(bundle, execution(), {"stdin": {"kind": "pipe"}}, mode="described")
    assert (found["run_id"], found["replay_of"], found["started_ns"]) == (bundles.run_id(9), bundle.run_id, 5)
    assert (found["argv"], found["cwd"], found["labels"]) == (["x", "\udcff"], ROOT, {"a": "b"})
    assert (found["parameters"], found["environment_mode"]) == ({"day": "1"}, "described")
