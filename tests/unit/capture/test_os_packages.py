"""Which operating-system packages own paths, from databases of each kind laid out as their package managers do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.capture import os_packages, owner_index
from reenact.model.environment import OsPackage

STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2-1
Architecture: amd64
Description: a shell
 Version: not this one

Package: dash
Status: install ok installed
Architecture: amd64
Version: 0.5-2

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: libc6
Status: hold ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
LISTS = {
    "bash": ["/.", "/bin", "/bin/bash", "/bin/sh", "/usr", "/usr/share", "/usr/share/bash-doc", "/usr/share/bash"],
    "dash": ["/.", "/bin", "/bin/dash", "/bin/sh"],
    "libc6:amd64": ["/lib", "/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/share/doc/libc6"],
    "libc6:i386": ["/lib", "/lib/i386-linux-gnu", "/lib/i386-linux-gnu/libc.so.6", "/usr/share/doc/libc6"],
    "removed": ["/etc/removed.conf"],
    "orphan": ["/usr/bin/orphan"],
}
BASH = OsPackage(name="bash", version="5.2-1", architecture="amd64")
DASH = OsPackage(name="dash", version="0.5-2", architecture="amd64")
LIBC = OsPackage(name="libc6", version="2.36-9", architecture="amd64")
LIBC32 = OsPackage(name="libc6", version="2.36-9", architecture="i386")


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    root = tmp_path / "debian"
    folder = root / "var/lib/dpkg"
    (folder / "info").mkdir(parents=True)
    (folder / "status").write_text(STATUS)
    (folder / "diversions").write_text("/bin/sh\n/bin/sh.distrib\ndash\n")
    for name, lines in LISTS.items():
        (folder / f"info/{name}.list").write_text("\n".join(lines) + "\n")
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/lib").mkdir()
    (root / "bin").symlink_to("usr/bin")
    (root / "lib").symlink_to("/usr/lib")
    return root


def owners(root: Path, cache: Path, *paths: str) -> list[OsPackage]:
    found, cause = os_packages.find(paths, str(cache), str(root))
    assert found is not None, cause
    return list(found)


def test_a_merged_usr_is_seen_through(debian: Path, tmp_path: Path) -> None:
    assert owners(debian, tmp_path, "/usr/bin/bash") == [BASH]
    assert owners(debian, tmp_path, "/usr/lib/x86_64-linux-gnu/libc.so.6") == [LIBC]
    assert owners(debian, tmp_path, "/usr/lib/i386-linux-gnu/libc.so.6", "/usr/bin/dash") == [DASH, LIBC32]


def test_without_a_merged_usr_paths_are_as_listed(debian: Path, tmp_path: Path) -> None:
    (debian / "bin").unlink()
    (debian / "bin").mkdir()
    assert owners(debian, tmp_path, "/bin/bash") == [BASH]
    assert owners(debian, tmp_path, "/usr/bin/bash") == []


def test_a_diverted_file_belongs_to_the_one_that_diverts(debian: Path, tmp_path: Path) -> None:
    assert owners(debian, tmp_path, "/usr/bin/sh") == [DASH]
    assert owners(debian, tmp_path, "/usr/bin/sh.distrib") == [BASH]
    (debian / "var/lib/dpkg/diversions").unlink()
    assert owners(debian, tmp_path / "b", "/usr/bin/sh") == [BASH, DASH]


def test_folders_and_packages_that_are_gone_own_nothing(debian: Path, tmp_path: Path) -> None:
    assert (
        owners(debian, tmp_path, "/usr", "/usr/share", "/usr/bin", "/etc/removed.conf", "/usr/bin/orphan", "/nowhere")
        == []
    )


def test_a_name_that_only_begins_alike_is_another_file(debian: Path, tmp_path: Path) -> None:
    assert owners(debian, tmp_path, "/usr/share/bash") == [BASH]
    assert owners(debian, tmp_path, "/usr/share/bash-doc") == [BASH]
    assert owners(debian, tmp_path, "/usr/share/bash-") == []


def test_a_file_two_architectures_share_has_two_owners(debian: Path, tmp_path: Path) -> None:
    assert owners(debian, tmp_path, "/usr/share/doc/libc6") == [LIBC, LIBC32]


def test_the_index_is_kept_and_made_anew_when_packages_change(debian: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert owners(debian, cache, "/usr/bin/bash") == [BASH]
    (kept,) = cache.iterdir()
    before = kept.stat()
    before_stamp = os_packages.stamp(str(debian))
    assert owners(debian, cache, "/usr/bin/bash") == [BASH]
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    status = debian / "var/lib/dpkg/status"
    status.write_text(STATUS.replace("5.2-1", "5.2-22"))
    assert os_packages.stamp(str(debian)) != before_stamp
    assert [package.version for package in owners(debian, cache, "/usr/bin/bash")] == ["5.2-22"]
    assert [path.name for path in cache.iterdir()] != [kept.name]
    assert len(list(cache.iterdir())) == 1


def test_a_damaged_index_is_made_anew(debian: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    owners(debian, cache, "/usr/bin/bash")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for size in range(0, len(whole), 13):
        kept.write_bytes(whole[:size])
        assert owners(debian, cache, "/usr/bin/bash") == [BASH], size
    for place in range(0, len(whole), 5):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert owners(debian, cache, "/usr/bin/bash") == [BASH], place
        assert kept.read_bytes() == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_costs_time_only(debian: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert owners(debian, locked / "cache", "/usr/bin/bash") == [BASH]


def test_a_cache_where_a_file_is_in_the_way_costs_time_only(debian: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert owners(debian, tmp_path / "cache", "/usr/bin/bash") == [BASH]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg here")
def test_this_machines_answers_are_those_of_dpkg(tmp_path: Path) -> None:
    candidates = [
        "/bin/sh",
        "/bin/ls",
        "/usr/bin/dpkg",
        "/etc/debian_version",
        "/usr/bin/awk",
        "/usr/lib/os-release",
        "/bin/cat",
    ]
    paths = sorted({os.path.realpath(path) for path in candidates if os.path.exists(path)})
    for path in paths:
        aliases = [path, path.removeprefix("/usr")] if path.startswith("/usr/") else [path]
        said = subprocess.run(
            ["dpkg", "-S", *aliases],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        lines = [line for line in said.stdout.splitlines() if not line.startswith("diversion by")]
        names = {name.partition(":")[0].strip() for line in lines for name in line.rsplit(": ", 1)[0].split(",")}
        assert {package.name for package in os_packages.find([path], str(tmp_path))[0] or ()} == names, path


APK = """\
C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755

