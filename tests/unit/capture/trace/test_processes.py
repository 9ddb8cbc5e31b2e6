"""Names of processes by their place in the tree, with real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reenact.capture.trace.processes import Processes
from reenact.capture.trace.tracee import children_of, is_running


@contextmanager
def child() -> Iterator[int]:
    """Start a child that waits to be killed, and is waited for at the end."""
    process = os.fork()
    if not process:
        signal.pause()
        os._exit(0)
    try:
        yield process
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def end(process: int) -> None:
    """Kill a child and let nobody wait for it: it goes on being listed."""
    os.kill(process, signal.SIGKILL)
    while is_running(process):
        time.sleep(0.001)


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def tree(told: list[Any]) -> Processes:
    if not children_of(os.getppid()):
        pytest.skip("this kernel does not list children")
    return Processes(os.getpid(), lambda _, record: told.append(record[:3]))


def test_children_are_numbered_as_they_were_started_whoever_is_heard_of_first(tree: Processes) -> None:
    with child() as first, child() as second:
        assert tree.actor(second) == "1.2"
        assert tree.actor(first) == "1.1"


def test_one_that_has_ended_and_is_not_waited_for_yet_is_no_new_one(tree: Processes, told: list[Any]) -> None:
    with child() as first, child() as second:
        assert tree.actor(first) == "1.1"
        tree.ended(first, 0)
        end(first)
        assert first in children_of(os.getpid())
        assert tree.actor(second) == "1.2"
        tree.meet_children(os.getpid())
    assert [record[1] for record in told if record[0] == "f"] == ["1.1", "1.2"]


def test_what_one_calls_after_its_end_is_its_own(tree: Processes, told: list[Any]) -> None:
    with child() as process:
        tree.actor(process)
        tree.ended(process, 0)
        assert tree.actor(process) == "1.1"
    assert [record[0] for record in told] == ["f", "q"]


def test_an_id_that_is_used_again_is_another_process(tree: Processes) -> None:
    with child() as process:
        tree.actor(process)
        tree.ended(process, 0)
        actor, _ = tree._ended[process]
        tree._ended[process] = actor, 1  # as if an earlier process had had the number
        assert tree.actor(process) == "1.2"
