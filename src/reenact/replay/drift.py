"""How this machine differs from the recorded one in ways that can change results. Pure.

What a sealed environment brings along (libraries, C library, tools) is not drift; what no record can bring along is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reenact.model.environment import Cpu, Environment, System

__all__ = ["Host", "drift", "environment_drift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The facts of one machine."""

    system: System
    cpu: Cpu


def drift(recorded: Host, now: Host) -> tuple[str, ...]:
    """Name every difference, as ``kernel: recorded 6.1, now 6.8``; empty when there is none."""
    pairs = (
        ("machine", recorded.system.machine, now.system.machine),
        ("kernel", recorded.system.kernel, now.system.kernel),
        ("processor", recorded.cpu.model, now.cpu.model),
        ("processors", str(recorded.cpu.cores), str(now.cpu.cores)),
    )
    found = [f"{what}: recorded {before}, now {after}" for what, before, after in pairs if before != after]
    lost = sorted(set(recorded.cpu.flags) - set(now.cpu.flags))
    gained = sorted(set(now.cpu.flags) - set(recorded.cpu.flags))
    if lost:
        found.append(f"processor features: recorded {' '.join(lost)}, not here")
    if gained:
        found.append(f"processor features: {' '.join(gained)} here, not recorded")
    return tuple(found)


def environment_drift(recorded: Environment, now: Environment) -> tuple[str, ...]:
    """Name the interpreters and packages that a replay outside a closed world met in other versions, sorted.

    Operating system packages count where both runs read files of them; what only one read says nothing about versions.
    """
    found = [
        *_changes("interpreter", _interpreters(recorded), _interpreters(now)),
        *_changes("package", _distributions(recorded), _distributions(now)),
    ]
    before, after = _os_packages(recorded), _os_packages(now)
    both = before.keys() & after.keys()
    found += _changes("system package", {n: before[n] for n in both}, {n: after[n] for n in both})
    return tuple(found)


def _changes(what: str, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            recorded = f"recorded {before[name]}" if name in before else "not recorded"
            now = f"now {after[name]}" if name in after else "not used now"
            yield f"{what} {name}: {recorded}, {now}"


def _versions(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for name, version in pairs:
        found.setdefault(name, set()).add(version)
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}


def _interpreters(environment: Environment) -> dict[str, str]:
    return _versions((i.name, i.version or "unknown") for i in environment.interpreters)


def _distributions(environment: Environment) -> dict[str, str]:
    return _versions((d.name, d.version) for d in environment.distributions)


def _os_packages(environment: Environment) -> dict[str, str]:
    return _versions((f"{p.name}:{p.architecture}", p.version) for p in environment.os_packages or ())
