"""The machine a run is on, as far as it can change results: system, processor, container, locale, threads.

Reads a few small files under ``/proc``, ``/etc`` and ``/sys``; starts no process; a few milliseconds in all. What cannot be
told is None with its cause. `root` in the functions that take it is the folder those files are looked for under.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from reenact.capture.conditions import affinity
from reenact.model.environment import Cpu, System

__all__ = ["container", "cpu", "locale_and_zone", "system", "thread_settings"]

_BLOCK_BYTES: Final = 8192
"""Of /proc/cpuinfo only this much is read: it holds the first processor, and each further one costs the kernel time."""

_FLOAT_FLAGS: Final = re.compile(
    r"""(?x) s?sse[0-9]?(?:_[12]|a)? | pni | avx[0-9_a-z]* | fma4? | f16c | xop | bmi[12] | amx_\w+         # x86
      | fp | fphp | neon | vfp\w* | asimd\w* | sve\w* | sme2? | sme_\w+ | bf16 | i8mm | fcma | frint | ebf16 # ARM
      | altivec | vsx | vx\w* | rv\w+                                                               # POWER, Z, RISC-V
    """
)

_THREADS: Final = re.compile(
    r"""(?x) (?:OMP|KMP|GOMP|MKL|OPENBLAS|BLIS|GOTO|NUMEXPR|NUMBA|VECLIB|TBB|RAYON|POLARS|ARROW|DUCKDB|TF|OPENCV|UV)_\w*
        (?:THREAD|DYNAMIC|SCHEDULE|PROC_BIND|PLACES|AFFINITY|CORETYPE|CBWR|PARALLEL)\w*
      | GOMAXPROCS | JULIA_NUM_THREADS | PYTHON_CPU_COUNT | MKL_(?:CBWR|DYNAMIC) | TOKENIZERS_PARALLELISM
    """
)

_CONTAINER_ID: Final = re.compile(
    r"[/:.-](docker|libpod|crio|cri-containerd|containerd|overlay-containers|containers|kubepods)\b[^\s]*?[/:-]([0-9a-f]{64})(?![0-9a-f])"
)
"""The engine's folder or scope, and the 64 digits every engine calls a container by."""
_ENGINES: Final = (
    ("docker", "docker"),
    ("libpod", "podman"),
    ("overlay-containers", "podman"),
    ("crio", "cri-o"),
    ("containerd", "containerd"),
)


def _read(path: str, size: int = 1 << 20) -> str:
    """Read the start of a small file, or nothing where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, size).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _assignments(text: str) -> dict[str, str]:
    """Read lines of ``NAME="value"``, as in os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _libc(root: str) -> str:
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        version = None
    if version:
        return version
    try:
        names = os.listdir(f"{root}/lib")
    except OSError:
        names = []
    return "musl" if any(name.startswith("ld-musl-") for name in names) else ""


def system(root: str = "") -> System:
    """Describe the operating system; a text that cannot be told is empty."""
    release = _assignments(_read(f"{root}/etc/os-release") or _read(f"{root}/usr/lib/os-release"))
    kernel = os.uname()
    return System(
        name=release.get("PRETTY_NAME") or release.get("NAME") or kernel.sysname,
        id=release.get("ID", ""),
        version=release.get("VERSION_ID") or release.get("BUILD_ID", ""),
        kernel=kernel.release,
        machine=kernel.machine,
        libc=_libc(root),
        hostname=kernel.nodename,
    )


def cpu(root: str = "") -> Cpu:
    """Describe the first processor: its model, and those flags by which libraries choose their floating-point code."""
    facts: dict[str, str] = {}
    for line in _read(f"{root}/proc/cpuinfo", _BLOCK_BYTES).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip(), value.strip())
    flags = (facts.get("flags") or facts.get("Features") or facts.get("features") or facts.get("isa") or "").split()
    return Cpu(
        model=_cpu_model(facts),
        flags=tuple(sorted({flag for flag in flags if _FLOAT_FLAGS.fullmatch(flag)})),
        cores=len(affinity()),
    )


