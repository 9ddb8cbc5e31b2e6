"""The transformation map: one transformation per process that touched data. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reenact import clock
from reenact.capture.observation import Observation, ProcessRecord
from reenact.digests import Digest
from reenact.model.artifact import Artifact
from reenact.model.paths import to_text
from reenact.model.transformation import Transformation

__all__ = ["transformations"]

_ROOT = "1"


def _order(actor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in actor.split("."))


def _program(observation: Observation, process: ProcessRecord) -> tuple[str, tuple[str, ...], str | None]:
    """Give path, argv and cwd of what a process last executed, or of the nearest ancestor's when it only forked."""
    current: ProcessRecord | None = process
    while current is not None:
        if current.programs:
            _, path, argv, cwd = current.programs[-1]
            return path, tuple(to_text(word) for word in argv), to_text(cwd)
        current = observation.processes.get(current.parent) if current.parent else None
    return "", (), None


def transformations(
    observation: Observation,
    inputs: list[Artifact],
    outputs: list[Artifact],
    executables: Mapping[str, Digest],
    *,
    parameters: dict[str, str],
    exit_code: int | None,
    started_ns: int,
    ended_ns: int | None,
) -> tuple[tuple[Transformation, ...], dict[str, str]]:
    """Build the map, ordered by place in the process tree, and the causes of what is unobserved in it.

    A file that one process wrote and another read is an output of the first and an input of the second, so that the steps
    are linked; files that no longer exist do not appear.
    """
    names = {a.entry.path: a for a in [*inputs, *outputs] if "probed" not in a.access and a.entry.type != "directory"}
    reads: dict[str, set[str]] = {}
    writes: dict[str, set[str]] = {}
    code: dict[str, set[str]] = {}
    for path, users in observation.users.items():
        artifact = names.get(to_text(path))
        if artifact is None:
            continue
        for how, table in (("r", reads), ("x", reads), ("w", writes), ("d", writes)):
            for actor in users.get(how, ()):
                (code if artifact.kind == "code" and table is reads else table).setdefault(actor, set()).add(
                    artifact.name
                )
    actors = {*reads, *writes, *code, _ROOT}
    found, unobserved = [], {}
    for actor in sorted(actors, key=_order):
        process = observation.processes.get(actor) or ProcessRecord(actor, None, started_ns)
        path, argv, cwd = _program(observation, process)
        ended = process.ended_ns or (ended_ns if actor == _ROOT else None)
        code_number = exit_code if actor == _ROOT else process.exit_code
        if code_number is None:
            unobserved[f"transformation_map[{actor}].exit_code"] = "it did not end by itself while it was observed"
        started = process.started_ns or (started_ns if actor == _ROOT else None)
        found.append(
            Transformation(
                id=actor,
                name=to_text(path.rpartition("/")[2]) or "process",
                kind="process",
                parent=_nearest(process.parent, actors),
                argv=argv,
                executable=to_text(path) or None,
                executable_digest=executables.get(path),
                code=tuple(sorted(code.get(actor, ()))),
                cwd=cwd,
                parameters=parameters if actor == _ROOT else {},
                inputs=tuple(sorted(reads.get(actor, ()))),
                outputs=tuple(sorted(writes.get(actor, ()))),
                started_at=clock.from_ns(started) if started else None,
                ended_at=clock.from_ns(ended) if ended else None,
                exit_code=code_number,
            )
        )
    return tuple(found), unobserved


def _nearest(parent: str | None, actors: set[str]) -> str | None:
    """Give the nearest ancestor that has a transformation of its own."""
    while parent and parent not in actors:
        parent = parent.rpartition(".")[0]
    return parent or None