P:busybox
V:1.36.1-r5
A:x86_64
F:
R:linuxrc
F:bin
M:0:0:755
R:busybox
"""


@pytest.mark.parametrize("place", ["lib/apk/db", "usr/lib/apk/db"])
def test_alpines_database_is_read(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "installed").write_text(APK)
    musl = OsPackage(name="musl", version="1.2.4-r2", architecture="x86_64")
    busybox = OsPackage(name="busybox", version="1.36.1-r5", architecture="x86_64")
    cache = tmp_path / "cache"
    assert owners(tmp_path, cache, "/lib/ld-musl-x86_64.so.1", "/nowhere") == [musl]
    assert owners(tmp_path, cache, "/bin/busybox", "/lib/ld-musl-x86_64.so.1") == [busybox, musl]
    assert owners(tmp_path, cache, "/linuxrc") == [busybox]


# What rpm 4.18 printed for a file it owns, one it does not own, and one that is not there.
RPM = """#!/bin/sh
printf '%s\\n' "$*" >> "{log}"
printf 'hello-data\\t2:1.2-3\\tnoarch\\n'
echo 'file /etc/a	b	c is not owned by any package'
echo 'error: file /nonexist: No such file or directory' >&2
exit 2
"""


def test_rpm_is_asked_where_its_database_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").touch()
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "log"
    (tools / "rpm").write_text(RPM.format(log=log))
    (tools / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    paths = [f"/opt/{number}" for number in range(4001)]
    expected = OsPackage(name="hello-data", version="2:1.2-3", architecture="noarch")
    assert owners(tmp_path, tmp_path / "cache", *paths) == [expected]
    asked = log.read_text().splitlines()
    assert len(asked) == 3
    assert all(line.startswith("-qf --queryformat ") and " -- /opt/" in line for line in asked)
    assert os_packages.stamp(str(tmp_path)).startswith("rpm ")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    found, cause = os_packages.find(["/opt/x"], str(tmp_path / "cache"), str(tmp_path))
    assert found is None
    assert "rpm is not installed" in cause


def test_without_a_database_the_cause_is_said(tmp_path: Path) -> None:
    assert os_packages.find(["/bin/sh"], str(tmp_path / "c"), str(tmp_path)) == (
        None,
        "no dpkg, apk or rpm database is here",
    )
    assert os_packages.stamp(str(tmp_path)) == ""


@given(
    files=st.lists(st.tuples(st.text(max_size=8), st.integers(0, 2)), max_size=40),
    asked=st.lists(st.text(max_size=8), max_size=10),
)
def test_an_index_answers_like_a_dictionary_and_so_does_its_copy(
    files: list[tuple[str, int]], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = [BASH, DASH, LIBC]
    asked = [*asked, *(path for path, _ in files[:3])]
    index, data = owner_index.build(table, files)
    path = str(tmp_path_factory.getbasetemp() / "index")
    owner_index.save(path, data)
    copy = owner_index.load(path)
    assert copy is not None
    for one in asked:
        expected = {table[owner] for name, owner in files if name == one}
        assert index.owners([one]) == copy.owners([one]) == expected


def test_an_index_prepared_while_the_job_ran_is_there_at_its_end(debian: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prepared"
    os_packages.prepare(str(cache), str(debian))
    found, _ = os_packages.find(["/usr/bin/bash"], str(cache), str(debian))
    asked, _ = os_packages.find(["/usr/bin/bash"], str(tmp_path / "other"), str(debian))
    assert found == asked
    assert found
    assert len(list(cache.iterdir())) == 1


def test_preparing_where_nothing_can_be_read_says_nothing(tmp_path: Path) -> None:
    os_packages.prepare(str(tmp_path / "cache"), str(tmp_path / "nowhere"))
    assert os_packages.find([], str(tmp_path / "cache"), str(tmp_path / "nowhere"))[0] is None
