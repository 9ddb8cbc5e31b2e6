"""Both sides of joining, over a real socket: who is taken in, and who is turned away."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reenact.capture import nesting
from reenact.capture.guests import Guests
from reenact.capture.journal import read_records
from reenact.capture.nesting import Outer, shared
from reenact.capture.observed import Observed
from reenact.capture.redact import Redactor
from reenact.capture.roles import Watch
from reenact.capture.trace.processes import ROOT
from reenact.capture.trace.supervisor import Supervisor

PATIENCE_SECONDS = 10


class Place(NamedTuple):
    """An outer recording, and its supervisor in this process."""

    folder: Path
    supervisor: Supervisor
    run: Observed


def watch_for(folder: Path, stored: mmap.mmap) -> Watch:
    folder.mkdir(parents=True)
    events = os.open(folder / "events", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    return Watch(
        folder=str(folder),
        journal=events,
        lock=os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC),
        stored=stored,
        redact=tuple,
        ignored=(),
        preimage_max_bytes=1 << 20,
        linger_seconds=0.0,
        inherited=(),
        cwd=str(folder),
    )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    never, writer = os.pipe()
    supervisor = Supervisor(never, os.getpid())
    folder = tmp_path / "outer"
    run = Observed(watch_for(folder, mmap.mmap(-1, 8)), ROOT, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
    supervisor.add(run.observer)
    guests = Guests(supervisor, restricted=False)
    guests.listen(str(folder))
    yield Place(folder, supervisor, run)
    guests.finish(ended=True)
    run.close()
    os.close(never)
    os.close(writer)


def visit(place: Place, work: Callable[[], bool], *, known: bool = True) -> bool:
    """Do some work in a child while this process is the supervisor; tell how the child says that it went."""
    gate, opened = os.pipe()
    child = os.fork()
    if not child:
        status = 99
        with contextlib.suppress(BaseException):
            os.read(gate, 1)
            status = int(not work())
        os._exit(status)
    if known:
        place.supervisor.actor(child)  # it has made a call
    os.write(opened, b"g")
    end = time.monotonic() + PATIENCE_SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        assert time.monotonic() < end
        place.supervisor.serve(time.monotonic() + 0.01)
    place.supervisor.serve(time.monotonic() + 0.05)  # hear that it is gone
    for descriptor in (gate, opened):
        os.close(descriptor)
    assert ended[1] in (0, 256), "the child failed"
    return ended[1] == 0


def sleeper() -> int:
    """Start a process that ends with this one."""
    readable, writable = os.pipe()
    process = os.fork()
    if not process:
        os.close(writable)
        os.read(readable, 1)
        os._exit(0)
    os.close(readable)
    return process


def test_a_process_of_the_tree_is_heard_and_its_folders_are_ignored(place: Place) -> None:
    assert visit(place, lambda: Outer.reach(str(place.folder), ["/store/of/theirs"]) is not None)
    assert "/store/of/theirs" in place.run.observer.states.ignored


def test_a_stranger_is_not(place: Place) -> None:
    assert visit(place, lambda: Outer.reach(str(place.folder), ["/store"]) is None, known=False)
    assert place.run.observer.states.ignored == ()


def test_another_version_is_refused_but_its_folders_are_ignored(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nesting, "PROTOCOL", "0 0")
    assert visit(place, lambda: Outer.reach(str(place.folder), ["/store"]) is None)
    assert place.run.observer.states.ignored == ("/store",)


def test_where_nobody_listens_there_is_no_outer_run(tmp_path: Path) -> None:
    assert Outer.reach(str(tmp_path), []) is None
    assert Outer.reach(str(tmp_path / "missing"), []) is None


def test_a_recorder_is_set_aside_with_all_it_starts(place: Place) -> None:
    told, tell = os.pipe()

    def work() -> bool:
        outer = Outer.reach(str(place.folder), [])
        recorder = sleeper()
        os.write(tell, b"%d\n" % recorder)
        if outer is not None:
            outer.set_aside(recorder)
        time.sleep(0.1)
        os.kill(recorder, 9)
        return outer is not None

    seen: list[bool] = []
    supervisor = place.supervisor
    set_aside = supervisor.set_aside

    def noting(process: int) -> None:
        seen.append(supervisor.knows(process))
        set_aside(process)
        seen.append(supervisor.knows(process))

    supervisor.set_aside = noting  # type: ignore[method-assign]
    assert visit(place, work)
    os.close(told)
    os.close(tell)
    assert seen[-1] is False


@pytest.mark.parametrize("whose", ["its parent's", "nobody's", "its grandchild's"])
def test_only_its_own_processes_can_be_named(place: Place, whose: str) -> None:
    aside: list[int] = []
    place.supervisor.set_aside = aside.append  # type: ignore[assignment]

    def work() -> bool:
        outer = Outer.reach(str(place.folder), [])
        assert outer is not None
        process = {"its parent's": os.getppid(), "nobody's": 0}.get(whose)
        if process is None:
            process = grandchild()
        outer.set_aside(process)
        return outer.connection.recv(1) == b""  # turned away

    assert visit(place, work)
    assert aside == []


def grandchild() -> int:
    readable, writable = os.pipe()
    alive, living = os.pipe()
    if not os.fork():
        os.close(living)
        os.write(writable, b"%d" % sleeper())
        os.read(alive, 1)
        os._exit(0)
    return int(os.read(readable, 20))


def test_nothing_can_be_asked_before_it_is_known_who_asks(place: Place) -> None:
    aside: list[int] = []
    place.supervisor.set_aside = aside.append  # type: ignore[assignment]

    def work() -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(place.folder / nesting.JOIN))
        Outer(connection).set_aside(sleeper())
        return connection.recv(1) == b""

    assert visit(place, work)
    assert aside == []


def join(place: Place, folder: Path, *, sealed: bool) -> bool:
    """Join with a job that just ends, as the main process of an inner run."""
    outer = Outer.reach(str(place.folder), [])
    assert outer is not None
    memory, stored = shared()
    watch = watch_for(folder, stored)
    _, wake = os.pipe()
    job = sleeper()
    facts = {
        "job": job,
        "stdin": {"kind": "null", "source": [0, 0]},
        "secrets": Redactor(bytes(32)).state(),
        "pointers": {},
    }
    if not sealed:
        pytest.MonkeyPatch().setattr(fcntl, "fcntl", lambda *_: 0)  # in this process, which ends after this
    joined = outer.join(watch, (watch.journal, watch.lock, wake, memory), facts)
    os.kill(job, 9)
    os.waitpid(job, 0)
    if joined:
        outer.connection.send(nesting.Said.ENDED.value)
        outer.connection.recv(1)  # its end: all is written
    return joined


def test_an_inner_run_is_observed_from_first_to_last(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    assert visit(place, lambda: join(place, folder, sealed=True))
    records = list(read_records((folder / "events").read_bytes()))
    assert (records[0][0], records[-1][0]) == ("t", "end")
    assert [record[1] for record in records if record[0] == "e"][-1] == str(folder)
    assert os.readlink(folder / nesting.JOIN) == str(place.folder / nesting.JOIN), "for runs inside that one"
    assert place.supervisor.observers == (place.run.observer,)


def test_memory_that_could_be_cut_is_refused(place: Place, tmp_path: Path) -> None:
    assert not visit(place, lambda: join(place, tmp_path / "inner", sealed=False))
    assert (tmp_path / "inner" / "events").read_bytes() == b""
