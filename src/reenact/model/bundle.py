"""The bundle: the immutable, versioned reproducibility metadata of one run (schema 1.0).

It is the predicate of an in-toto Statement. Where a field is None, `Bundle.unobserved` holds the cause under the field's
path (``code.commit``, ``inputs[raw/a.csv].pointer``): unknown is never dressed as a default.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reenact.digests import Digest
from reenact.model.artifact import Artifact, Pointer
from reenact.model.code import Code
from reenact.model.environment import Environment
from reenact.model.transformation import Transformation

__all__ = [
    "PREDICATE_TYPE",
    "SCHEMA_VERSION",
    "Bundle",
    "Capture",
    "Determinism",
    "ExternalCall",
    "Gap",
    "Hazard",
    "Launch",
    "Retention",
    "Status",
    "Stream",
]

SCHEMA_VERSION = "1.0"
PREDICATE_TYPE = "urn:reenact:run:v1"

Status = Literal["succeeded", "failed", "killed", "incomplete"]
"""`killed`: ended by a signal. `incomplete`: recovered from a journal after the recording itself was cut off."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something capture could not see."""

    code: str
    message: str
    subject: str = ""
    """The artifact, program or endpoint it concerns."""


class Hazard(msgspec.Struct, frozen=True, kw_only=True):
    """A reason, known when the run was recorded, why a replay may differ."""

    code: str
    message: str
    subject: str = ""
    exact: bool = False
    """The replay can still be byte-exact: the hazard is worth knowing but does not stand in its way."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three standard descriptors the job was given."""

    kind: Literal["file", "pipe", "terminal", "null", "socket", "closed", "other"]
    pointer: Pointer | None = None
    """What went through it, when that was recorded."""
    path: str | None = None
    """The file it was, when it was one."""
    offset_bytes: int = 0
    """Where in the file it stood at the start."""
    append: bool = False
    same_as: str | None = None
    """``stdout`` on stderr when both are one open file."""
    truncated: bool = False
    """More went through than the size cap keeps."""
    rows: int | None = None
    columns: int | None = None
    """Terminal size."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How the command was started, so that it can be started so again."""

    argv: tuple[str, ...]
    """Redacted; text form."""
    executable: str | None
    """Where the first word was found; absolute, text form."""
    cwd: str
    root: str
    """The job's root: names are relative to it."""
    umask: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    hostname: str
    limits: dict[str, tuple[int, int]]
    """Resource limits by name, soft and hard; -1 is unlimited."""
    affinity: tuple[int, ...]
    stdin: Stream
    stdout: Stream
    stderr: Stream
    no_new_privileges: bool | None = None
    """Recording as an ordinary user switches set-user-id programs off."""


class Determinism(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about the sources of chance."""

    hash_seed: str | None = None
    """Value of PYTHONHASHSEED given to the job."""
    seeds: dict[str, str] = {}
    clock: str = "system"
    entropy: str = "system"
    tapes: dict[str, Digest] = {}
    tolerances: dict[str, str] = {}
    """What was declared to count as equal when the run was recorded: under ``outputs``, in the words of the settings file."""
    hazards: tuple[Hazard, ...] = ()


class ExternalCall(msgspec.Struct, frozen=True, kw_only=True):
    """One contact with something outside the process tree."""

    time: str
    kind: str
    """``ip``, ``unix``, ``other``."""
    endpoint: str
    """``192.0.2.1:443`` or a socket path."""
    transformation: str | None = None
    request_id: str | None = None
    request_digest: Digest | None = None
    response_digest: Digest | None = None
    tape: str | None = None


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """How the run was observed."""

    method: str
    """The rung: ``kernel``, ``strace``, ``python``, ``declared``."""
    tool: str
    tool_version: str
    gaps: tuple[Gap, ...] = ()
    overhead_us: int | None = None
    """Time from the end of the job to the end of the recording, microseconds."""
    calls: int | None = None
    """System calls the tracer answered."""
    host_files: Digest | None = None
    """A manifest object with frozen copies of the files of /sys the run read: facts about the machine."""
    absent: Digest | None = None
    """An object with the paths, one a line in text form, sorted, that the run tried to open or execute and did not find."""
    left_out: tuple[str, ...] = ()
    """Folders the run came across that are no part of its record: the store. Text form, sorted."""
    listings: Digest | None = None
    """An object with the order in which the names in folders were given, where that was not the sorted one."""
    stat_facts: Digest | None = None
    """An object with inode, device, link count and change times of what the run touched: host facts, for programs that compare them."""


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long the run is to be kept; holds live outside the bundle because they change."""

    retention_class: str = "default"
    keep_until: str | None = None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The reproducibility metadata of one run."""

    run_id: str
    timestamp: str
    """Start of the run."""
    source_version: Digest
    """Over the sorted `input_checksums`: equal for runs that read equal data."""
    target_version: Digest
    input_checksums: dict[str, Digest]
    transformation_map: tuple[Transformation, ...]

    schema_version: str
    job: str
    status: Status
    exit_code: int | None
    ended_at: str | None
    user: str
    launch: Launch
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    code: Code
    environment: Environment
    determinism: Determinism
    externals: tuple[ExternalCall, ...]
    capture: Capture
    retention: Retention
    parent_run_id: str | None = None
    replay_of: str | None = None
    labels: dict[str, str] = {}
    parameters: dict[str, str] = {}
    unobserved: dict[str, str] = {}
    """Field path to the cause why it is None."""
