"""A job that runs again on an edited table keeps the difference only, and everything comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.shelf import edited, table

ROWS = 75_000
"""Some 3 MB."""
JOB = """
with open("in.csv") as old, open("out.csv", "w") as new:
    for line in old:
        new.write(line.upper())
"""


def versions(count: int) -> list[bytes]:
    found = [table(ROWS)]
    while len(found) < count:
        found.append(edited(found[-1], len(found), share=0.001))
    return found


def record(desk: Desk, content: bytes) -> None:
    desk.write("in.csv", content)
    done = desk.record(desk.person.python, "job.py")
    assert done.exit_code == 0, done.stderr.decode()


def object_of(desk: Desk, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return desk.store / "objects" / name[:2] / name[2:]


def stored_bytes(desk: Desk) -> int:
    return sum(path.stat().st_size for path in (desk.store / "objects").rglob("*") if path.is_file())


@pytest.fixture
def recorded(my_desk: Desk) -> tuple[Desk, list[bytes]]:
    """Record one job on four versions of its table."""
    my_desk.write("job.py", JOB)
    contents = versions(4)
    for content in contents:
        record(my_desk, content)
    return my_desk, contents


def test_four_runs_take_little_more_than_one(my_desk: Desk) -> None:
    my_desk.write("job.py", JOB)
    contents = versions(4)
    record(my_desk, contents[0])
    one = stored_bytes(my_desk)
    for content in contents[1:]:
        record(my_desk, content)
    assert stored_bytes(my_desk) - one < 0.05 * 2 * 3 * len(contents[0])


def test_deltas_can_be_turned_off(my_desk: Desk) -> None:
    my_desk.write("job.py", JOB)
    my_desk.write("reenact.toml", '[storage]\ndeltas = "never"\n')
    sizes = []
    for content in versions(2):
        record(my_desk, content)
        sizes.append(stored_bytes(my_desk))
    assert sizes[1] - sizes[0] > 0.3 * len(content)


def test_the_cache_may_be_lost(my_desk: Desk) -> None:
    my_desk.write("job.py", JOB)
    first, second = versions(2)
    record(my_desk, first)
    for path in (my_desk.store / "cache").glob("versions*"):
        path.unlink()
    one = stored_bytes(my_desk)
    record(my_desk, second)
    assert stored_bytes(my_desk) - one < 0.1 * len(second)


def test_every_version_is_verified_restored_and_replayed(recorded: tuple[Desk, list[bytes]]) -> None:
    desk, contents = recorded
    assert desk.reenact("verify", "--all", "--deep").exit_code == 0
    for age, content in enumerate(reversed(contents)):
        run = f"job~{age}" if age else "job"
        to = desk.base / f"restored-{age}"
        done = desk.reenact("restore", run, "--inputs", "--to", str(to))
        assert done.exit_code == 0, done.stderr.decode()
        assert (to / "in.csv").read_bytes() == content
    for run in ("job", "job~3"):
        done, answer = desk.replay(run)
        assert (answer["verdict"], done.exit_code) == ("reproduced", 0)


def test_a_lost_base_names_every_artifact_that_needs_it(recorded: tuple[Desk, list[bytes]]) -> None:
    desk, _ = recorded
    runs = desk.runs()
    digests = [desk.show(run)["input_checksums"]["in.csv"] for run in runs]
    object_of(desk, digests[0]).unlink()
    done = desk.reenact("verify", "--all")
    assert done.exit_code in {3, 4}
    told = (done.stdout + done.stderr).decode()
    for run, digest in zip(runs, digests, strict=True):
        assert run in told
        assert digest.removeprefix("sha256:")[:12] in told
        planned = desk.reenact("replay", run, "--json")
        assert planned.exit_code in {3, 4}
        assert planned.json()["verdict"] == "unreplayable"
        assert "in.csv" in str(planned.json()["missing"])
    assert desk.runs() == runs
