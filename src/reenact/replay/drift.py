"""How this machine differs from the recorded one in ways that can change results. Pure.

What a sealed environment brings along (libraries, C library, tools) is not drift; what no record can bring along is.
"""

from __future__ import annotations

from dataclasses import dataclass

from reenact.model.environment import Cpu, System

__all__ = ["Host", "drift"]


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
