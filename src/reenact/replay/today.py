"""What a job replayed in a fresh folder is given of this machine: its programs and the variables that lead to them. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reenact.model.bundle import Bundle
from reenact.model.paths import from_text
from reenact.replay.fresh import known_paths
from reenact.replay.ownership import is_inside
from reenact.replay.recipe import Recipe

__all__ = ["here_variables", "program_obstacles", "rebuilt_program", "rebuilt_variables"]

_OF_THE_MACHINE: Final = (
    "PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "NODE_PATH",
    "JAVA_HOME",
    "R_HOME",
)
"""Variables that say where an environment is: on the rung ``here`` they are today's."""
_PYTHON: Final = re.compile(r"python[0-9.]*")
_OURS: Final = "REENACT_"
"""Our own variables say where a store is; they were for the recording."""


def _recorded(bundle: Bundle) -> dict[str, str]:
    variables = bundle.environment.variables.items()
    given = {from_text(name): from_text(value) for name, value in variables if not name.startswith(_OURS)}
    given.pop("_", None)  # the path of the program that was started first: a shell sets it anew
    return given


def here_variables(bundle: Bundle, today: Mapping[str, str]) -> dict[str, str]:
    """Give the recorded variables, with those that lead to programs and libraries as they are today."""
    given = {name: value for name, value in _recorded(bundle).items() if name not in _OF_THE_MACHINE}
    return given | {name: today[name] for name in _OF_THE_MACHINE if name in today}


def rebuilt_variables(bundle: Bundle, prefix: str) -> dict[str, str]:
    """Give the recorded variables, with the rebuilt environment first on PATH."""
    given = _recorded(bundle)
    given["PATH"] = f"{prefix}/bin:{given.get('PATH', os.defpath)}"
    if "VIRTUAL_ENV" in given:
        given["VIRTUAL_ENV"] = prefix
    given.pop("PYTHONHOME", None)
    return given


def rebuilt_program(bundle: Bundle, recipe: Recipe, prefix: str, real: Callable[[str], str]) -> str:
    """Give the rebuilt interpreter where the job was started with the recorded one by its path; else nothing.

    Args:
        bundle: The record.
        recipe: What takes the place of what.
        prefix: Of the rebuilt environment.
        real: Resolves links, on this machine: ``/usr/bin/python3`` is a link to what is recorded.
    """
    first = from_text(bundle.launch.argv[0])
    if (
        not first.startswith("/")
        or not _is_python(first)
        or any(is_inside(first, environment) for environment in recipe.environments)
    ):
        return ""
    same = first in recipe.instead_of or from_text(bundle.launch.executable or "") in recipe.instead_of
    return f"{prefix}/bin/python" if same or real(first) in recipe.instead_of else ""


def _is_python(program: str) -> bool:
    return _PYTHON.fullmatch(program.rpartition("/")[2]) is not None


def program_obstacles(
    bundle: Bundle,
    variables: Mapping[str, str],
    environments: Mapping[str, str],
    find: Callable[[str, str], str | None],
    *,
    planned: bool = False,
) -> Iterator[str]:
    """Say so when the command's own program cannot be had.

    Args:
        bundle: The record.
        variables: What the job is given.
        environments: Recorded environment to the one used in its place.
        find: Finds a program by its name or path, on a PATH.
        planned: The environment in their place is still to be built: Python and what lies in it will be there.
    """
    first = from_text(bundle.launch.argv[0])
    path = os.path.normpath(os.path.join(from_text(bundle.launch.cwd), first)) if "/" in first else ""
    for recorded, used in environments.items():
        if path and is_inside(path, recorded):
            if planned:
                return
            path = used + path[len(recorded) :]
            break
    else:
        if path in known_paths(bundle):
            return  # it is laid out
    if planned and _is_python(first):
        return
    if find(path or first, variables.get("PATH", os.defpath)) is None:
        yield f"the program {path or first} is not on this machine"