def _cpu_model(facts: Mapping[str, str]) -> str:
    for name in ("model name", "cpu model", "cpu", "uarch"):
        if facts.get(name):
            return facts[name]
    # ARM kernels give numbers only; together they name the core.
    parts = [f"{name[4:]} {facts[name]}" for name in ("CPU implementer", "CPU part", "CPU variant") if name in facts]
    return ", ".join(parts) or os.uname().machine


def locale_and_zone(environment: Mapping[str, str], root: str = "") -> tuple[str, str]:
    """Give the locale a program takes from `environment`, with the categories that differ, and the time zone."""
    everything = environment.get("LC_ALL", "")
    if everything:
        return everything, _zone(environment, root)
    base = environment.get("LANG") or "C"
    other = sorted(f"{n}={v}" for n, v in environment.items() if n.startswith("LC_") and v and v != base)
    return " ".join([base, *other]), _zone(environment, root)


def _zone(environment: Mapping[str, str], root: str) -> str:
    if "TZ" in environment:
        return environment["TZ"].removeprefix(":") or "UTC"
    try:
        link = os.readlink(f"{root}/etc/localtime")
    except FileNotFoundError:
        return "UTC"  # What the C library takes without the file.
    except OSError:
        link = ""  # A plain file: a copy of a zone, which does not say its name.
    if "zoneinfo/" in link:
        return link.partition("zoneinfo/")[2]
    named = _read(f"{root}/etc/timezone").strip()
    if named:
        return named
    # The last line of a zone file is its rule in the form of TZ (RFC 8536 section 3.3).
    rule = _read(f"{root}/etc/localtime").rstrip("\n").rpartition("\n")[2]
    return rule if rule.isprintable() else ""


def thread_settings(environment: Mapping[str, str], root: str = "") -> dict[str, str]:
    """Collect what sets how many threads libraries use: variables by their names, ``affinity``, ``cgroup.cpu``.

    ``cgroup.cpu`` is the quota and period in microseconds of this control group, where one is set.
    """
    settings = {name: value for name, value in sorted(environment.items()) if _THREADS.fullmatch(name)}
    settings["affinity"] = str(len(affinity()))
    quota = _read(f"{root}/sys/fs/cgroup/cpu.max").strip()
    if not quota:
        first = _read(f"{root}/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        quota = f"{first} {_read(f'{root}/sys/fs/cgroup/cpu/cpu.cfs_period_us').strip()}" if first else ""
    if quota and not quota.startswith(("max", "-1")):
        settings["cgroup.cpu"] = quota
    return settings


def container(root: str = "") -> tuple[str | None, str]:
    """Tell which container this process is in: the image's digest or ``ENGINE:ID``, or None and the cause.

    Told from Podman's ``/run/.containerenv``, the mounts and the control groups of this process; it is the engine's word, and
    an engine that hides it (a private cgroup namespace without bind mounts) cannot be seen through.
    """
    podman = _assignments(_read(f"{root}/run/.containerenv"))
    image = podman.get("imageid", "")
    if re.fullmatch(r"[0-9a-f]{64}", image):
        return f"sha256:{image}", ""
    if podman.get("id"):
        return f"podman:{podman['id']}", ""
    for path in ("/proc/self/mountinfo", "/proc/self/cgroup"):
        if match := _CONTAINER_ID.search(_own(_read(f"{root}{path}"), path)):
            return f"{_engine(match[0])}:{match[2]}", ""
    marks = [mark for mark in ("/.dockerenv", "/run/.containerenv") if os.path.exists(f"{root}{mark}")]
    if marks:
        return None, f"{marks[0]} says this is a container, but neither mounts nor control groups name it"
    return None, "no sign of a container in mounts, control groups or marker files"


def _engine(place: str) -> str:
    return next((name for mark, name in _ENGINES if mark in place), "container")


def _own(text: str, path: str) -> str:
    """Keep the mounts an engine makes for a container itself: on a host that runs containers, their mounts show too."""
    if not path.endswith("mountinfo"):
        return text
    targets = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv")
    lines = (line for line in text.splitlines() if (line.split(" ", 5)[4:5] or [""])[0] in targets)
    return "\n".join(lines)
