"""Jobs that ask git: it trusts inode numbers and change times, which no copy of a file has."""

from __future__ import annotations

import pytest

from tests.e2e.checks import check_reproduced
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job

HISTORY = """
    export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
    git init -q -b main .; git config user.email a@example.com; git config user.name 'A Person'
    for i in 1 2 3 4 5 6; do echo $i >> history.txt; git add .; git commit -qm "commit $i"; done
    git gc -q
    for i in 7 8; do echo $i >> history.txt; git add .; git commit -qm "commit $i"; done
    echo changed >> sql/a.sql; echo untracked > new.sql; rm sql/b.sql
"""


def test_git_passes_over_a_store_in_its_repository(my_desk: Desk) -> None:
    """That is where the store is by default."""
    script = "git init -q . && git config user.email a@example.com && git config user.name a && git add a && git commit -qm a"
    for name in ("a", "b"):
        my_desk.write(name, name)
    assert my_desk.execute(["sh", "-c", script]).exit_code == 0
    store = {"REENACT_STORE": str(my_desk.folder / ".reenact")}
    for command, seen in (("git status --short", set()), ("find . -type f | wc -l", {"store-seen"})):
        assert my_desk.record("sh", "-c", command, variables=store).exit_code == 0
        shown = my_desk.reenact("show", "latest", "--json", variables=store).json()
        bundle = shown.get("bundle", shown)
        assert {hazard["code"] for hazard in bundle["determinism"]["hazards"]} == seen
        if not seen:
            replayed = my_desk.reenact("replay", "latest", "--json", variables=store)
            assert (replayed.exit_code, replayed.json()["verdict"]) == (0, "reproduced")


@pytest.mark.parametrize(
    "argv",
    [
        ("git", "log", "--stat", "--format=%H %an %ad %s"),
        ("git", "status", "--short"),
        (
            "sh",
            "-c",
            "git describe --always --dirty > version.txt; git diff --stat; git ls-files -s > files.txt; cat version.txt",
        ),
    ],
    ids=["log", "status", "describe"],
)
def test_git_gives_the_same_answer(desk: Desk, argv: tuple[str, ...]) -> None:
    files = {"sql/a.sql": "select 1\n", "sql/b.sql": "select 2\n", "history.txt": ""}
    job = Job(
        name="git",
        argv=argv,
        files=files,
        prepare=HISTORY,
        settle="git status > /dev/null",
        needs=("git",),
        prints=True,
    )
    check_reproduced(desk, job)
