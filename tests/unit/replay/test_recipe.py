"""What of a recorded Python environment can be built again, and every reason why not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.model.bundle import Bundle
from reenact.model.environment import MANIFEST_FORMAT, Distribution, Interpreter, Manifest
from reenact.replay.recipe import environments_of, recipe_of
from tests import bundles
from tests.bundles import ROOT
from tests.worlds import entry

SITE = f"{ROOT}/.venv/lib/python3.11/site-packages"
HASHED = "tiny==1.0 --hash=sha256:" + "a" * 64 + "\n"
PYTHON = Interpreter(name="python", version="3.11.2", path="/usr/bin/python3.11", digest=None)


def package(name: str = "tiny", location: str = SITE, **more: Any) -> Distribution:
    return Distribution(
        **{"ecosystem": "pypi", "version": "1.0", "record_digest": of_bytes(b""), "files_read": 1, **more},
        name=name,
        location=location,
    )


def recorded(
    *packages: Distribution,
    interpreters: tuple[Interpreter, ...] = (PYTHON,),
    lock: bytes | None = None,
    **changes: Any,
) -> Bundle:
    plain = bundles.bundle()
    environment = replace(
        plain.environment,
        interpreters=interpreters,
        distributions=packages,
        lock=of_bytes(lock) if lock is not None else None,
        **changes,
    )
    return replace(plain, environment=environment)


def manifest(*paths: str) -> Manifest:
    return Manifest(format=MANIFEST_FORMAT, entries=tuple(entry(path) for path in paths))


def obstacles(bundle: Bundle, lock: bytes | None = None) -> tuple[str, ...]:
    recipe, found = recipe_of(bundle, None, lock)
    assert (recipe is None) == bool(found)
    return found


# --- which environments


def test_an_environment_is_where_its_mark_was_read() -> None:
    listed = manifest("/opt/etl/pyvenv.cfg", f"{ROOT}/.venv/pyvenv.cfg", "/usr/lib/x.py", "/x/my_pyvenv.cfg")
    assert environments_of(recorded(), listed) == ("/opt/etl", f"{ROOT}/.venv")


def test_a_described_record_tells_it_by_its_packages() -> None:
    assert environments_of(recorded(package()), None) == (f"{ROOT}/.venv",)


@pytest.mark.parametrize(
    "location",
    [
        "/usr/lib/python3.11/site-packages",
        "/usr/local/lib/python3.11/site-packages",
        "/home/sam/.local/lib/python3.11/site-packages",
        "/usr/lib/python3/dist-packages",
        "/opt/python/lib/python3.11/site-packages",
    ],
)
def test_packages_of_the_system_or_beside_the_interpreter_lie_in_none(location: str) -> None:
    beside = replace(PYTHON, path="/opt/python/bin/python3.11")
    assert environments_of(recorded(package(location=location), interpreters=(PYTHON, beside)), None) == ()


def test_the_variable_tells_it_even_where_the_interpreter_lies_in_it() -> None:
    inside = replace(PYTHON, path=f"{ROOT}/.venv/bin/python3.11")
    bundle = recorded(package(), interpreters=(inside,), variables={"VIRTUAL_ENV": f"{ROOT}/.venv"})
    assert environments_of(bundle, None) == (f"{ROOT}/.venv",)


def test_packages_of_other_languages_make_no_python_environment() -> None:
    assert environments_of(recorded(package(ecosystem="npm")), None) == ()


# --- the recipe


def test_a_run_that_read_no_package_needs_the_interpreter_alone() -> None:
    recipe, found = recipe_of(recorded(), None, None)
    assert found == ()
    assert recipe is not None
    assert (recipe.python, recipe.requirements, recipe.hashed, recipe.unhashed) == ("3.11.2", "", False, ())
    assert recipe.environments == ()
    assert recipe.instead_of == {"/usr/bin/python3.11"}


def test_the_lock_is_the_recipe() -> None:
    lock = (HASHED + "other==2.0\n").encode()
    recipe, _ = recipe_of(recorded(package(), package("other"), lock=lock), manifest(f"{ROOT}/.venv/pyvenv.cfg"), lock)
    assert recipe is not None
    assert recipe.requirements == lock.decode()
    assert (recipe.hashed, recipe.unhashed) == (False, ("other==2.0",))
    assert (recipe.environments, recipe.sites) == ((f"{ROOT}/.venv",), (SITE,))


def test_hashes_are_required_where_every_line_has_one() -> None:
    recipe, _ = recipe_of(recorded(package(), lock=HASHED.encode()), None, HASHED.encode())
    assert recipe is not None
    assert (recipe.hashed, recipe.unhashed) == (True, ())


@pytest.mark.parametrize("version", ["3.11.2", "3.11.2+", "3.11.2 (main, Jan 1 2026)"])
def test_the_version_is_the_number_alone(version: str) -> None:
    recipe, _ = recipe_of(recorded(interpreters=(replace(PYTHON, version=version),)), None, None)
    assert recipe is not None
    assert recipe.python == "3.11.2"


def test_the_interpreter_is_the_one_whose_packages_were_read() -> None:
    old = Interpreter(name="python", version="3.9.1", path="/usr/bin/python3.9", digest=None)
    few = package("few", location="/x/lib/python3.9/site-packages", files_read=1)
    many = package("many", files_read=9)
    for interpreters in ((old, PYTHON), (PYTHON, old)):
        recipe, _ = recipe_of(recorded(few, many, interpreters=interpreters), None, b"")
        assert recipe is not None
        assert recipe.python == "3.11.2"


def test_without_packages_it_is_the_one_the_job_was_started_with() -> None:
    other = Interpreter(name="python", version="3.9.1", path="/usr/bin/python", digest=None)
    recipe, _ = recipe_of(recorded(interpreters=(PYTHON, other)), None, None)
    assert recipe is not None
    assert recipe.python == "3.9.1"  # bundles.bundle is started with /usr/bin/python


# --- obstacles


def test_without_python_there_is_nothing_to_rebuild() -> None:
    shell = Interpreter(name="bash", version="5.2", path="/usr/bin/bash", digest=None)
    [reason] = obstacles(recorded(interpreters=(shell,)))
    assert "executed no Python" in reason


@pytest.mark.parametrize("version", [None, "3.11", "unknown"])
def test_an_unknown_version_cannot_be_had(version: str | None) -> None:
    assert obstacles(recorded(interpreters=(replace(PYTHON, version=version),))) == (
        "the version of /usr/bin/python3.11 is not recorded",
    )


def test_a_lock_that_is_gone_is_named() -> None:
    [reason] = obstacles(recorded(lock=b"x"), None)
    assert "is not in the store" in reason
    assert of_bytes(b"x") in reason


@pytest.mark.parametrize(
    ("changes", "word"), [({"editable": True}, "editable"), ({"record_digest": None}, "no hashes of its files")]
)
def test_a_package_no_index_can_vouch_for_is_named(changes: dict[str, Any], word: str) -> None:
    [reason] = obstacles(recorded(package(**changes)))
    assert reason.startswith("package tiny==1.0: ")
    assert word in reason


def test_what_only_the_recording_machine_had_is_named() -> None:
    [reason] = obstacles(recorded(lock=b""), b"# local==1.0 from file:///home/sam/local\n")
    assert reason == "package local==1.0 from file:///home/sam/local: only the recording machine had it"


def test_all_obstacles_are_named_at_once() -> None:
    bundle = recorded(package("a", editable=True), package("b", record_digest=None), lock=b"x")
    assert len(obstacles(bundle, b"# c: local\n")) == 3


def test_packages_of_other_languages_are_no_obstacle() -> None:
    assert obstacles(recorded(package(ecosystem="npm", record_digest=None))) == ()
