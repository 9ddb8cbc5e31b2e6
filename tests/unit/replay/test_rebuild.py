"""Building a Python environment again with uv, and telling what in it is not what was recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.errors import UnreplayableError
from reenact.model.environment import MANIFEST_FORMAT, Manifest
from reenact.replay.rebuild import altered_files, build, find_python, find_uv
from reenact.replay.recipe import Recipe
from tests.worlds import entry

SITE = "/work/job/.venv/lib/python3.11/site-packages"
VERSION = ".".join(map(str, sys.version_info[:3]))


def recipe(requirements: str = "", *, hashed: bool = False) -> Recipe:
    return Recipe(
        python=VERSION,
        requirements=requirements,
        hashed=hashed,
        unhashed=(),
        environments=("/work/job/.venv",),
        instead_of=frozenset(),
        sites=(SITE,),
    )


@pytest.fixture
def uv() -> str:
    found = find_uv(os.environ)
    if found is None:
        pytest.skip("uv is not installed")
    return found


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """No index, no cache, no network: packages come from one folder."""
    (tmp_path / "wheels").mkdir()
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_NO_CACHE": "1",
        "UV_FIND_LINKS": str(tmp_path / "wheels"),
        "UV_NO_CONFIG": "1",
    }


def wheel(folder: Path, code: bytes) -> bytes:
    """Publish the package ``tiny``; give the archive."""
    path = folder / "wheels" / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", code)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path.read_bytes()


# --- finding


def test_uv_on_the_path_comes_before_the_one_beside_us(tmp_path: Path) -> None:
    mine = tmp_path / "uv"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    assert find_uv({"PATH": str(tmp_path)}) == str(mine)
    beside = shutil.which("uv", path=os.path.dirname(sys.executable))
    assert find_uv({"PATH": "/nowhere"}) == beside


def test_only_exactly_the_recorded_python_is_found(uv: str, variables: dict[str, str]) -> None:
    system = {**variables, "PATH": f"{os.path.dirname(os.path.realpath(sys.executable))}:{variables['PATH']}"}
    found = find_python(uv, VERSION, system)
    if found is None:
        pytest.skip("uv does not take this Python for one of the machine's")
    said = subprocess.run([found, "-V"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1].startswith(VERSION)
    assert find_python(uv, "3.11.99", system) is None


# --- building


def test_an_environment_without_packages_is_an_interpreter(uv: str, variables: dict[str, str], tmp_path: Path) -> None:
    prefix = tmp_path / "environment"
    build(recipe(), str(prefix), uv=uv, python=sys.executable, variables=variables)
    said = subprocess.run(
        [prefix / "bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, check=True
    )
    assert said.stdout.decode().strip() == os.path.realpath(prefix)
    assert not list(prefix.glob("lib/python*/site-packages/*.dist-info"))


def test_the_lock_is_installed_whatever_environment_is_active(
    uv: str, variables: dict[str, str], tmp_path: Path
) -> None:
    content = wheel(tmp_path, b"VALUE = 1\n")
    prefix = tmp_path / "environment"
    active = {**variables, "VIRTUAL_ENV": str(tmp_path / "other"), "PYTHONHOME": "/nowhere", "CONDA_PREFIX": "/nowhere"}
    lock = f"tiny==1.0 --hash={of_bytes(content)}\n"
    build(recipe(lock, hashed=True), str(prefix), uv=uv, python=sys.executable, variables=active)
    said = subprocess.run(
        [prefix / "bin/python", "-c", "import tiny; print(tiny.VALUE)"], capture_output=True, check=True
    )
    assert said.stdout == b"1\n"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("lock", "hashed"), [("tiny==2.0\n", False), ("tiny==1.0 --hash=sha256:" + "0" * 64, True)])
def test_what_cannot_be_had_is_said_in_uvs_words(
    uv: str, variables: dict[str, str], tmp_path: Path, lock: str, hashed: bool
) -> None:
    wheel(tmp_path, b"VALUE = 1\n")
    with pytest.raises(UnreplayableError, match=r"uv cannot rebuild the environment \(pip install\): .*tiny"):
        build(
            recipe(lock, hashed=hashed),
            str(tmp_path / "environment"),
            uv=uv,
            python=sys.executable,
            variables=variables,
        )


def test_an_interpreter_that_is_none_is_said_in_uvs_words(uv: str, variables: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UnreplayableError, match=r"\(venv"):
        build(recipe(), str(tmp_path / "environment"), uv=uv, python="/bin/true", variables=variables)


def test_a_program_that_fails_without_a_word_is_named_by_its_status(tmp_path: Path) -> None:
    silent = tmp_path / "uv"
    silent.write_text("#!/bin/sh\nexit 7\n")
    silent.chmod(0o755)
    with pytest.raises(UnreplayableError, match="exit status 7"):
        build(recipe(), str(tmp_path / "environment"), uv=str(silent), python="x", variables={"PATH": "/bin:/usr/bin"})


# --- telling what is not the same


def built(folder: Path, **files: bytes) -> str:
    """Make a rebuilt environment with modules at the top."""
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for name, content in files.items():
        path = site / f"{name}.py"
        path.write_bytes(content)
    return str(folder)


def recorded(*files: tuple[str, bytes | None]) -> Manifest:
    entries = [
        entry(path if path.startswith("/") else f"{SITE}/{path}", digest=None if data is None else of_bytes(data))
        for path, data in files
    ]
    return Manifest(format=MANIFEST_FORMAT, entries=tuple(entries))


def test_equal_files_are_not_named(tmp_path: Path) -> None:
    assert altered_files(recipe(), recorded(("a.py", b"a"), ("b.py", b"b")), built(tmp_path, a=b"a", b=b"b")) == ([], 2)


def test_other_bytes_and_missing_files_are_named(tmp_path: Path) -> None:
    listed = recorded(("a.py", b"a"), ("gone.py", b"x"), ("sub/c.py", b"c"))
    assert altered_files(recipe(), listed, built(tmp_path, a=b"other")) == (
        [
            "package file a.py: not the recorded bytes",
            "package file gone.py: not there",
            "package file sub/c.py: not there",
        ],
        3,
    )


def test_a_folder_in_the_place_of_a_file_is_not_the_recorded_bytes(tmp_path: Path) -> None:
    prefix = built(tmp_path)
    (tmp_path / "lib/python3.11/site-packages/a.py").mkdir()
    assert altered_files(recipe(), recorded(("a.py", b"a")), prefix)[0] != []


def test_of_many_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    listed = recorded(*((f"m{n}.py", b"x") for n in range(8)))
    told, compared = altered_files(recipe(), listed, built(tmp_path))
    assert compared == 8
    assert len(told) == 6
    assert told[-1] == "8 of 8 package files: not the recorded bytes"


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/a.cpython-311.pyc",
        "tiny-1.0.dist-info/RECORD",
        "tiny-1.0.dist-info/INSTALLER",
        "_virtualenv.py",
        "distutils-precedence.pth",
        "/usr/lib/python3.11/os.py",
    ],
)
def test_what_installers_and_interpreters_write_themselves_is_left_out(tmp_path: Path, name: str) -> None:
    assert altered_files(recipe(), recorded((name, b"x")), built(tmp_path)) == ([], 0)


@pytest.mark.parametrize("name", ["tiny-1.0.dist-info/METADATA", "sub/x.pth", "RECORD", "sub/_virtualenv.py"])
def test_what_only_looks_like_that_is_compared(tmp_path: Path, name: str) -> None:
    assert altered_files(recipe(), recorded((name, b"x")), built(tmp_path))[1] == 1


def test_where_no_bytes_were_kept_nothing_is_compared(tmp_path: Path) -> None:
    assert altered_files(recipe(), None, built(tmp_path)) == ([], 0)
    assert altered_files(recipe(), recorded(("a.py", None)), built(tmp_path / "b")) == ([], 0)
