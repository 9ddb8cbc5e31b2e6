"""What is scratch, and what is a result."""

from __future__ import annotations

import pytest

from reenact.capture.observation import Observation
from reenact.capture.scratch import Scratch

ENDED, ALIVE, ALSO_ALIVE = "1.1", "1.2", "1.3"


def scratch(*made: tuple[str, str], root: str = "/work", cwd: str = "/work", **variables: str) -> Scratch:
    """Fold a run whose processes made these paths."""
    observation = Observation()
    observation.apply(["run", {"root": root, "cwd": cwd, "variables": variables}])
    for actor in ("1", ENDED, ALIVE, ALSO_ALIVE):
        observation.apply(["f", actor, actor.rpartition(".")[0], 1])
    observation.apply(["q", ENDED, 0, 2])
    for actor, path in made:
        observation.apply(["c", path])
        observation.apply(["a", actor, path, "w"])
    return Scratch(observation)


@pytest.mark.parametrize("path", ["/tmp/spark-1/x", "/var/tmp/x", "/dev/shm/x"])
def test_what_a_process_that_goes_on_has_in_a_temporary_folder_is_scratch(path: str) -> None:
    assert scratch((ALIVE, path)).holds(path)
    assert scratch((ALIVE, path), (ALSO_ALIVE, path)).holds(path)


@pytest.mark.parametrize("actor", [ENDED, "1"])
def test_what_a_process_left_that_ended_is_a_result(actor: str) -> None:
    assert not scratch((actor, "/tmp/x")).holds("/tmp/x")
    assert not scratch((actor, "/tmp/x"), (ALIVE, "/tmp/x")).holds("/tmp/x")


def test_what_nobody_is_known_to_have_made_is_a_result() -> None:
    assert not scratch().holds("/tmp/x")


@pytest.mark.parametrize("path", ["/work/x", "/home/x", "/tmpx", "/tmp"])
def test_what_lies_elsewhere_is_a_result(path: str) -> None:
    assert not scratch((ALIVE, path)).holds(path)


def test_the_folder_named_by_a_variable_is_temporary() -> None:
    assert scratch((ALIVE, "/work/t/x"), TMPDIR="/work/t/").holds("/work/t/x")
    assert not scratch((ALIVE, "/work/t/x"), TMPDIR="t").holds("/work/t/x")


def test_the_jobs_own_folder_is_not_temporary_where_it_lies_in_a_temporary_one() -> None:
    found = scratch(
        (ALIVE, "/tmp/job/x"), (ALIVE, "/tmp/job/sub/x"), (ALIVE, "/tmp/x"), root="/tmp/job", cwd="/tmp/job"
    )
    assert [found.holds(path) for path in ("/tmp/job/x", "/tmp/job/sub/x", "/tmp/x")] == [False, False, True]


def test_a_moved_file_is_its_writers_still() -> None:
    observation_of = scratch((ALIVE, "/tmp/a"))
    observation_of._observation.apply(["r", "/tmp/a", "/tmp/b", ALIVE, False])
    assert observation_of.holds("/tmp/b")
