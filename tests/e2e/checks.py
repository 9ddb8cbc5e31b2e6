"""The check most tests make: a job is recorded, all it needed is destroyed, and its replay gives the same bytes."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from reenact.model.paths import from_text
from tests.e2e import environments
from tests.e2e.desk import PATH, Desk, Effect
from tests.e2e.jobs import Job
from tests.e2e.people import everybodys_python
from tests.e2e.trees import tree

__all__ = ["assert_replays", "check_reproduced", "give_environment", "record", "require"]


def require(*programs: str) -> None:
    """Skip the test when a program is absent."""
    for program in programs:
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"the program {program!r} is not installed")


def give_environment(desk: Desk, name: str) -> None:
    """Put a throw-away copy of a Python environment at ``@venv``."""
    python = everybodys_python()
    if python is None:
        pytest.skip("no Python that every account can run")
    environments.throw_away(environments.built(name, python), desk.venv)


def record(desk: Desk, job: Job) -> Effect:
    """Run a job plainly, then recorded in a fresh copy of its folder; observing must change nothing."""
    require(*job.needs)
    if job.venv:
        give_environment(desk, job.venv)
    desk.lay_out(job)
    plain = desk.perform(job, recorded=False)
    assert plain.exit_code == job.exit_code, plain.stderr.decode(errors="replace")
    assert bool(plain.stdout) or not job.prints
    changed = {name for name, node in plain.changed.items() if node is not None}
    removed = {name for name, node in plain.changed.items() if node is None}
    assert changed >= set(job.makes)
    assert removed >= set(job.removes)
    desk.lay_out(job)
    recorded = desk.perform(job, recorded=not desk.plain)
    assert set(recorded.changed) == set(plain.changed)
    assert recorded.changed == plain.changed
    assert (recorded.exit_code, recorded.stdout) == (plain.exit_code, plain.stdout)
    assert recorded.stderr == plain.stderr or job.noisy
    return recorded


def check_reproduced(desk: Desk, job: Job) -> Any:
    """Record, destroy, replay: the verdict is `reproduced` and each output is there, byte for byte."""
    effect = record(desk, job)
    if desk.plain:
        return None
    desk.vandalise()
    return assert_replays(desk, effect, noisy=job.noisy)


def assert_replays(desk: Desk, effect: Effect, reference: str = "latest", *, noisy: bool = False) -> Any:
    """Replay a run whose effect is known; the present content of the job's folder must neither matter nor change.

    What a `noisy` job writes to stderr differs each time.
    """
    ruins = desk.ruins()
    done, answer = desk.replay(reference)
    judged = {from_text(output["name"]): output["verdict"] for output in answer["outputs"]}
    if noisy:
        judged.pop("stderr", None)
    assert set(judged.values()) <= {"identical"}, answer
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0), answer
    assert answer["missing"] == []
    # Compiled Python is a by-product: recorded, and not judged.
    made = {
        name: node
        for name, node in effect.changed.items()
        if node is not None and node.kind in {"file", "symlink"} and "__pycache__" not in name
    }
    assert set(made) <= set(judged)
    given = tree(desk.out) if desk.out.exists() else {}
    assert {name: (node.kind, node.content) for name, node in given.items() if name in made} == {
        name: (node.kind, node.content) for name, node in made.items()
    }
    assert desk.ruins() == ruins, "a replay changed the folder of the job"
    return answer
