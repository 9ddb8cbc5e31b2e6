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
