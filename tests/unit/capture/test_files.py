"""Calls of several threads at once: what one was let through to do, and has not done yet, when another calls."""

from __future__ import annotations

import os

import pytest

from tests.model_tree import ModelTree
from tests.recording import Call, Recording

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize(
    "below", [Call(2, "mkdir", ("/out/part",)), Call(2, "open", ("/out/part", NEW, b"x"))], ids=lambda call: call.name
)
def test_what_is_made_in_a_folder_that_is_just_being_made_is_the_runs(below: Call, slow: bool) -> None:
    """Writers of partitioned tables make their folders side by side; a replay must not find one of them there."""
    recording = Recording(ModelTree())
    recording.run(Call(1, "mkdir", ("/out",), delayed=slow), below, Call(2, "stat", ("/out/part", True)))
    assert recording.observation.made == {"/out", "/out/part"}
    assert "/out/part" not in recording.observation.paths


@pytest.mark.parametrize("slow", [True, False])
def test_what_is_made_in_a_folder_that_is_just_being_moved_there_is_the_runs(slow: bool) -> None:
    tree = ModelTree()
    tree.call("mkdir", "/old")
    recording = Recording(tree)
    recording.run(
        Call(1, "rename", ("/old", "/new"), delayed=slow),
        Call(2, "mkdir", ("/new/part",)),
        Call(2, "stat", ("/new/part", True)),
    )
    assert recording.observation.made == {"/new", "/new/part"}
    assert "/new/part" not in recording.observation.paths


@pytest.mark.parametrize(
    "below", [Call(1, "mkdir", ("/out/part",), delayed=True), Call(1, "open", ("/out/part", NEW, b"x"), delayed=True)]
)
def test_what_is_made_in_a_folder_that_another_thread_makes_first_is_the_runs(below: Call) -> None:
    """The call comes first, and is done second."""
    recording = Recording(ModelTree())
    recording.step(below)
    recording.step(Call(2, "mkdir", ("/out",), delayed=True))
    recording._do(2)
    recording._do(1)
    recording.step(Call(2, "stat", ("/out/part", True)))
    recording.finish()
    assert recording.observation.made == {"/out", "/out/part"}
    assert "/out/part" not in recording.observation.paths


def store_with(*names: str) -> Recording:
    """Give a recording of a job beside whose data the store is."""
    tree = ModelTree()
    tree.call("mkdir", "/job")
    for name in ("", "/objects", "/objects/ab"):
        tree.call("mkdir", f"/job/store{name}")
    for name in names:
        tree.call("open", f"/job/store/{name}", NEW, b"")
    recording = Recording(tree)
    recording.states.ignore("/job/store")
    return recording


@pytest.mark.parametrize(
    ("asked", "tells"),
    [("", False), ("/.gitignore", False), ("/HEAD", False), ("/objects/none", False), ("/objects/ab", True)],
)
def test_a_job_that_looks_into_the_store_is_told_of(asked: str, tells: bool) -> None:
    """But not git, which looks whether each folder is to be passed over, or a repository of its own."""
    recording = store_with(".gitignore")
    for _ in range(2):
        recording.step(Call(1, "stat", (f"/job/store{asked}", True)))
        recording.step(Call(1, "open", (f"/job/store{asked}", os.O_RDONLY)))
    recording.finish()
    assert recording.observation.left_out == {"/job/store"}
    assert [(code, subject) for code, _, subject in recording.observation.gaps] == [
        ("store-seen", "/job/store")
    ] * tells


def test_what_cannot_be_made_because_its_folder_is_not_there_is_not_made() -> None:
    recording = Recording(ModelTree())
    recording.run(Call(1, "mkdir", ("/none/part",)))
    assert recording.observation.made == set()
