"""Which runtimes a run executed, and how their versions are found."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reenact.capture import interpreters
from reenact.digests import Digest, of_bytes
from reenact.model.environment import Interpreter

CAUSE = "environment.interpreters[{}].version"


def program(path: Path, body: str = "") -> dict[str, Digest | None]:
    """Put a program there; it is the system's shell, called by another name, unless a body makes it a script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if body:
        path.write_text(body)
    else:
        shutil.copy(os.path.realpath("/bin/sh"), path)
    path.chmod(0o755)
    return {str(path): of_bytes(path.read_bytes())}


def found(programs: dict[str, Digest | None], cache: Path) -> tuple[Interpreter, dict[str, str]]:
    (one,), causes = interpreters.find(programs, str(cache))
    return one, causes


@pytest.mark.parametrize(
    ("name", "place", "text", "version"),
    [
        ("python3.99", "include/python3.99/patchlevel.h", '#define PY_VERSION              "3.99.7rc1"\n', "3.99.7rc1"),
        ("python", "pyvenv.cfg", "home = /x\nversion = 3.11.7\n", "3.11.7"),
        ("python", "pyvenv.cfg", "home = /x\nversion_info = 3.12.1.final.0\n", "3.12.1.final.0"),
        (
            "node",
            "include/node/node_version.h",
            "#define NODE_MAJOR_VERSION 20\n#define NODE_MINOR_VERSION 3\n#define NODE_PATCH_VERSION 12\n",
            "20.3.12",
        ),
        ("java", "release", 'IMPLEMENTOR="X"\nJAVA_RUNTIME_VERSION="17.0.15+6"\nJAVA_VERSION="17.0.15"\n', "17.0.15"),
        ("Rscript", "lib/R/library/base/DESCRIPTION", "Package: base\nVersion: 4.2.2\n", "4.2.2"),
        ("go", "VERSION", "go1.22.1\ntime 2024\n", "1.22.1"),
    ],
)
def test_files_beside_a_program_tell_without_running_it(
    name: str, place: str, text: str, version: str, tmp_path: Path
) -> None:
    programs = program(tmp_path / "prefix/bin" / name)
    (tmp_path / "prefix" / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "prefix" / place).write_text(text)
    one, causes = found(programs, tmp_path / "cache")
    assert (one.version, causes) == (version, {})
    assert (one.path, one.digest) == next(iter(programs.items()))


def real(name: str) -> str | None:
    found = shutil.which(name)
    path = os.path.realpath(found) if found else None
    return path if path and Path(path).read_bytes()[:4] == b"\x7fELF" else None


@pytest.mark.parametrize(
    "name", ["bash", "perl", "node", "java", "mawk", "gawk", "ruby", "php", "busybox", "zsh", "lua5.4"]
)
def test_a_runtime_that_is_here_tells_its_version(name: str, tmp_path: Path) -> None:
    path = real(name)
    if path is None:
        pytest.skip(f"no {name} here")
    one, causes = found({path: None}, tmp_path)
    assert causes == {}
    options = {"java": ["-version"], "mawk": ["-W", "version"], "lua5.4": ["-v"], "busybox": ["--help"]}.get(
        name, ["--version"]
    )
    said = subprocess.run([path, *options], capture_output=True, text=True, check=False)
    assert one.version is not None
    assert re.match(r"\d+\.\d+", one.version)
    assert one.version in said.stdout + said.stderr


def test_this_python_is_known(tmp_path: Path) -> None:
    one, causes = found({os.path.realpath(sys.executable): None}, tmp_path)
    assert (one.name, one.version, causes) == ("python", platform.python_version(), {})


def test_other_programs_and_shims_are_no_runtimes(tmp_path: Path) -> None:
    programs = {
        **program(tmp_path / "bin/python", "#!/bin/sh\nexec /opt/python\n"),
        **program(tmp_path / "bin/pythonic-tool"),
    }
    assert interpreters.find({**programs, "/usr/bin/env": None}, str(tmp_path)) == ((), {})


def test_an_answer_is_kept_under_the_programs_digest(tmp_path: Path) -> None:
    programs = program(tmp_path / "bin/go")
    (tmp_path / "VERSION").write_text("go1.22.1\n")
    cache = tmp_path / "cache"
    assert found(programs, cache)[0].version == "1.22.1"
    (tmp_path / "VERSION").unlink()
    os.unlink(tmp_path / "bin/go")
    assert found(programs, cache)[0].version == "1.22.1"
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for place in range(len(whole)):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert found(programs, cache)[0].version is None


def test_what_is_not_any_more_what_was_executed_is_not_asked(tmp_path: Path) -> None:
    (path,) = program(tmp_path / "bin/go")
    (tmp_path / "VERSION").write_text("go1.22.1\n")
    one, causes = found({path: of_bytes(b"other")}, tmp_path / "cache")
    assert (one.version, one.digest) == (None, of_bytes(b"other"))
    assert causes == {CAUSE.format(path): "what is there now is not what was executed"}
    assert found({"/gone/bin/perl": of_bytes(b"")}, tmp_path)[0].version is None


def test_a_program_that_does_not_tell_is_none_with_the_cause(tmp_path: Path) -> None:
    """The system's shell, called perl, takes --version for an illegal option or tells a version in another form."""
    (path,) = program(tmp_path / "bin/perl")
    _, causes = found({path: None}, tmp_path)
    assert "holds no version" in causes[CAUSE.format(path)]
    os.chmod(path, 0o644)
    _, causes = found({path: None}, tmp_path)
    assert causes[CAUSE.format(path)].startswith("it cannot be asked")


def test_a_runtime_that_never_tells_has_its_packages_version(tmp_path: Path) -> None:
    programs = program(tmp_path / "bin/dash")
    (one,), causes = interpreters.find(
        programs, str(tmp_path), lambda path: "0.5.12-2" if path.endswith("/dash") else None
    )
    assert (one.name, one.version, causes) == ("dash", "0.5.12-2", {})
    _, causes = found(programs, tmp_path)
    assert causes == {CAUSE.format(next(iter(programs))): "dash does not tell its version"}


def test_runtimes_are_sorted_by_name_and_path(tmp_path: Path) -> None:
    paths: dict[str, Digest | None] = {"/z/perl": None, "/a/perl": None, "/m/bash": None}
    runtimes, causes = interpreters.find(paths, str(tmp_path))
    assert [(one.name, one.path) for one in runtimes] == [("bash", "/m/bash"), ("perl", "/a/perl"), ("perl", "/z/perl")]
    assert len(causes) == 3
