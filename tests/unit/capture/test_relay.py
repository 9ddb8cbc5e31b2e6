"""A relay gives on every byte as it is and in order, keeps a redacted copy, and lets a job feel that its reader is gone."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.capture.relay import Relay, Spool

SECRET = b"s3kr1t-value-of-a-token"
MORE_THAN_A_PIPE = 3 * (1 << 16) + 7


class Plain:
    """Takes nothing out."""

    def feed(self, data: bytes) -> bytes:
        return data

    def close(self) -> bytes:
        return b""


def redacting() -> StreamRedactor:
    redactor = Redactor(b"k" * 32)
    redactor.learn({"API_TOKEN": SECRET.decode()})
    return StreamRedactor(redactor)


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Close at the end what a test has put there."""
    found: list[int] = []
    yield found
    for descriptor in found:
        os.close(descriptor)


Between = Callable[..., tuple[Relay, int, int]]


@pytest.fixture
def between(tmp_path: Path, descriptors: list[int]) -> Between:
    """Make a relay, the job's end of it and the reader's."""

    def make(max_bytes: int = 1 << 20, filtered: Callable[[], object] = Plain) -> tuple[Relay, int, int]:
        source, job = os.pipe()
        reader, sink = os.pipe()
        descriptors.append(sink)
        return Relay(source, sink, Spool(str(tmp_path / "stdout"), max_bytes, filtered)), job, reader  # type: ignore[arg-type]

    return make


def in_thread(descriptor: int, data: bytes) -> threading.Thread:
    """Write everything, then close; stop when nobody reads."""

    def write() -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def moved_to_the_end(relay: Relay) -> threading.Thread:
    """Move in a thread until the stream ends, as the main process does."""
    import select

    def move() -> None:
        poll = select.poll()
        poll.register(relay.source, select.POLLIN)
        while relay.open:
            poll.poll()
            relay.move()

    thread = threading.Thread(target=move)
    thread.start()
    return thread


def read_some(descriptor: int, lines: int) -> bytes:
    got = b""
    while got.count(b"\n") < lines:
        got += os.read(descriptor, 1 << 16)
    return got


