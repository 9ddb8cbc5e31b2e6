"""A journal cut off or damaged anywhere gives the records before that place, and never one that was not written."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reenact.capture.journal import JournalWriter, decode, leave_reason, read_records, reason_left
from reenact.capture.recorder import _Tail

_TEXT = st.text(st.characters(codec=None), max_size=12)  # any code point, lone surrogates (undecodable bytes) too
_VALUE = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), _TEXT, st.lists(_TEXT, max_size=3))
_RECORDS = st.lists(st.tuples(st.sampled_from("enmpcgx"), _VALUE, _VALUE).map(list), max_size=6)


def written(records: list[list[Any]]) -> tuple[bytes, list[int]]:
    """Give a journal, and its length after each record as the writer told it."""
    descriptor = os.memfd_create("journal")
    try:
        writer = JournalWriter(descriptor)
        ends = [writer.write(record) for record in records]
        writer.flush()
        assert not writer.broken
        return os.pread(descriptor, 1 << 20, 0), ends
    finally:
        os.close(descriptor)


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- reading


@given(records=_RECORDS)
@settings(deadline=None, max_examples=60)
def test_a_journal_cut_at_any_byte_gives_the_records_before(records: list[list[Any]]) -> None:
    data, ends = written(records)
    assert list(read_records(data)) == records
    for cut in range(len(data) + 1):
        assert list(read_records(data[:cut])) == records[: sum(end <= cut for end in ends)]


@given(records=_RECORDS)
@settings(deadline=None, max_examples=60)
def test_what_is_written_after_much_else_reads_the_same(records: list[list[Any]]) -> None:
    """Another encoder has taken over by then."""
    much: list[Any] = ["o", "x" * 40_000]
    data, _ = written([much, *records])
    assert list(read_records(data)) == [much, *records]


@given(records=_RECORDS, difference=st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_a_byte_changed_anywhere_never_gives_another_record(records: list[list[Any]], difference: int) -> None:
    data, ends = written(records)
    for at in range(len(data)):
        found = list(read_records(data[:at] + bytes([data[at] ^ difference]) + data[at + 1 :]))
        assert found == records[: len(found)]
        assert len(found) >= sum(end <= at for end in ends)


@given(records=_RECORDS.filter(bool), places=st.lists(st.integers(0, 10_000), min_size=2, max_size=2))
@settings(deadline=None, max_examples=60)
def test_a_hole_in_the_middle_never_gives_another_record(records: list[list[Any]], places: list[int]) -> None:
    data, _ = written(records)
    start, end = sorted(place % (len(data) + 1) for place in places)
    found = list(read_records(data[:start] + bytes(end - start) + data[end:]))
    assert found == records[: len(found)]


@given(data=st.binary(max_size=60))
def test_what_is_no_line_is_damage(data: bytes) -> None:
    assert decode(data) is None
    assert list(read_records(data + b"\n")) == []


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"e"', b"[", b"\xff"])
def test_a_line_with_a_right_checksum_is_still_a_record_or_damage(body: bytes) -> None:
    import zlib

    assert decode(b"%08x %b" % (zlib.crc32(body), body)) is None


def test_a_journal_read_as_it_grows_gives_the_same(tmp_path: Path) -> None:
    records: list[list[Any]] = [["o", "a" * n] for n in range(40)]
    data, ends = written(records)
    path = tmp_path / "events"
    path.write_bytes(b"")
    tail = _Tail(str(path))
    found: list[tuple[int, list[Any]]] = []
    with path.open("ab", buffering=0) as file:
        for start in range(0, len(data), 7):
            file.write(data[start : start + 7])
            found += tail.records()
    assert found == list(zip(ends, records, strict=True))
    assert tail.position == len(data)


def test_nothing_after_damage_is_read_also_not_later(tmp_path: Path) -> None:
    data, ends = written([["o", "one"], ["o", "two"], ["o", "three"]])
    path = tmp_path / "events"
    path.write_bytes(data[: ends[0] + 12] + b"#" + data[ends[0] + 13 : ends[1]])
    tail = _Tail(str(path))
    assert tail.records() == [(ends[0], ["o", "one"])]
    with path.open("ab") as file:
        file.write(data[ends[1] :])
    assert tail.records() == []
    assert tail.position == ends[0]


# --- writing


def test_a_descriptor_opened_for_appending_goes_on_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events"
    before, _ = written([["run", {"job": "x"}]])
    path.write_bytes(before)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    writer = JournalWriter(descriptor)
    assert writer.position == len(before)
    end = writer.write(["o", "/missing"])
    assert writer.pending
    writer.flush()
    os.close(descriptor)
    assert not writer.pending
    assert end == path.stat().st_size
    assert list(read_records(path.read_bytes())) == [["run", {"job": "x"}], ["o", "/missing"]]


def test_much_is_flushed_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "events"
    with path.open("ab") as file:
        writer = JournalWriter(file.fileno())
        for _ in range(400):
            writer.write(["o", "/" + "x" * 100])
        assert path.stat().st_size > 30_000


@pytest.mark.parametrize("limit", [0, 1, 20, 33, 34, 35, 100])
def test_a_file_that_may_not_grow_breaks_the_journal_and_nothing_else(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "events"
    with path.open("ab") as file:
        writer = JournalWriter(file.fileno())
        records = [["o", f"/missing/{n:02}"] for n in range(20)]
        with file_limit(limit):
            for record in records:
                writer.write(record)
            writer.flush()
            assert writer.broken
            position = writer.position
            writer.write(["o", "/later"])
            writer.flush()
        assert writer.write(["o", "/much later"]) == position
        writer.flush()
        assert not writer.pending
    kept = path.read_bytes()
    found = list(read_records(kept))
    assert found == records[: len(found)]
    # Whoever waits until the journal is read to its end must be able to see that end.
    assert position == len(written(found)[0])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_told_by_name() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = JournalWriter(descriptor)
    writer.write(["o", "/missing"])
    writer.flush()
    os.close(descriptor)
    assert writer.broken == "No space left on device"
    assert writer.position == 0


def test_a_short_write_is_gone_on_with() -> None:
    """A pipe takes what there is room for; another thread makes room again."""
    import threading

    readable, writable = os.pipe()
    writer = JournalWriter(writable)
    records = [["o", "/" + "x" * 3000] for _ in range(60)]
    got: list[bytes] = []

    def read() -> None:
        while data := os.read(readable, 1000):
            got.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    for record in records:
        writer.write(record)
    writer.flush()
    os.close(writable)
    thread.join()
    os.close(readable)
    assert list(read_records(b"".join(got))) == records


def test_the_reason_why_a_journal_has_no_end_is_left_beside_it(tmp_path: Path) -> None:
    assert reason_left(str(tmp_path)) == ""
    leave_reason(str(tmp_path), "No space left on device")
    assert reason_left(str(tmp_path)) == "No space left on device"
    leave_reason(str(tmp_path / "missing"), "never fails")
