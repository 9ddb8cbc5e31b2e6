"""Desks for the end-to-end tests.

As root each test that takes `desk` runs twice: once for root, once for an ordinary user. With ``REENACT_TEST_PLAIN=1`` the
jobs run twice without reenact and nothing is replayed: it shows that the jobs themselves work here and are deterministic.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.e2e.checks", "tests.e2e.desk")

from tests.e2e.desk import Desk  # noqa: E402 - after the line that makes its assertions tell what they saw
from tests.e2e.people import ME, ORDINARY, Person, me, ordinary_user  # noqa: E402 - same

People = Callable[[str], Person]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of everybody's for each kind of person there can be."""
    if "person" in metafunc.fixturenames:
        metafunc.parametrize("person", [ME, ORDINARY] if ME == "root" else [ME], indirect=True, scope="session")


@pytest.fixture(scope="session")
def people() -> Iterator[People]:
    """Give people by kind; what they need lies where every account can reach it, unlike pytest's own folders."""
    place = Path(tempfile.mkdtemp(prefix="reenact-people-"))
    place.chmod(0o755)
    find = cache(lambda kind: ordinary_user(place) if kind == ORDINARY else me(place))

    def give(kind: str) -> Person:
        found = find(kind)
        return pytest.skip(found) if isinstance(found, str) else found

    yield give
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def person(request: pytest.FixtureRequest, people: People) -> Person:
    """Give the person who records."""
    return people(request.param)


@pytest.fixture
def desk(person: Person) -> Iterator[Desk]:
    """Give each kind of person an empty desk."""
    with _desk(person) as found:
        yield found


@pytest.fixture
def my_desk(people: People) -> Iterator[Desk]:
    """Give one desk, to the person who runs the tests: where the kind of person makes no difference."""
    with _desk(people(ME)) as found:
        yield found


@contextmanager
def _desk(person: Person) -> Iterator[Desk]:
    base = Path(tempfile.mkdtemp(prefix="reenact-e2e-"))
    try:
        yield Desk(person, base)
    finally:
        shutil.rmtree(base)
