"""The conditions a job was started under, taken on as far as this process may."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from reenact.replay.conditions import become, conditions_of, set_limits, take_affinity, usable_limits
from tests import bundles

UNLIMITED = resource.RLIM_INFINITY


def in_child(work: Callable[[], Any]) -> Any:
    """Give what a function gives in a process of its own, which it may change at will."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writable, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    assert said, "the child failed"
    return json.loads(said)


def test_conditions_are_those_of_the_record() -> None:
    launch = replace(
        bundles.bundle().launch,
        uid=5,
        gid=6,
        groups=(7,),
        cwd="/work/\\xff",
        umask=0o27,
        limits={"RLIMIT_NOFILE": (1, 2)},
    )
    found = conditions_of(launch)
    assert (found.uid, found.gid, found.groups, found.umask) == (5, 6, (7,), 0o27)
    assert (found.cwd, found.limits, found.hostname) == ("/work/\udcff", {"RLIMIT_NOFILE": (1, 2)}, "host")


@pytest.mark.parametrize("name", ["nofile", "NOFILE", "RLIMIT_NOFILE", "rlimit_nofile"])
def test_limits_are_known_by_either_name(name: str) -> None:
    assert usable_limits({name: (10, 20)}, privileged=True) == [(resource.RLIMIT_NOFILE, (10, 20))]


@pytest.mark.parametrize("name", ["RLIMIT_UNHEARD_OF", "", "SETRLIMIT"])
def test_limits_this_system_does_not_know_are_left_out(name: str) -> None:
    assert usable_limits({name: (1, 1), "core": (0, 0)}, privileged=True) == [(resource.RLIMIT_CORE, (0, 0))]


@pytest.mark.parametrize(
    ("recorded", "ceiling", "usable"),
    [
        ((10, 20), 15, (10, 15)),
        ((18, 20), 15, (15, 15)),
        ((-1, -1), 15, (15, 15)),
        ((10, -1), 15, (10, 15)),
        ((10, 12), UNLIMITED, (10, 12)),
        ((-1, -1), UNLIMITED, (UNLIMITED, UNLIMITED)),
        ((50, 20), UNLIMITED, (20, 20)),
    ],
)
def test_an_ordinary_user_cannot_go_beyond_the_present_ceiling(
    recorded: tuple[int, int], ceiling: int, usable: tuple[int, int]
) -> None:
    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_CORE, (ceiling, ceiling))
        return usable_limits({"core": recorded}, privileged=False)

    if ceiling == UNLIMITED and resource.getrlimit(resource.RLIMIT_CORE)[1] != UNLIMITED:
        pytest.skip("this process has a ceiling already")
    assert in_child(work) == [[resource.RLIMIT_CORE, list(usable)]]


def test_root_is_not_bound_by_it() -> None:
    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        return usable_limits({"core": (5, 9)}, privileged=True)

    assert in_child(work) == [[resource.RLIMIT_CORE, [5, 9]]]


def test_limits_are_set() -> None:
    def work() -> Any:
        set_limits(usable_limits({"RLIMIT_NOFILE": (50, 60), "RLIMIT_CORE": (0, 0)}, privileged=False))
        return [resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE)]

    assert in_child(work) == [[50, 60], [0, 0]]


def affinity_after(recorded: tuple[int, ...]) -> list[int]:
    def work() -> Any:
        take_affinity(recorded)
        return sorted(os.sched_getaffinity(0))

    found: list[int] = in_child(work)
    return found


def test_recorded_processors_are_used_and_others_where_those_are_not_there() -> None:
    here = sorted(os.sched_getaffinity(0))
    assert affinity_after(()) == here
    assert affinity_after((here[-1],)) == [here[-1]]
    assert affinity_after((4090,)) == here[:1]
    assert affinity_after((*range(4000, 4000 + len(here) + 3),)) == here
    if len(here) > 1:
        assert affinity_after((here[1], 4090)) == here[:2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_recorded_user_for_good() -> None:
    launch = replace(bundles.bundle().launch, uid=12345, gid=12346, groups=(12347, 12348))

    def work() -> Any:
        become(conditions_of(launch))
        try:
            os.setuid(0)
        except PermissionError:
            return [os.getresuid(), os.getresgid(), sorted(os.getgroups())]
        return "still root"

    assert in_child(work) == [[12345] * 3, [12346] * 3, [12347, 12348]]
