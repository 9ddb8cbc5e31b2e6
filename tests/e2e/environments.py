"""Python environments for jobs: built once from pinned, hashed requirements, kept in a cache, given out as throw-away copies.

The cache is ``$REENACT_TEST_CACHE``; without it, a folder every account can reach when root runs the tests, else one in the
user's own cache. A copy shares its files with the cache by hard links, so that it costs milliseconds and a test may delete it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["UnavailableError", "built", "throw_away"]

_REQUIREMENTS: Final = Path(__file__).parent / "requirements"


class UnavailableError(Exception):
    """An environment cannot be built here; the message says why."""


def built(name: str, python: str) -> Path:
    """Give the cached environment of ``requirements/<name>.txt`` for an interpreter; build it when it is not there.

    Raises:
        UnavailableError: pip could not install it.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    key = hashlib.sha256(requirements.read_bytes() + python.encode()).hexdigest()[:12]
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"{name}-{key}"
    with (cache / f"{name}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            _build(place, python, requirements)
            (place / "complete").touch()
    return place


def throw_away(environment: Path, place: Path) -> Path:
    """Copy an environment to `place`, which must not exist; by hard links where the file system allows."""

    def copy(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    shutil.copytree(environment, place, copy_function=copy, symlinks=True)
    place.chmod(0o755)
    return place


def _cache() -> Path:
    if given := os.environ.get("REENACT_TEST_CACHE"):
        return Path(given)
    return Path("/var/cache/reenact-tests") if os.geteuid() == 0 else Path.home() / ".cache" / "reenact-tests"


def _build(place: Path, python: str, requirements: Path) -> None:
    umask = os.umask(0o022)
    try:
        # Without pip inside: Debian's Python needs one more package for that, and a job has no use for it.
        subprocess.run([python, "-m", "venv", "--without-pip", place], check=True, capture_output=True, text=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(place / "bin" / "python")]
        install = [*pip, "install", "--quiet", "--require-hashes", "--no-warn-script-location", "-r", str(requirements)]
        subprocess.run(install, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(place, ignore_errors=True)
        lines = (error.stderr or "").strip().splitlines()
        raise UnavailableError(f"{requirements.name} cannot be installed: {lines[-1] if lines else error}") from error
    finally:
        os.umask(umask)
