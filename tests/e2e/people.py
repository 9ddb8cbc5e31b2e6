"""Who records: the person who runs the tests and, when that is root, an ordinary user as well.

An ordinary user often cannot reach the interpreter root runs the tests with (it lies in root's home). Then the installed
packages are copied to a place everybody can read, for an interpreter of the same version that everybody can run.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

import reenact

__all__ = ["ME", "ORDINARY", "Person", "everybodys_python", "me", "ordinary_user"]

ME: Final = "root" if os.geteuid() == 0 else "me"
ORDINARY: Final = "user"
_PROJECT: Final = Path(__file__).parents[2]
_PACKAGE: Final = Path(reenact.__file__).parent
_VERSION: Final = sys.version_info[:2]
_PYTHONS: Final = (
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    f"/usr/bin/python{_VERSION[0]}.{_VERSION[1]}",
    f"/usr/local/bin/python{_VERSION[0]}.{_VERSION[1]}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account, the ``reenact`` command it can run, and an interpreter for its jobs."""

    name: str
    uid: int
    gid: int
    reenact: str
    python: str

    def process_options(self) -> dict[str, Any]:
        """Give the arguments that make :class:`subprocess.Popen` start a process as this person."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def me(place: Path) -> Person:
    """Describe the person who runs the tests; `place` takes a launcher where reenact is not installed."""
    account = _account(os.geteuid())
    installed = Path(sys.executable).with_name("reenact")
    if installed.exists() and _PACKAGE.parent == Path(sysconfig.get_path("purelib")):
        command = str(installed)
    else:
        command = _launcher(place / "reenact-here", sys.executable, _PACKAGE.parent)
    return Person(
        name=account[0], uid=os.geteuid(), gid=os.getegid(), reenact=command, python=os.path.realpath(sys.executable)
    )


def ordinary_user(place: Path) -> Person | str:
    """Describe an ordinary user with a working command under `place`; a text says why there is none."""
    name, uid, gid = _other_account()
    for candidate in _PYTHONS:
        python = os.path.realpath(candidate)
        person = Person(name=name, uid=uid, gid=gid, reenact="", python=python)
        if _version_for(person) == _VERSION:
            site = place / "site"
            _copy_installed(site)
            command = _launcher(place / "reenact-everybody", python, site)
            return Person(name=name, uid=uid, gid=gid, reenact=command, python=python)
    return f"no Python {_VERSION[0]}.{_VERSION[1]} that an ordinary user can run: looked for {', '.join(_PYTHONS)}"


def everybodys_python() -> str | None:
    """Find an interpreter, 3.11 or newer, that every account can run; for environments both root and the user work with."""
    if os.geteuid() != 0:
        return os.path.realpath(sys.executable)
    name, uid, gid = _other_account()
    for python in dict.fromkeys(os.path.realpath(candidate) for candidate in _PYTHONS):
        version = _version_for(Person(name=name, uid=uid, gid=gid, reenact="", python=python))
        if version is not None and version >= (3, 11):
            return python
    return None


def _account(uid: int) -> tuple[str, int, int]:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return f"u{uid}", uid, os.getegid()
    return entry.pw_name, entry.pw_uid, entry.pw_gid


def _other_account() -> tuple[str, int, int]:
    """Take the first ordinary account, else `nobody`: programs such as Spark insist on an entry in the password file."""
    ordinary = [entry for entry in pwd.getpwall() if 1000 <= entry.pw_uid < 60000]
    entry = min(ordinary, key=lambda entry: entry.pw_uid) if ordinary else pwd.getpwnam("nobody")
    return entry.pw_name, entry.pw_uid, entry.pw_gid


def _version_for(person: Person) -> tuple[int, ...] | None:
    script = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [person.python, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            **person.process_options(),
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in done.stdout.split())


def _launcher(path: Path, python: str, site: Path) -> str:
    lines = [
        f"#!{python}",
        "import sys",
        f"sys.path.insert(0, {str(site)!r})",
        "from reenact.cli.main import main",
        "sys.exit(main())",
    ]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return str(path)


def _copy_installed(site: Path) -> None:
    """Copy the package and what it needs, with their compiled files: the user may not write them."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PACKAGE, site / "reenact", ignore=ignore)
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]
    # Of the extras those for stores; the others are for one's own desk.
    extras = project["optional-dependencies"]
    for distribution in _with_needs([*project["dependencies"], *extras["encryption"], *extras["s3"]]):
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
    compileall.compile_dir(site, quiet=1)
    for path in [site, *site.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else path.stat().st_mode | 0o444)


def _with_needs(requirements: list[str]) -> Iterator[importlib.metadata.Distribution]:
    waiting, seen = list(requirements), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        marker = requirement.marker
        if requirement.name in seen or (marker is not None and not marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        distribution = importlib.metadata.distribution(requirement.name)
        waiting += distribution.requires or []
        yield distribution
