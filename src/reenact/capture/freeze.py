"""From an observation to a bundle: the last step of a recording, live or recovered. Pure but for the parts it is given."""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

import reenact
from reenact import clock
from reenact.capture import hazards as hazard_rules
from reenact.capture.artifacts import checksums
from reenact.capture.observation import Observation
from reenact.capture.steps import transformations
from reenact.digests import Digest, of_lines
from reenact.model.artifact import Artifact, Pointer
from reenact.model.bundle import (
    SCHEMA_VERSION,
    Bundle,
    Capture,
    Determinism,
    ExternalCall,
    Gap,
    Hazard,
    Launch,
    Retention,
    Status,
    Stream,
)
from reenact.model.code import Code
from reenact.model.environment import Environment
from reenact.model.paths import to_text

__all__ = ["Frozen", "data_version", "freeze", "launch_of", "stream_of"]

_TOOL: Final = "reenact"
_ABSENT_ON_PURPOSE: Final = {
    "retention.keep_until": "no retention rule has been applied",
}


def data_version(sums: dict[str, Digest]) -> Digest:
    """Digest names and digests, sorted by name: equal for equal data."""
    return of_lines([f"{digest}  {name}" for name, digest in sorted(sums.items())])


class Frozen(msgspec.Struct, kw_only=True):
    """Everything that goes into a bundle beside the observation itself."""

    inputs: list[Artifact]
    outputs: list[Artifact]
    streams: dict[str, Stream]
    code: Code
    environment: Environment
    executables: dict[str, Digest]
    status: int | None
    """As waitpid gives it; None when it was not seen."""
    incomplete: str = ""
    """Why the recording was cut off; empty when it was not."""
    absent: Digest | None = None
    host_files: Digest | None = None
    listings: Digest | None = None
    stat_facts: Digest | None = None
    overhead_us: int | None = None
    hazards: list[Hazard] = []
    gaps: list[Gap] = []
    unobserved: dict[str, str] = {}


def stream_of(described: dict[str, Any], pointer: Pointer | None, *, truncated: bool) -> Stream:
    """Make the model's stream from what the session described."""
    values = {key: value for key, value in described.items() if key != "size_bytes"}
    if values.get("path") is not None:
        values["path"] = to_text(values["path"])
    return Stream(**values, pointer=pointer, truncated=truncated)


def launch_of(
    header: dict[str, Any], streams: dict[str, Stream], executable: str | None, restricted: bool | None
) -> Launch:
    """Make the model's launch from a journal's header."""
    return Launch(
        argv=tuple(to_text(word) for word in header["argv"]),
        executable=to_text(executable) if executable else None,
        cwd=to_text(header["cwd"]),
        root=to_text(header["root"]),
        umask=header["umask"],
        uid=header["uid"],
        gid=header["gid"],
        groups=tuple(header["groups"]),
        hostname=header["hostname"],
        limits={name: (soft, hard) for name, (soft, hard) in header["limits"].items()},
        affinity=tuple(header["affinity"]),
        stdin=streams["stdin"],
        stdout=streams["stdout"],
        stderr=streams["stderr"],
        no_new_privileges=restricted,
    )


def _exit(status: int | None, observation: Observation) -> tuple[int | None, Status]:
    root = observation.processes.get("1")
    code = os.waitstatus_to_exitcode(status) if status is not None else root.exit_code if root is not None else None
    if code is None:
        return None, "incomplete"
    return code, "succeeded" if code == 0 else "failed" if code > 0 else "killed"


def _kind(kind: str) -> str:
    return {"ip": "ip", "unix": "unix", "unix-abstract": "unix"}.get(kind, "other")


def _externals(observation: Observation) -> tuple[ExternalCall, ...]:
    calls = [
        ExternalCall(
            time=clock.from_ns(contact.time_ns),
            kind=_kind(contact.kind),
            endpoint=to_text(contact.endpoint),
            transformation=contact.actor,
        )
        for contact in observation.contacts
    ]
    return tuple(sorted(calls, key=lambda call: (call.endpoint, call.transformation or "")))


def freeze(observation: Observation, parts: Frozen) -> Bundle:
    """Put a bundle together."""
    header = observation.header
    exit_code, status = _exit(parts.status, observation)
    if parts.incomplete:
        status = "incomplete"
    ended_ns = observation.ended_ns
    steps, step_causes = transformations(
        observation,
        parts.inputs,
        parts.outputs,
        parts.executables,
        parameters=header["parameters"],
        exit_code=exit_code,
        started_ns=header["started_ns"],
        ended_ns=ended_ns,
    )
    root = observation.processes.get("1")
    executable = root.programs[0][1] if root is not None and root.programs else None
    gaps = [Gap(code=code, message=message, subject=to_text(subject)) for code, message, subject in observation.gaps]
    gaps += parts.gaps
    if parts.incomplete:
        gaps.append(Gap(code="cut-off", message=parts.incomplete))
    distinct = tuple(sorted(set(gaps), key=lambda gap: (gap.code, gap.subject, gap.message)))
    found = [*parts.hazards, *hazard_rules.from_contacts(observation.contacts), *hazard_rules.from_gaps(distinct)]
    sums = checksums(artifact for artifact in parts.inputs if "probed" not in artifact.access)
    unobserved = {**_ABSENT_ON_PURPOSE, **parts.unobserved, **step_causes}
    if exit_code is None:
        unobserved["exit_code"] = "the end of the job was not seen"
    if ended_ns is None:
        unobserved["ended_at"] = "the recording was cut off"
    return Bundle(
        run_id=header["run_id"],
        timestamp=clock.from_ns(header["started_ns"]),
        source_version=data_version(sums),
        target_version=data_version(checksums(a for a in parts.outputs if not a.temporary)),
        input_checksums=sums,
        transformation_map=steps,
        schema_version=SCHEMA_VERSION,
        job=header["job"],
        status=status,
        exit_code=exit_code,
        ended_at=clock.from_ns(ended_ns) if ended_ns is not None else None,
        user=header["user"],
        launch=launch_of(header, parts.streams, executable, header.get("restricted")),
        inputs=tuple(parts.inputs),
        outputs=tuple(parts.outputs),
        code=parts.code,
        environment=parts.environment,
        determinism=Determinism(
            hash_seed=header["variables"].get("PYTHONHASHSEED"),
            tolerances=header.get("tolerances", {}),
            hazards=hazard_rules.sorted_hazards(found),
        ),
        externals=_externals(observation),
        capture=Capture(
            method=header["rung"],
            tool=_TOOL,
            tool_version=reenact.__version__,
            gaps=distinct,
            overhead_us=parts.overhead_us,
            calls=observation.calls,
            left_out=tuple(sorted(to_text(folder) for folder in observation.left_out)),
            listings=parts.listings,
            stat_facts=parts.stat_facts,
            absent=parts.absent,
            host_files=parts.host_files,
        ),
        retention=Retention(),
        parent_run_id=header.get("parent_run_id"),
        replay_of=header.get("replay_of"),
        labels=header["labels"],
        parameters=header["parameters"],
        unobserved=unobserved,
    )