# --- what goes through


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, MORE_THAN_A_PIPE])
def test_every_byte_goes_through_and_into_the_copy(between: Between, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    relay, job, reader = between()
    writing, moving = in_thread(job, data), moved_to_the_end(relay)
    got = b""
    while len(got) < size:
        got += os.read(reader, 5000)
    writing.join()
    moving.join()
    os.close(reader)
    assert got == data
    assert (tmp_path / "stdout").read_bytes() == data
    assert not (tmp_path / "stdout.truncated").exists()


def test_many_small_writes_keep_their_order(between: Between, tmp_path: Path) -> None:
    relay, job, reader = between()
    for number in range(300):
        os.write(job, b"%d\n" % number)
        if number % 7 == 0:
            relay.drain()
    os.close(job)
    while relay.open:
        relay.move()
    assert os.read(reader, 1 << 16) == b"".join(b"%d\n" % number for number in range(300))
    os.close(reader)
    assert (tmp_path / "stdout").read_bytes().count(b"\n") == 300


def test_lines_that_nobody_reads_yet_take_no_more_room_than_without_us(between: Between) -> None:
    """Whoever waits for the job's end before it reads must not wait for ever, as long as a pipe holds the output."""
    relay, job, reader = between()
    for number in range(2000):
        os.write(job, b"line %d\n" % number)
        assert relay.move()
    os.close(job)
    while relay.open:
        relay.move()
    assert read_some(reader, 2000) == b"".join(b"line %d\n" % number for number in range(2000))
    os.close(reader)


def test_a_slow_reader_holds_the_job_back_and_loses_nothing(between: Between, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(MORE_THAN_A_PIPE)
    relay, job, reader = between()
    writing, moving = in_thread(job, data), moved_to_the_end(relay)
    # Two pipes and a chunk in between: the rest is still in the job's hands.
    got = os.read(reader, 10)
    assert writing.is_alive()
    while len(got) < len(data):
        got += os.read(reader, 777)
    writing.join()
    moving.join()
    os.close(reader)
    assert got == data
    assert (tmp_path / "stdout").read_bytes() == data


def test_a_reader_that_does_not_block_gets_everything_too(between: Between) -> None:
    data = random.Random(2).randbytes(MORE_THAN_A_PIPE)
    relay, job, reader = between()
    os.set_blocking(relay.sink, False)
    writing, moving = in_thread(job, data), moved_to_the_end(relay)
    got = b""
    while len(got) < len(data):
        got += os.read(reader, 1000)
    writing.join()
    moving.join()
    os.close(reader)
    assert got == data


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_socket_is_written_to_as_a_pipe_is(tmp_path: Path, kind: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    source, job = os.pipe()
    relay = Relay(source, ours.fileno(), Spool(str(tmp_path / "stdout"), 100, Plain))
    assert relay.one_reader
    os.write(job, b"\0\xff one")
    relay.move()
    assert theirs.recv(100) == b"\0\xff one"
    theirs.close()
    os.write(job, b"two")
    relay.move()
    assert not relay.open
    os.close(job)
    ours.close()


def test_what_takes_no_splice_is_written_by_hand(tmp_path: Path) -> None:
    sink = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(sink, b"before ")
    source, job = os.pipe()
    relay = Relay(source, sink, Spool(str(tmp_path / "stdout"), 100, Plain))
    os.write(job, b"after")
    os.close(job)
    while relay.open:
        relay.move()
    os.close(sink)
    assert (tmp_path / "log").read_bytes() == b"before after"
    assert not relay.one_reader


def test_a_named_pipe_may_get_another_reader(tmp_path: Path, descriptors: list[int]) -> None:
    os.mkfifo(tmp_path / "fifo")
    sink = os.open(tmp_path / "fifo", os.O_RDWR)
    source, job = os.pipe()
    descriptors += [sink, job]
    relay = Relay(source, sink, Spool(str(tmp_path / "stdout"), 100, Plain))
    assert not relay.one_reader
    relay.finish()


# --- the reader goes away


def test_a_job_whose_reader_is_gone_meets_a_broken_pipe(between: Between, tmp_path: Path) -> None:
    relay, job, reader = between()
    told: list[bool] = []
    relay.on_finish = lambda: told.append(True)
    os.write(job, b"seen\n")
    assert relay.move()
    os.close(reader)
    os.write(job, b"unseen\n")
    relay.move()
    assert not relay.open
    assert told == [True]
    with pytest.raises(BrokenPipeError):
        os.write(job, b"more\n")
    os.close(job)
    relay.finish()  # again is harmless
    assert not relay.move()
    relay.drain()
    assert told == [True]
    assert (tmp_path / "stdout").read_bytes() == b"seen\nunseen\n"


def test_a_reader_that_leaves_in_the_middle_does_not_hang_the_job(between: Between) -> None:
    relay, job, reader = between()
    writing, moving = in_thread(job, bytes(MORE_THAN_A_PIPE * 4)), moved_to_the_end(relay)
    assert os.read(reader, 1000)
    os.close(reader)
    writing.join()
    moving.join()
    assert not relay.open


def test_a_job_that_writes_nothing_just_ends(between: Between, tmp_path: Path) -> None:
    relay, job, reader = between()
    assert not relay.move()
    assert relay.open
    os.close(job)
    assert not relay.move()
    assert not relay.open
    os.close(reader)
    assert (tmp_path / "stdout").read_bytes() == b""


# --- the copy


@pytest.mark.parametrize("limit", [0, 1, 7, 8, 9])
@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 16])
def test_a_copy_longer_than_allowed_is_cut_and_marked(tmp_path: Path, limit: int, cut: int) -> None:
    data = b"1234567\n7654321\n"
    spool = Spool(str(tmp_path / "stdout"), limit, redacting)
    for piece in (data[:cut], data[cut:]):
        if piece:
            spool.write(piece)
    spool.close()
    assert (tmp_path / "stdout").read_bytes() == data[:limit]
    assert (tmp_path / "stdout.truncated").exists()


@pytest.mark.parametrize("data", [b"", b"1234567", b"1234567\n"])
def test_a_copy_as_long_as_allowed_is_whole(tmp_path: Path, data: bytes) -> None:
    spool = Spool(str(tmp_path / "stdout"), len(data), redacting)
    spool.write(data)
    spool.close()
    assert (tmp_path / "stdout").read_bytes() == data
    assert not (tmp_path / "stdout.truncated").exists()


@given(cut=st.integers(0, len(SECRET)), at_once=st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_a_secret_in_two_pieces_is_in_no_copy_and_in_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at_once: int
) -> None:
    folder = tmp_path_factory.mktemp("relay")
    source, job = os.pipe()
    reader, sink = os.pipe()
    relay = Relay(source, sink, Spool(str(folder / "stdout"), 1000, redacting))
    data = b"it is " + SECRET + b" and that\nis all"
    for piece in (data[: 6 + cut], data[6 + cut :]):
        for start in range(0, len(piece), at_once):
            os.write(job, piece[start : start + at_once])
            relay.move()
    os.close(job)
    while relay.open:
        relay.move()
    got = os.read(reader, 1 << 16)
    os.close(reader)
    os.close(sink)
    kept = (folder / "stdout").read_bytes()
    assert got == data
    assert SECRET not in kept
    assert SECRET[:8] not in kept
    assert kept.startswith(b"it is ")
    assert kept.endswith(b" and that\nis all")


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_secret_that_goes_on_after_the_end_is_in_no_copy(tmp_path: Path, cut: int) -> None:
    """The job has ended, what it left behind writes on: its half of a secret must not be joined with the first."""
    spool = Spool(str(tmp_path / "stdout"), 1000, redacting)
    spool.write(b"whole line\nit is " + SECRET[:cut])
    spool.flush()
    spool.write(SECRET[cut:] + b"\nlater\n")
    spool.close()
    kept = (tmp_path / "stdout").read_bytes()
    assert SECRET not in kept
    assert kept.startswith(b"whole line\nit is ")
    assert (tmp_path / "stdout.truncated").exists()


def test_what_comes_after_the_end_between_lines_is_kept(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "stdout"), 1000, redacting)
    spool.write(b"one\n")
    spool.flush()
    spool.write(b"two " + SECRET + b"\n")
    spool.close()
    kept = (tmp_path / "stdout").read_bytes()
    assert kept.startswith(b"one\ntwo ")
    assert SECRET not in kept
    assert not (tmp_path / "stdout.truncated").exists()


def test_a_copy_the_disk_does_not_take_is_marked_and_the_output_goes_on(between: Between, tmp_path: Path) -> None:
    relay, job, reader = between()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        os.write(job, b"0123456789abcdef")
        relay.move()
        os.write(job, b"more")
        relay.move()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.read(reader, 100) == b"0123456789abcdefmore"
    os.close(reader)
    os.close(job)
    relay.finish()
    assert (tmp_path / "stdout").read_bytes() == b"0123456789"
    assert (tmp_path / "stdout.truncated").exists()


def test_a_copy_whose_folder_is_gone_disturbs_nobody(between: Between, tmp_path: Path) -> None:
    """Not even the mark that something is missing can be made."""
    relay, job, reader = between(max_bytes=3)
    (tmp_path / "stdout").unlink()
    tmp_path.rmdir()
    os.write(job, b"12345")
    relay.move()
    assert os.read(reader, 100) == b"12345"
    os.close(reader)
    os.close(job)
    relay.finish()
    tmp_path.mkdir()
