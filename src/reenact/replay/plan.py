"""The plan of a replay: what it needs, what of that is missing, what stands in the way. Pure; nothing is executed.

Everything that is wrong is found at once and by name, so that a person can decide before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reenact.capture.redact import labels
from reenact.digests import Digest
from reenact.model.artifact import Entry
from reenact.model.bundle import Bundle, Hazard
from reenact.model.environment import Manifest
from reenact.model.paths import from_text
from reenact.replay.drift import Host, drift
from reenact.replay.fresh import Place, entries_of
from reenact.replay.interface import ObjectChecker
from reenact.replay.layout import is_laid_out
from reenact.replay.ownership import Ownership
from reenact.replay.probe import Probe
from reenact.replay.rungs import LowerRung, ReplayRung

__all__ = ["Lack", "Piece", "Plan", "Problem", "Purpose", "Secret", "make_folder_plan", "make_plan"]

Purpose = Literal[
    "manifest",
    "environment",
    "host",
    "input",
    "code",
    "stdin",
    "tape",
    "absent-paths",
    "listings",
    "stat-facts",
    "lock",
]
Problem = Literal["missing", "damaged", "not-kept"]
"""``not-kept``: the record itself says that these bytes were needed and were not stored."""

_SEALED: Final = "sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes a replay needs."""

    purpose: Purpose
    name: str
    """Of the artifact, or the path of an environment file."""
    digest: Digest | None
    """None where no bytes were kept."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A piece that cannot be had."""

    piece: Piece
    problem: Problem
    detail: str = ""

    def sentence(self) -> str:
        """Say it in words."""
        what = f"{self.piece.purpose} {self.piece.name}"
        digest = f" ({self.piece.digest})" if self.piece.digest else ""
        problem = self.problem.replace("-", " ")
        return f"{what}{digest}: {problem}{': ' + self.detail if self.detail else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A value the record does not hold and the job was given."""

    name: str
    """Of the variable; for a part of a value, of the secret in it."""
    where: str
    """``variable NAME``, or ``argument N``, counted from 0."""
    fingerprint: str = ""
    """Keyed; tells whether a value offered now is the recorded one. Empty for a part of a value, which carries its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay of one run would need and meet."""

    run_id: str
    replayable: bool
    """On that rung, here and now."""
    rung: ReplayRung | None
    """None when the one that was asked for is impossible here."""
    way: str | None
    """Who makes the world: ``root``, or ``user`` in a user namespace. None on the lower rungs."""
    pieces: tuple[Piece, ...]
    """Everything needed, sorted by purpose and name."""
    lacks: tuple[Lack, ...]
    obstacles: tuple[str, ...]
    """Reasons, besides lacking pieces, why the run cannot be replayed on that rung."""
    hazards: tuple[Hazard, ...]
    """Reasons, known when the run was recorded, why the result may differ all the same."""
    drift: tuple[str, ...]
    secrets: tuple[Secret, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Everything that stands in the way, in words."""
        return (*self.obstacles, *(lack.sentence() for lack in self.lacks))

    @property
    def size_bytes(self) -> int:
        """Size of all pieces, each content once."""
        return sum({piece.digest: piece.size_bytes for piece in self.pieces if piece.digest}.values())


def make_plan(
    bundle: Bundle,
    manifest: Manifest | None,
    checker: ObjectChecker,
    *,
    now: Host,
    probe: Probe,
    host_files: Manifest | None = None,
    content: bool = False,
) -> Plan:
    """Plan a replay.

    Args:
        bundle: The record.
        manifest: Its sealed environment; None when there is none or it could not be read.
        checker: Tells which objects are missing or damaged.
        now: This machine.
        probe: What closed worlds this machine allows.
        host_files: The frozen copies of /sys, where the record names them and they could be read.
        content: Have every object's content hashed, not only its stored bytes.
    """
    pieces = tuple(
        sorted(set(_pieces(bundle, manifest, host_files)), key=lambda p: (p.purpose, p.name, p.digest or ""))
    )
    lacks = _lacks(bundle, pieces, checker, content=content)
    obstacles = tuple(_obstacles(bundle, now, probe))
    possible = not obstacles
    return Plan(
        run_id=bundle.run_id,
        replayable=possible and not lacks,
        rung="world" if possible else None,
        way=probe.mode if possible else None,
        pieces=pieces,
        lacks=lacks,
        obstacles=obstacles,
        hazards=bundle.determinism.hazards,
        drift=drift(Host(system=bundle.environment.system, cpu=bundle.environment.cpu), now),
        secrets=tuple(_secrets(bundle)),
    )


def make_folder_plan(
    bundle: Bundle,
    manifest: Manifest | None,
    checker: ObjectChecker,
    *,
    rung: LowerRung,
    place: Place,
    obstacles: Sequence[str],
    now: Host,
) -> Plan:
    """Plan a replay in a fresh folder.

    Args:
        bundle: The record.
        manifest: Its sealed environment, where there is one: packages in the job's own folder are laid out from it.
        checker: Tells which objects are missing or damaged.
        rung: Which.
        place: Where recorded environments would be; its mirror need not be there.
        obstacles: What stands in the way of this rung besides what is said here.
        now: This machine.
    """
    owner = Ownership(exact=False, uid=bundle.launch.uid, gid=bundle.launch.gid, groups=bundle.launch.groups)
    inputs = {artifact.entry.path: artifact for artifact in bundle.inputs}
    found: set[Piece] = set()
    for entry in entries_of(bundle, manifest, place):
        known = inputs.get(entry.path)
        purpose: Purpose = "environment" if known is None else "code" if known.kind == "code" else "input"
        found.update(_piece(purpose, known.name if known is not None else entry.path, entry, owner))
    if (pointer := bundle.launch.stdin.pointer) is not None:
        found.add(Piece(purpose="stdin", name="stdin", digest=pointer.digest, size_bytes=pointer.size_bytes))
    if rung == "rebuilt" and bundle.environment.lock is not None:
        found.add(Piece(purpose="lock", name="packages", digest=bundle.environment.lock, size_bytes=0))
    pieces = tuple(sorted(found, key=lambda p: (p.purpose, p.name, p.digest or "")))
    lacks = _lacks(bundle, pieces, checker, content=False)
    reasons = (*_cut(bundle), *obstacles)
    return Plan(
        run_id=bundle.run_id,
        replayable=not reasons and not lacks,
        rung=None if reasons else rung,
        way=None,
        pieces=pieces,
        lacks=lacks,
        obstacles=reasons,
        hazards=bundle.determinism.hazards,
        drift=drift(Host(system=bundle.environment.system, cpu=bundle.environment.cpu), now),
        secrets=tuple(_secrets(bundle)),
    )


def _pieces(bundle: Bundle, manifest: Manifest | None, host_files: Manifest | None) -> Iterator[Piece]:
    launch, capture = bundle.launch, bundle.capture
    named: list[tuple[Purpose, str, Digest | None]] = [
        ("manifest", "environment", bundle.environment.manifest),
        ("manifest", "host files", capture.host_files),
        ("absent-paths", "paths that were not there", capture.absent),
        ("listings", "order of names in folders", capture.listings),
        ("stat-facts", "inode numbers and change times", capture.stat_facts),
        *((("tape", name, digest)) for name, digest in bundle.determinism.tapes.items()),
    ]
    for purpose, name, digest in named:
        if digest is not None:
            yield Piece(purpose=purpose, name=name, digest=digest, size_bytes=0)
    if launch.stdin.pointer is not None:
        pointer = launch.stdin.pointer
        yield Piece(purpose="stdin", name="stdin", digest=pointer.digest, size_bytes=pointer.size_bytes)
    owner = Ownership(exact=False, uid=launch.uid, gid=launch.gid, groups=launch.groups)
    for artifact in bundle.inputs:
        purpose = "code" if artifact.kind == "code" else "input"
        yield from _piece(purpose, artifact.name, artifact.entry, owner)
    for purpose, entries in (("environment", manifest), ("host", host_files)):
        for entry in entries.entries if entries is not None else ():
            yield from _piece(purpose, entry.path, entry, owner)


def _piece(purpose: Purpose, name: str, entry: Entry, owner: Ownership) -> Iterator[Piece]:
    """Give the piece an entry needs, if any: content that is kept, or content that was wanted and is not."""
    if entry.type != "file" or not is_laid_out(from_text(entry.path)):
        return
    wanted = entry.need == "content" and owner.mode(entry) != 0  # what the job could not read needs no bytes
    if entry.digest is not None or wanted:
        yield Piece(purpose=purpose, name=name, digest=entry.digest, size_bytes=entry.size_bytes)


def _lacks(bundle: Bundle, pieces: Iterable[Piece], checker: ObjectChecker, *, content: bool) -> tuple[Lack, ...]:
    known = [piece for piece in pieces if piece.digest is not None]
    digests = sorted({piece.digest for piece in known if piece.digest is not None})
    findings = {finding.digest: finding for finding in checker.verify(digests, content=content)}
    found = []
    for piece in pieces:
        if piece.digest is None:
            cause = bundle.unobserved.get(f"inputs[{piece.name}].pointer", "")
            found.append(Lack(piece=piece, problem="not-kept", detail=cause))
        elif (finding := findings.get(piece.digest)) is not None:
            problem: Problem = "missing" if finding.problem == "missing" else "damaged"
            found.append(Lack(piece=piece, problem=problem, detail=finding.detail))
    return tuple(found)


def _cut(bundle: Bundle) -> Iterator[str]:
    if bundle.status == "incomplete":
        when = "before the job ended" if bundle.exit_code is None else "before all that the job did was in it"
        yield f"the recording was cut off {when}"


def _obstacles(bundle: Bundle, now: Host, probe: Probe) -> Iterator[str]:
    environment = bundle.environment
    yield from _cut(bundle)
    if environment.mode != _SEALED:
        yield f"the environment was {environment.mode}, not sealed: its files are not in the store"
    elif environment.manifest is None:
        yield "the record names no sealed environment"
    if environment.system.machine != now.system.machine:
        yield f"its programs are for {environment.system.machine}, this machine is {now.system.machine}"
    if not probe.possible:
        yield f"no closed world is possible here: {'; '.join(probe.reasons)}"


def _secrets(bundle: Bundle) -> Iterator[Secret]:
    environment = bundle.environment
    for name, fingerprint in sorted(environment.redacted.items()):
        yield Secret(name=name, where=f"variable {name}", fingerprint=fingerprint)
    for name, value in sorted(environment.variables.items()):
        for label in labels(value):
            yield Secret(name=label, where=f"variable {name}")
    for number, word in enumerate(bundle.launch.argv):
        for label in labels(word):
            yield Secret(name=label, where=f"argument {number}")
