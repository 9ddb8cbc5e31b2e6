"""Building a recorded Python environment again, with uv: the interpreter of the recorded version, the packages of the lock.

uv is run as a program, with the caller's own settings for it (UV_OFFLINE, UV_INDEX, its cache). Nothing of the job is executed;
building a package that an index has only as source executes that package's own build, as any installer does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reenact.digests import of_descriptor
from reenact.errors import UnreplayableError
from reenact.model.environment import Manifest
from reenact.model.paths import from_text
from reenact.replay.ownership import is_inside
from reenact.replay.recipe import Recipe

__all__ = ["altered_files", "build", "find_python", "find_uv"]

_ACTIVE: Final = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH")
"""Variables of an environment that happens to be active, which uv would take for the one that is meant."""
_LAST_LINES: Final = 6
_INSTALLERS_OWN: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
"""Files of a ``.dist-info`` that say how and by what a package was installed; no two installers write them alike."""
_MOST_NAMED: Final = 5
_UMASK: Final = 0o022


def find_uv(variables: Mapping[str, str]) -> str | None:
    """Find uv: on PATH, else beside the interpreter this program runs with."""
    return shutil.which("uv", path=variables.get("PATH", os.defpath)) or shutil.which(
        "uv", path=os.path.dirname(sys.executable)
    )


def find_python(uv: str, version: str, variables: Mapping[str, str]) -> str | None:
    """Find an interpreter of exactly this version on this machine; none is downloaded."""
    words = [uv, "python", "find", "--no-project", "--system", "--no-python-downloads", f"=={version}"]
    done = _run(words, variables, "/")
    path = done.stdout.strip()
    return path if done.returncode == 0 and path else None


def build(recipe: Recipe, prefix: str, *, uv: str, python: str, variables: Mapping[str, str]) -> None:
    """Build the environment.

    Args:
        recipe: What is wanted.
        prefix: Where; the folder is made, and the one it is in must be there.
        uv: The program.
        python: The interpreter, as :func:`find_python` gave it.
        variables: Those uv is given.

    Raises:
        UnreplayableError: uv could not; its own words are in the message.
    """
    above = os.path.dirname(prefix)
    _check([uv, "venv", "--quiet", "--no-project", "--python", python, prefix], variables, above)
    if not recipe.requirements:
        return
    lock = f"{prefix}/reenact.lock.txt"
    with open(lock, "w", encoding="utf-8") as file:
        file.write(recipe.requirements)
    # Only what the run read is in the lock, so nothing that it requires besides is wanted. Copies, because a job that writes
    # into its packages would change uv's cache through a link.
    words = [uv, "pip", "install", "--quiet", "--no-deps", "--link-mode=copy", "--python", f"{prefix}/bin/python"]
    words += ["--require-hashes"] if recipe.hashed else []
    _check([*words, "-r", lock], variables, above)


def _run(words: Sequence[str], variables: Mapping[str, str], folder: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in variables.items() if name not in _ACTIVE}
    return subprocess.run(
        words,
        cwd=folder,
        env={**given, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        umask=_UMASK,
    )


def _check(words: Sequence[str], variables: Mapping[str, str], folder: str) -> None:
    done = _run(words, variables, folder)
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = " ".join(said[-_LAST_LINES:]) or f"exit status {done.returncode}"
        raise UnreplayableError(
            f"uv cannot rebuild the environment ({' '.join(words[1:3])}): {reason}",
            hint="packages can come from an index, a folder (UV_FIND_LINKS) or uv's cache",
        )


def altered_files(recipe: Recipe, manifest: Manifest | None, prefix: str) -> tuple[list[str], int]:
    """Compare the package files a run read with those that were built, by content.

    Compiled files, and what installers write about themselves, are left out.

    Returns:
        What is not the same, in words, the first few by name; and how many files were compared. A record whose environment
        was not sealed has none to compare.
    """
    altered, compared = [], 0
    for path, digest in _package_files(recipe, manifest):
        compared += 1
        site = next(site for site in recipe.sites if is_inside(path, site))
        name = path[len(site) + 1 :]
        now = _digest(f"{_site_packages(prefix)}/{name}")
        if now != digest:
            altered.append(f"package file {name}: " + ("not there" if now is None else "not the recorded bytes"))
    named = altered[:_MOST_NAMED]
    if len(altered) > _MOST_NAMED:
        named.append(f"{len(altered)} of {compared} package files: not the recorded bytes")
    return named, compared


def _package_files(recipe: Recipe, manifest: Manifest | None) -> Iterator[tuple[str, str]]:
    for entry in manifest.entries if manifest is not None else ():
        path = from_text(entry.path)
        if entry.type != "file" or entry.digest is None or not any(is_inside(path, site) for site in recipe.sites):
            continue
        folder, _, name = path.rpartition("/")
        own = folder.endswith(".dist-info") and name in _INSTALLERS_OWN
        at_top = folder in recipe.sites and (name.endswith(".pth") or name.startswith("_virtualenv"))
        if not own and not at_top and not name.endswith(".pyc"):
            yield path, entry.digest


def _site_packages(prefix: str) -> str:
    library = f"{prefix}/lib"
    found = next((name for name in sorted(os.listdir(library)) if name.startswith("python")), "python")
    return f"{library}/{found}/site-packages"


def _digest(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return of_descriptor(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
