"""The language runtimes a run executed, with their versions: read from files beside them, else asked, once for each program.

A version is asked for (``PROGRAM --version``) only of a program whose bytes are still those that were executed, with a clean
environment and a time limit; the answer is kept under the program's digest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from reenact.capture import derived
from reenact.capture.child import Child
from reenact.digests import Digest, of_descriptor
from reenact.model.environment import Interpreter
from reenact.model.paths import to_text

__all__ = ["find"]

_SECONDS: Final = 5.0
_CACHE_NAME: Final = "interpreter-versions"
_ELF: Final = b"\x7fELF"
_HEAD_BYTES: Final = 1 << 16


class _Runtime(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    program: str
    """Pattern of the program's file name."""
    files: tuple[tuple[str, str], ...] = ()
    """Files that tell the version, relative to the program's folder (``{0}`` is its name), and the pattern it is told in."""
    arguments: tuple[str, ...] = ()
    """What makes it tell its version; empty where nothing does."""
    answer: str = r"(\d+(?:\.\d+)+[\w.+-]*)"


_NODE_HEADER: Final = r"(?s)NODE_MAJOR_VERSION (\d+).*?NODE_MINOR_VERSION (\d+).*?NODE_PATCH_VERSION (\d+)"
_PYTHON_HEADER: Final = r'PY_VERSION\s+"([^"]+)"'
_R_LIBRARY: Final = r"(?m)^Version: (\S+)"

_RUNTIMES: Final = (
    _Runtime(
        name="python",
        program=r"python[0-9.]*[a-z]*",
        files=(
            ("../include/{0}/patchlevel.h", _PYTHON_HEADER),
            # A virtual environment whose interpreter is a copy; what it was made with is what it is.
            ("../pyvenv.cfg", r"(?m)^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+\S*)"),
        ),
        arguments=("--version",),
    ),
    _Runtime(name="pypy", program=r"pypy[0-9.]*", arguments=("--version",), answer=r"PyPy (\d+(?:\.\d+)+)"),
    _Runtime(
        name="node",
        program=r"node(?:js)?",
        files=(("../include/node/node_version.h", _NODE_HEADER),),
        arguments=("--version",),
    ),
    _Runtime(
        name="java", program=r"java", files=(("../release", r'(?m)^JAVA_VERSION="([^"]+)"'),), arguments=("-version",)
    ),
    # R is started by a script; the program it ends in lies two folders below its library.
    _Runtime(
        name="R",
        program=r"R|Rscript",
        files=(
            ("../../library/base/DESCRIPTION", _R_LIBRARY),
            ("../library/base/DESCRIPTION", _R_LIBRARY),
            ("../lib/R/library/base/DESCRIPTION", _R_LIBRARY),
        ),
    ),
    _Runtime(name="perl", program=r"perl[0-9.]*", arguments=("--version",), answer=r"\(v(\d+(?:\.\d+)+)\)"),
    _Runtime(name="ruby", program=r"ruby[0-9.]*", arguments=("--version",), answer=r"ruby (\d+(?:\.\d+)+\w*)"),
    _Runtime(name="php", program=r"php[0-9.]*", arguments=("--version",), answer=r"PHP (\d+(?:\.\d+)+)"),
    _Runtime(name="lua", program=r"lua[0-9.]*", arguments=("-v",)),
    _Runtime(name="julia", program=r"julia", arguments=("--version",)),
    _Runtime(name="deno", program=r"deno", arguments=("--version",)),
    _Runtime(name="bun", program=r"bun", arguments=("--version",)),
    _Runtime(name="go", program=r"go", files=(("../VERSION", r"\Ago(\S+)"),), arguments=("version",)),
    _Runtime(name="bash", program=r"bash", arguments=("--version",), answer=r"version (\S+)"),
    _Runtime(name="zsh", program=r"zsh[0-9.-]*", arguments=("--version",)),
    _Runtime(name="dash", program=r"dash"),
    _Runtime(name="busybox", program=r"busybox", arguments=("--help",), answer=r"BusyBox v(\S+)"),
    _Runtime(name="gawk", program=r"gawk[0-9.-]*", arguments=("--version",), answer=r"GNU Awk (\d+(?:\.\d+)+)"),
    _Runtime(name="mawk", program=r"mawk", arguments=("-W", "version"), answer=r"mawk (\S+(?: \d{8})?)"),
)


def _runtime(path: str) -> _Runtime | None:
    name = path.rpartition("/")[2]
    return next((runtime for runtime in _RUNTIMES if re.fullmatch(runtime.program, name)), None)


def find(
    programs: Mapping[str, Digest | None], cache: str, package_version: Callable[[str], str | None] = lambda _: None
) -> tuple[tuple[Interpreter, ...], dict[str, str]]:
    """Find the runtimes among executed programs; sorted by name and path.

    Args:
        programs: Canonical path to digest, None where the bytes are not known.
        cache: A folder for the versions found.
        package_version: Gives the version of the package that owns a path, for runtimes that do not tell their own.

    Returns:
        The runtimes, and the cause of every version that is None (``environment.interpreters[PATH].version``).
    """
    saved = derived.load(f"{cache}/{_CACHE_NAME}")
    known = msgspec.json.decode(saved, type=dict[str, str]) if saved is not None else {}
    learned: dict[str, str] = {}
    found: list[Interpreter] = []
    causes: dict[str, str] = {}
    for path, digest in sorted(programs.items()):
        runtime = _runtime(path)
        if runtime is None:
            continue
        version, cause = known.get(digest or ""), ""
        if version is None:
            head = _start(path)
            if head and not head.startswith(_ELF):
                continue  # A script that stands for a runtime (a version manager's shim) and starts it by itself.
            version, cause = _version(runtime, path, digest)
            if version is not None and digest is not None:
                learned[digest] = version
        if version is None and not runtime.arguments:
            version = package_version(path)
        found.append(Interpreter(name=runtime.name, version=version, path=to_text(path), digest=digest))
        if version is None:
            causes[f"environment.interpreters[{to_text(path)}].version"] = cause
    if learned:
        derived.save(f"{cache}/{_CACHE_NAME}", msgspec.json.encode({**known, **learned}))
    return tuple(sorted(found, key=lambda one: (one.name, one.path))), causes


def _start(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(len(_ELF))
    except OSError:
        return b""


def _version(runtime: _Runtime, path: str, digest: Digest | None) -> tuple[str | None, str]:
    """Tell a program's version, or None and why not."""
    if digest is not None and _digest(path) != digest:
        return None, "what is there now is not what was executed"
    folder, _, name = path.rpartition("/")
    for place, pattern in runtime.files:
        if match := re.search(pattern, _text(os.path.join(folder, place.format(name)))):
            return ".".join(match.groups()), ""
    if not runtime.arguments:
        return None, f"{runtime.name} does not tell its version"
    try:
        environment = {"PATH": os.defpath, "HOME": "/nonexistent", "LC_ALL": "C"}
        code, output, error = Child([path, *runtime.arguments], environment).result(_SECONDS)
    except OSError as failure:
        return None, f"it cannot be asked: {failure.strerror}"
    if code is None:
        return None, f"it did not tell within {_SECONDS:.0f} seconds"
    match = re.search(runtime.answer, f"{output[:_HEAD_BYTES].decode('utf-8', 'replace')}\n{error[:_HEAD_BYTES]}")
    return (match[1], "") if match else (None, f"its answer to {' '.join(runtime.arguments)} holds no version")


def _digest(path: str) -> Digest | None:
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


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
