"""What the machine is, read from small files; what cannot be told is None with its cause."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.capture import host
from reenact.capture.conditions import affinity

ID = "0123456789abcdef" * 4


def lay(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_this_machine_can_be_described() -> None:
    kernel = os.uname()
    system = host.system()
    assert (system.kernel, system.machine, system.hostname) == (kernel.release, kernel.machine, kernel.nodename)
    assert system.name
    assert system.libc
    assert host.cpu().cores == len(os.sched_getaffinity(0)) == len(affinity())
    assert host.cpu().model


def test_the_system_is_named_by_os_release(tmp_path: Path) -> None:
    text = "# made up\nNAME=Example\nPRETTY_NAME=\"Example Linux 7 (seven)\"\nID='example'\nVERSION_ID=7\n"
    system = host.system(lay(tmp_path, {"usr/lib/os-release": text}))
    assert (system.name, system.id, system.version) == ("Example Linux 7 (seven)", "example", "7")


def test_a_system_without_os_release_has_its_kernels_name(tmp_path: Path) -> None:
    system = host.system(str(tmp_path))
    assert (system.name, system.id, system.version) == (os.uname().sysname, "", "")


def test_only_flags_that_change_float_paths_are_kept(tmp_path: Path) -> None:
    flags = "fpu vme sse sse2 ssse3 sse4_1 pni fma f16c avx2 avx512_bf16 bmi1 bmi2 amx_tile aes rdrand ht lm smep smap"
    text = f"processor\t: 0\nmodel name\t: Made Up 9000\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: Other\nflags\t: xop\n"
    cpu = host.cpu(lay(tmp_path, {"proc/cpuinfo": text}))
    assert cpu.model == "Made Up 9000"
    expected = (
        "amx_tile",
        "avx2",
        "avx512_bf16",
        "bmi1",
        "bmi2",
        "f16c",
        "fma",
        "pni",
        "sse",
        "sse2",
        "sse4_1",
        "ssse3",
    )
    assert cpu.flags == expected


def test_an_arm_core_is_named_by_its_numbers(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd aes sve crc32\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd40\n"
    cpu = host.cpu(lay(tmp_path, {"proc/cpuinfo": text}))
    assert cpu.model == "implementer 0x41, part 0xd40, variant 0x1"
    assert cpu.flags == ("asimd", "fp", "sve")


@pytest.mark.parametrize(
    ("environment", "locale"),
    [
        ({}, "C"),
        ({"LANG": ""}, "C"),
        ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LANG": "de_DE.UTF-8", "LC_TIME": "C", "LC_NUMERIC": "de_DE.UTF-8"}, "de_DE.UTF-8 LC_TIME=C"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8", "LC_TIME": "C"}, "C.UTF-8"),
    ],
)
def test_the_locale_is_the_one_a_program_takes(environment: dict[str, str], locale: str) -> None:
    assert host.locale_and_zone(environment)[0] == locale


def test_the_zone_is_the_variable_then_the_link_then_the_name_then_the_rule(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert host.locale_and_zone({"TZ": "Asia/Tokyo"}, root)[1] == "Asia/Tokyo"
    assert host.locale_and_zone({"TZ": ""}, root)[1] == "UTC"
    assert host.locale_and_zone({}, root)[1] == "UTC"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/localtime").write_bytes(b"TZif2\x00\xff\x00\nCET-1CEST,M3.5.0,M10.5.0/3\n")
    assert host.locale_and_zone({}, root)[1] == "CET-1CEST,M3.5.0,M10.5.0/3"
    (tmp_path / "etc/timezone").write_text("Europe/Berlin\n")
    assert host.locale_and_zone({}, root)[1] == "Europe/Berlin"
    (tmp_path / "etc/localtime").unlink()
    (tmp_path / "etc/localtime").symlink_to("/usr/share/zoneinfo/America/Lima")
    assert host.locale_and_zone({}, root)[1] == "America/Lima"


def test_thread_settings_are_variables_affinity_and_the_quota(tmp_path: Path) -> None:
    environment = {
        "OMP_NUM_THREADS": "4",
        "POLARS_MAX_THREADS": "2",
        "MKL_CBWR": "COMPATIBLE",
        "OMP_THING": "x",
        "PATH": "/",
    }
    settings = host.thread_settings(environment, lay(tmp_path, {"sys/fs/cgroup/cpu.max": "150000 100000\n"}))
    assert settings == {
        "MKL_CBWR": "COMPATIBLE",
        "OMP_NUM_THREADS": "4",
        "POLARS_MAX_THREADS": "2",
        "affinity": str(len(os.sched_getaffinity(0))),
        "cgroup.cpu": "150000 100000",
    }
    lay(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert "cgroup.cpu" not in host.thread_settings({}, str(tmp_path))


MOUNT = f"612 598 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"run/.containerenv": f'engine="podman-4.3"\nid="{ID}"\nimage="x"\nimageid="{ID[::-1]}"\n'},
            f"sha256:{ID[::-1]}",
        ),
        ({"run/.containerenv": f'id="{ID}"\n'}, f"podman:{ID}"),
        ({"proc/self/mountinfo": MOUNT}, f"docker:{ID}"),
        ({"proc/self/cgroup": f"12:pids:/docker/{ID}\n"}, f"docker:{ID}"),
        ({"proc/self/cgroup": f"0::/system.slice/docker-{ID}.scope\n"}, f"docker:{ID}"),
        (
            {"proc/self/cgroup": f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n"},
            f"containerd:{ID}",
        ),
        ({"proc/self/cgroup": f"0::/machine.slice/libpod-{ID}.scope/container\n"}, f"podman:{ID}"),
    ],
)
def test_a_container_is_told_by_what_its_engine_leaves(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    found, cause = host.container(lay(tmp_path, files))
    assert found is not None
    assert found.partition(":")[2] == expected.partition(":")[2]
    assert (found, cause) == (expected, "")


def test_no_container_is_none_with_the_cause(tmp_path: Path) -> None:
    assert host.container(str(tmp_path)) == (None, "no sign of a container in mounts, control groups or marker files")
    found, cause = host.container(lay(tmp_path, {".dockerenv": ""}))
    assert found is None
    assert "/.dockerenv" in cause


def test_the_containers_a_host_runs_are_not_this_one(tmp_path: Path) -> None:
    mount = f"90 27 0:50 / /var/lib/docker/overlay2/x/merged/etc/hostname rw - overlay /var/lib/docker/containers/{ID}/h rw\n"
    assert host.container(lay(tmp_path, {"proc/self/mountinfo": mount}))[0] is None
