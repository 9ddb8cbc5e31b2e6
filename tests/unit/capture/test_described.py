"""The environment in words: put together from its parts, and quick the second time without being wrong."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from reenact.capture import described, os_packages
from reenact.capture.described import describe
from reenact.digests import Digest, of_bytes
from reenact.model.bundle import Hazard
from reenact.model.environment import Environment

MANIFEST = of_bytes(b"manifest")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "venv/lib/python3.11/site-packages"
    folder.mkdir(parents=True)
    install(folder, "alpha", "1.0")
    return folder


def install(site: Path, name: str, version: str) -> None:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n\n")
    (info / "RECORD").write_text(f"{name}.py,sha256=x,1\n")
    (site / f"{name}.py").touch()


class Desk:
    """Calls `describe` again and again with little that differs."""

    def __init__(self, folder: Path, paths: list[str]) -> None:
        self.cache = folder / "cache"
        self.paths = paths
        self.programs: dict[str, Digest | None] = {}
        self.objects: list[bytes] = []
        self.mode = "sealed"
        self.variables = {"LANG": "C.UTF-8", "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "3"}

    def put(self, data: bytes) -> Digest:
        self.objects.append(data)
        return of_bytes(data)

    def describe(self, manifest: Digest | None = MANIFEST) -> tuple[Environment, list[Hazard], dict[str, str]]:
        return describe(
            variables=self.variables,
            redacted={"TOKEN": "hmac-sha256:00"},
            paths=self.paths,
            programs=self.programs,
            manifest=manifest,
            mode=self.mode,
            cache=str(self.cache),
            put=self.put,
        )

    def versions(self) -> list[str]:
        return [f"{d.name}=={d.version}" for d in self.describe()[0].distributions]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a cache that holds this machine's index of owners: making it takes most of a second."""
    folder = tmp_path_factory.mktemp("index")
    os_packages.find([], str(folder))
    return folder


@pytest.fixture
def desk(tmp_path: Path, site: Path, index: Path) -> Desk:
    shutil.copytree(index, tmp_path / "cache")
    return Desk(tmp_path, [f"{site}/alpha.py"])


def test_all_parts_are_there_and_what_is_none_has_its_cause(desk: Desk) -> None:
    desk.programs = {os.path.realpath(sys.executable): None}
    desk.variables["ODD"] = os.fsdecode(b"a\\b\xff")
    environment, hazards, causes = desk.describe()
    assert (environment.mode, environment.manifest, hazards) == ("sealed", MANIFEST, [])
    assert environment.system.kernel == os.uname().release
    assert [runtime.name for runtime in environment.interpreters] == ["python"]
    assert [(d.name, d.files_read) for d in environment.distributions] == [("alpha", 1)]
    assert environment.variables == {**desk.variables, "ODD": "a\\\\b\\xff"}
    assert environment.redacted == {"TOKEN": "hmac-sha256:00"}
    assert (environment.locale, environment.time_zone) == ("C.UTF-8", "Asia/Tokyo")
    assert environment.threads["OMP_NUM_THREADS"] == "3"
    assert (environment.lock, desk.objects) == (of_bytes(b"alpha==1.0\n"), [b"alpha==1.0\n"])
    for name in ("container", "os_packages", "manifest", "lock"):
        assert (getattr(environment, name) is None) == (f"environment.{name}" in causes), name


def test_without_a_python_package_there_is_no_lock(desk: Desk) -> None:
    desk.paths = []
    environment, _, causes = desk.describe(None)
    assert (environment.lock, environment.manifest, desk.objects) == (None, None, [])
    assert causes["environment.lock"] == "no package of Python was read"
    assert "not sealed" in causes["environment.manifest"]


def test_hazards_are_exact_only_when_the_environment_is_sealed(desk: Desk, site: Path) -> None:
    (site / "alpha-1.0.dist-info/RECORD").write_text("alpha.py,,\n")
    assert [(hazard.code, hazard.exact) for hazard in desk.describe()[1]] == [("package-unhashed", True)]
    desk.mode = "described"
    assert [(hazard.code, hazard.exact) for hazard in desk.describe()[1]] == [("package-unhashed", False)]


def test_the_second_time_the_answer_comes_from_the_cache(desk: Desk, site: Path) -> None:
    first = desk.describe()
    (site / "alpha-1.0.dist-info/METADATA").write_text("Name: alpha\nVersion: forged\n")
    assert desk.describe() == first


def test_installing_or_reading_something_else_is_noticed(desk: Desk, site: Path) -> None:
    assert desk.versions() == ["alpha==1.0"]
    before = site.stat()
    install(site, "beta", "2.0")
    os.utime(site, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    desk.paths = [f"{site}/alpha.py", f"{site}/beta.py"]
    assert desk.versions() == ["alpha==1.0", "beta==2.0"]
    (site / "alpha-1.0.dist-info").rename(site / "alpha-1.1.dist-info")
    (site / "alpha-1.1.dist-info/METADATA").write_text("Name: alpha\nVersion: 1.1\n")
    os.utime(site, ns=(before.st_atime_ns, before.st_mtime_ns + 2_000_000))
    assert desk.versions() == ["alpha==1.1", "beta==2.0"]


def test_another_manifest_or_program_is_another_answer(desk: Desk, site: Path) -> None:
    desk.versions()
    (site / "alpha-1.0.dist-info/METADATA").write_text("Name: alpha\nVersion: 9\n")
    assert [d.version for d in desk.describe(of_bytes(b"other"))[0].distributions] == ["9"]
    assert desk.versions() == ["alpha==1.0"]
    desk.programs = {"/bin/true": of_bytes(b"")}
    assert desk.versions() == ["alpha==9"]


def test_a_damaged_cache_is_no_statement(desk: Desk) -> None:
    expected = desk.describe()
    (kept,) = (desk.cache / "described").iterdir()
    whole = kept.read_bytes()
    for place in range(0, len(whole), 5):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert desk.describe() == expected
    kept.write_bytes(whole[:-1])
    assert desk.describe() == expected


def test_an_answer_that_could_not_be_had_is_asked_for_again(desk: Desk, tmp_path: Path) -> None:
    program = tmp_path / "bin/go"
    program.parent.mkdir()
    program.write_bytes(Path("/proc/self/exe").read_bytes()[:64])
    program.chmod(0o755)
    desk.programs = {str(program): None}
    key = f"environment.interpreters[{program}].version"
    assert key in desk.describe()[2]
    (tmp_path / "VERSION").write_text("go1.22\n")
    environment, _, causes = desk.describe()
    assert environment.interpreters[0].version == "1.22"
    assert key not in causes


def test_the_cache_keeps_the_newest_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "_MOST_KEPT", 3)
    for number in range(5):
        desk.describe(of_bytes(bytes([number])))
    assert len(list((desk.cache / "described").iterdir())) == 3


def test_a_cache_that_cannot_be_written_costs_time_only(desk: Desk) -> None:
    shutil.rmtree(desk.cache)
    desk.cache.write_text("a file is in the way")
    assert desk.versions() == ["alpha==1.0"]
