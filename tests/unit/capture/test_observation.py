"""Folding a journal: what its records say together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journals import observed

ENTRY: list[Any] = ["e", "/job/a", 0o100644, 1, 2, 0, 0, 3, 4, 1, 5, 8, 0, None]


def writers(*records: list[Any]) -> dict[str, set[str]]:
    users = observed(*records).users
    return {path: found for path, hows in users.items() if (found := hows.get("w", set()))}


def test_a_rename_takes_along_who_has_written() -> None:
    assert writers(
        ["a", "1.1", "/job/out.tmp", "w"],
        ["a", "1.2", "/job/out", "w"],
        ["r", "/job/out.tmp", "/job/out", "1.2", False],
    ) == {"/job/out": {"1.1", "1.2"}}


def test_a_renamed_folder_takes_along_all_that_is_in_it_and_nothing_beside() -> None:
    assert writers(
        ["a", "1", "/job/d/x", "w"],
        ["a", "2", "/job/d/sub/y", "w"],
        ["a", "3", "/job/d2/z", "w"],
        ["r", "/job/d", "/job/e", "4", False],
    ) == {"/job/e/x": {"1"}, "/job/e/sub/y": {"2"}, "/job/d2/z": {"3"}}


def test_an_exchange_takes_along_both_ways() -> None:
    assert writers(
        ["a", "1", "/job/a/x", "w"],
        ["a", "2", "/job/b/x", "w"],
        ["a", "3", "/job/b/y", "w"],
        ["r", "/job/a", "/job/b", "4", True],
    ) == {"/job/b/x": {"1"}, "/job/a/x": {"2"}, "/job/a/y": {"3"}}


def test_readers_stay_with_the_name_they_used() -> None:
    found = observed(["a", "1", "/job/a", "r"], ["a", "1", "/job/a", "w"], ["r", "/job/a", "/job/b", "2", False])
    assert found.actors("/job/a", "rw") == {"1"}
    assert found.actors("/job/a", "w") == set()
    assert found.actors("/job/b", "w") == {"1"}
    assert found.actors("/job/none", "rwxld") == set()


def test_a_path_made_and_gone_again_is_not_there_because_of_the_run() -> None:
    assert observed(["c", "/job/x"], ["c", "/job/y"], ["g", "/job/x"]).made == {"/job/y"}


@pytest.mark.parametrize(
    ("records", "kept"),
    [
        ([["p", "/job/a", "/kept/0", ""]], ("/kept/0", "")),
        ([["p", "/job/a", "", "too large"]], ("", "too large")),
        ([["p", "/job/a", "/kept/0", ""], ["p", "/job/a", "", ""]], None),
    ],
    ids=["kept", "not kept", "let go"],
)
def test_where_bytes_are_kept_is_what_was_said_last(records: list[list[Any]], kept: tuple[str, str] | None) -> None:
    assert observed(ENTRY, *records).paths["/job/a"].kept == kept


def test_each_way_of_changing_a_path_is_noted_once() -> None:
    changes = [["m", "/job/a", how] for how in "wxw"]
    assert observed(ENTRY, *changes).paths["/job/a"].changes == "wx"


def test_a_change_of_what_the_run_made_is_no_change_of_what_was_there() -> None:
    found = observed(["c", "/job/new"], ["m", "/job/new", "w"])
    assert (found.paths, found.made) == ({}, {"/job/new"})


def test_a_process_known_by_its_end_alone_is_a_process() -> None:
    found = observed(["q", "1.1", 3, 7], ["x", "1", 5, "/bin/sh", ["sh"], "/job"])
    assert (found.processes["1.1"].exit_code, found.processes["1.1"].started_ns) == (3, None)
    assert found.processes["1"].started_ns == 5


def test_the_end_tells_time_and_calls() -> None:
    assert observed().ended_ns is None
    found = observed(["end", 9, 100])
    assert (found.ended_ns, found.calls) == (9, 100)


def test_a_file_that_was_first_read_takes_its_writers_along() -> None:
    read = ["b", "1", *ENTRY[1:]]
    moved = ["r", "/job/a", "/job/b", "2", False]
    assert writers(read, ["a", "1", "/job/a", "w"], moved) == {"/job/b": {"1"}}
