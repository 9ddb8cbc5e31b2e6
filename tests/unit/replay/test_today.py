"""What a job in a fresh folder is given of this machine."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.model.bundle import Bundle
from reenact.replay.recipe import Recipe
from reenact.replay.today import here_variables, program_obstacles, rebuilt_program, rebuilt_variables
from tests import bundles
from tests.bundles import ROOT, artifact

VENV = f"{ROOT}/.venv"
PREFIX = "/tmp/fresh/environment"


def recorded(*argv: str, executable: str | None = None, cwd: str = ROOT, **variables: str) -> Bundle:
    plain = bundles.bundle(inputs=(artifact("job.sh", kind="code"), artifact("tools/x", kind="code")))
    launch = replace(plain.launch, argv=argv or ("true",), executable=executable, cwd=cwd)
    return replace(plain, launch=launch, environment=replace(plain.environment, variables=variables))


def recipe(*environments: str, instead_of: tuple[str, ...] = ("/usr/bin/python3.11",)) -> Recipe:
    return Recipe(
        python="3.11.2",
        requirements="",
        hashed=False,
        unhashed=(),
        environments=environments,
        instead_of=frozenset(instead_of),
        sites=(),
    )


def obstacles(bundle: Bundle, *found: str, environments: dict[str, str] | None = None, **more: Any) -> list[str]:
    asked: list[tuple[str, str]] = []

    def find(name: str, path: str) -> str | None:
        asked.append((name, path))
        return name if name in found else None

    told = [*program_obstacles(bundle, {"PATH": "/today/bin"}, environments or {}, find, **more)]
    assert {path for _, path in asked} <= {"/today/bin"}
    return told


# --- variables


def test_here_what_leads_to_programs_is_todays_and_the_rest_recorded() -> None:
    bundle = recorded(PATH="/old/bin", LANG="C", JAVA_HOME="/old/java", REENACT_STORE="/s", _="/usr/bin/reenact")
    today = {"PATH": "/today/bin", "LANG": "de_DE", "LD_LIBRARY_PATH": "/today/lib", "OTHER": "x"}
    assert here_variables(bundle, today) == {"PATH": "/today/bin", "LANG": "C", "LD_LIBRARY_PATH": "/today/lib"}


def test_names_and_values_that_are_no_text_are_given_as_bytes() -> None:
    assert here_variables(recorded(**{"A\\xff": "\\\\"}), {}) == {"A\udcff": "\\"}


def test_rebuilt_programs_come_first() -> None:
    bundle = recorded(PATH="/usr/bin", VIRTUAL_ENV=VENV, PYTHONHOME="/old", LANG="C", REENACT_X="1", _="x")
    assert rebuilt_variables(bundle, PREFIX) == {"PATH": f"{PREFIX}/bin:/usr/bin", "VIRTUAL_ENV": PREFIX, "LANG": "C"}


def test_without_a_path_there_is_the_systems() -> None:
    made = rebuilt_variables(recorded(), PREFIX)
    assert made["PATH"].startswith(f"{PREFIX}/bin:/")
    assert "VIRTUAL_ENV" not in made


# --- the program


def real(links: dict[str, str]) -> Any:
    return lambda path: links.get(path, path)


@pytest.mark.parametrize(
    ("argv0", "executable", "rebuilt"),
    [
        ("/usr/bin/python3.11", None, True),
        ("/usr/bin/python3", None, True),
        ("/opt/python", "/usr/bin/python3.11", True),
        ("/usr/bin/python3.9", None, False),
        ("python3", "/usr/bin/python3.11", False),
        ("/usr/bin/env", "/usr/bin/python3.11", False),
        (f"{VENV}/bin/python", "/usr/bin/python3.11", False),
    ],
)
def test_an_interpreter_started_by_its_path_is_replaced(argv0: str, executable: str | None, rebuilt: bool) -> None:
    links = real({"/usr/bin/python3": "/usr/bin/python3.11"})
    found = rebuilt_program(recorded(argv0, executable=executable), recipe(VENV), PREFIX, links)
    assert found == (f"{PREFIX}/bin/python" if rebuilt else "")


def test_a_program_that_is_there_is_no_obstacle() -> None:
    assert obstacles(recorded("sort"), "sort") == []
    assert obstacles(recorded("/usr/bin/sort"), "/usr/bin/sort") == []


def test_a_program_that_is_not_there_is_named() -> None:
    assert obstacles(recorded("dbt")) == ["the program dbt is not on this machine"]
    assert obstacles(recorded("/opt/dbt/bin/dbt"), "dbt") == ["the program /opt/dbt/bin/dbt is not on this machine"]


@pytest.mark.parametrize(
    ("argv0", "cwd"), [("./job.sh", ROOT), ("../job.sh", f"{ROOT}/tools"), (f"{ROOT}/tools/x", "/"), ("tools/x", ROOT)]
)
def test_a_program_of_the_jobs_own_is_laid_out(argv0: str, cwd: str) -> None:
    assert obstacles(recorded(argv0, cwd=cwd)) == []


def test_a_relative_program_the_record_does_not_have_is_named_by_its_path() -> None:
    assert obstacles(recorded("./other.sh")) == [f"the program {ROOT}/other.sh is not on this machine"]


def test_a_program_of_an_environment_is_looked_for_in_the_one_in_its_place() -> None:
    environments = {VENV: PREFIX}
    bundle = recorded(".venv/bin/dbt")
    assert obstacles(bundle, f"{PREFIX}/bin/dbt", environments=environments) == []
    assert obstacles(bundle, f"{VENV}/bin/dbt", environments=environments) == [
        f"the program {PREFIX}/bin/dbt is not on this machine"
    ]
    assert obstacles(bundle, environments=environments, planned=True) == []


@pytest.mark.parametrize("argv0", ["python", "python3", "python3.11", "/usr/bin/python3"])
def test_python_will_be_there_once_it_is_built(argv0: str) -> None:
    assert obstacles(recorded(argv0), planned=True) == []
    assert obstacles(recorded(argv0)) != []


def test_what_is_only_called_like_python_will_not() -> None:
    assert obstacles(recorded("pythonista"), planned=True) != []
