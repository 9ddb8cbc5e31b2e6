"""Scrub a store: hash everything in it, name what is damaged or missing and who needs it, put it aside, and repair it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from reenact import canonical
from reenact.actions.keeping import access
from reenact.actions.opening import opened, peek_bundle
from reenact.actions.repairing import Outcome, Repair
from reenact.actions.verify import Problem, VerifiedRun, needed_objects, verify_records
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, RunNotFound, StoreError
from reenact.ids import RunId, is_run_id
from reenact.seal.checkpoint import Checkpoint
from reenact.settings import Settings
from reenact.store.backends.throttle import Pace, ThrottledBackend
from reenact.store.checklist import Checklist
from reenact.store.closure import closure
from reenact.store.description import DESCRIPTION
from reenact.store.interface import Backend
from reenact.store.opening import Store, open_store
from reenact.store.scrub import Damage, each

__all__ = ["Need", "ScrubFinding", "ScrubRequest", "ScrubResult", "scrub", "scrub_store"]

_GITIGNORE: Final = ".gitignore"
_KNOWN: Final = frozenset(
    {
        "log",
        "keys",
        "holds",
        "tombstones",
        "baselines",
        "writers",
        "condemned",
        "pruning",
        "quarantine",
        "encryption",
        "audits",
    }
)
"""Folders whose values are checked as records, or end by themselves, or are nobody's any more."""
_LOCAL: Final = frozenset({"cache", "staging", "journals", "private", "catalog.sqlite"})
"""What is derived, or of live runs, or of one user: nothing that is referred to is in it."""
_IN_RUN: Final = (
    "bundle.dsse.json.zst",
    "inputs/pointers.jsonl",
    "transformations/map.json",
    "outputs/pointers.jsonl",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubRequest:
    """How to scrub."""

    deep: bool = False
    """Decode objects, too, and hash their content."""
    sample: float = 1.0
    """Share of the files of objects, and of packs, that are hashed: more than 0, at most 1. Records are checked all."""
    seed: str = ""
    """Chooses which; the same seed the same ones."""
    max_bytes_per_second: float = 0.0
    """0 for as fast as it goes."""
    restart: bool = False
    """Forget what a scrub that was cut off has done."""
    quarantine: bool = False
    """Put damaged values aside, under ``quarantine/``."""
    repair_from: str | None = None
    """A store to take good copies from; implies `quarantine`."""
    runs: tuple[RunId, ...] | None = None
    """Check only these, and what they refer to; None for everything."""
    trust_file: str | None = None
    """Says whom to believe; None: the one of the settings, if there is one."""
    since: Checkpoint | None = None
    """A state of the log seen earlier, which it must still begin with."""
    purpose: str = "scrub"
    """Names the file that notes what is done: one that is cut off for another purpose is not gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Somebody who needs an object."""

    run_id: str
    job: str
    artifact: str
    base_of: str | None = None
    """The object of the run that is a delta against it, or against one that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubFinding:
    """One thing that is wrong."""

    subject: str
    """The key of a value; of a record its run and part."""
    problem: str
    """``missing``, ``damaged``, ``stray``, or a code of docs/reference/findings.md."""
    detail: str
    object: Digest | None = None
    needed_by: tuple[Need, ...] = ()
    outcome: Outcome = "reported"
    exit_code: int = 4
    run_id: str = ""
    """Of a record: its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubResult:
    """What came of it."""

    values: int
    """Files of objects and packs that were hashed, those of an attempt that was cut off included."""
    skipped: int
    """Left out by the sample."""
    stored_bytes: int
    """Hashed now."""
    seconds: float
    resumed: bool
    seed: str
    findings: tuple[ScrubFinding, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong any more, else the gravest of what is."""
        return max((finding.exit_code for finding in self.findings if finding.outcome != "repaired"), default=0)


def scrub(settings: Settings, request: ScrubRequest, say: Callable[[str], None] = lambda _: None) -> ScrubResult:
    """Check all of a store.

    Raises:
        StoreError: it, or the one to repair from, cannot be used.
    """
    return scrub_store(opened(settings, cached=False), settings, request, say)[0]


def scrub_store(
    store: Store, settings: Settings, request: ScrubRequest, say: Callable[[str], None] = lambda _: None
) -> tuple[ScrubResult, frozenset[Digest]]:
    """Check a store that is open; see :func:`scrub`. Gives the objects that records refer to, with what they are made against, too."""
    work = _Scrub(store, settings, request, say)
    return work.run(), frozenset(work.needed)


class _CutOff(BaseException):
    """Another thread was cut off; no Exception, which would be taken for damage."""


class _Counting(ThrottledBackend):
    """Counts what is read; and gives no more once the work was cut off, so that nobody waits for the end of a large pack."""

    def __init__(self, inner: Backend, pace: Pace | None) -> None:
        super().__init__(inner, pace, 0)
        self.read_bytes = 0
        self.is_cut_off = False
        self._counter = threading.Lock()

    def get(self, key: str) -> bytes:
        data = super().get(key)
        self._add(len(data))
        return data

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        data = super().get_range(key, offset, length)
        self._add(len(data))
        return data

    def _add(self, count: int) -> None:
        if self.is_cut_off:
            raise _CutOff
        with self._counter:
            self.read_bytes += count


class _Scrub:
    def __init__(self, store: Store, settings: Settings, request: ScrubRequest, say: Callable[[str], None]) -> None:
        self._store, self._settings, self._request, self._say = store, settings, request, say
        rate = request.max_bytes_per_second
        self._backend = _Counting(store.backend, Pace(rate) if rate else None)
        self._scrubber = store.scrubber(self._backend, content=request.deep)
        self.needed: set[Digest] = set()

    def run(self) -> ScrubResult:
        begun = time.monotonic()
        keys = self._scrubber.keys() if self._request.runs is None else self._keys_of_runs()
        chosen = [key for key in keys if self._is_chosen(key)]
        damages, resumed = self._hash(chosen)
        findings = [*_or_not_checked("objects", self._objects(damages)), *self._records()]
        if self._request.quarantine or self._request.repair_from is not None:
            findings = self._mended(findings)
        return ScrubResult(
            values=len(chosen),
            skipped=len(keys) - len(chosen),
            stored_bytes=self._backend.read_bytes,
            seconds=time.monotonic() - begun,
            resumed=resumed,
            seed=self._request.seed,
            findings=tuple(sorted(findings, key=lambda finding: (finding.subject, finding.object or ""))),
        )

    def _keys_of_runs(self) -> list[str]:
        """Give the files of objects, and the packs by their indexes, that hold what the runs to check refer to."""
        keys: dict[str, None] = {}
        for _, _, wanted in self._wanted():
            for digest in {*wanted, *closure(list(wanted), self._base_of).values()}:
                place = self._store.objects.place_of(digest)
                if place is not None:
                    keys[place.key.removesuffix(".pack") + ".idx" if place.key.endswith(".pack") else place.key] = None
        return [*keys]

    def _is_chosen(self, key: str) -> bool:
        number = int.from_bytes(hashlib.sha256(f"{self._request.seed}:{key}".encode()).digest()[:8], "big")
        return number < self._request.sample * 2**64

    def _hash(self, keys: list[str]) -> tuple[list[Damage], bool]:
        """Hash objects and packs; give what is damaged, and whether an earlier attempt was gone on with."""
        path = os.path.join(self._store.cache, f"{self._request.purpose}.jsonl")
        task = {
            "deep": self._request.deep,
            "sample": self._request.sample,
            "seed": self._request.seed,
            "runs": list(self._request.runs) if self._request.runs is not None else None,
            "version": 1,
        }
        if self._request.restart:
            Checklist(path, {}).finish()
        done = Checklist(path, task)
        resumed = done.resumed
        damages = [msgspec.convert(item, Damage) for found in done.done.values() for item in found]
        left = [key for key in keys if key not in done.done]

        def check(key: str) -> None:
            try:
                found = self._scrubber.check(key)
            except BaseException:
                self._backend.is_cut_off = True
                raise
            damages.extend(found)
            done.add(key, [msgspec.to_builtins(damage) for damage in found])
            self._say(f"hashed {len(keys) - len(left) + next(counter)} of {len(keys)} objects and packs")

        counter = iter(range(1, len(left) + 1))
        try:
            each(left, check)
        except BaseException:
            done.close()
            raise
        done.finish()
        return damages, resumed

    # --- objects

    def _objects(self, damages: list[Damage]) -> Iterator[ScrubFinding]:
        """Say of each damaged or missing object who needs it."""
        self._say("looking for what is missing")
        self._store.objects.refresh()
        harmed: dict[Digest, list[Damage]] = {}
        for damage in damages:
            if not damage.objects:
                yield ScrubFinding(subject=damage.key, problem=damage.problem, detail=damage.detail)
            for digest in damage.objects:
                harmed.setdefault(digest, []).append(damage)
        needs = self._needs(harmed)
        if self._request.runs is not None:
            harmed = {digest: found for digest, found in harmed.items() if digest in needs}
        for digest, found in harmed.items():
            for damage in found:
                yield _finding(damage, digest, tuple(needs.get(digest, ())))
        for digest in sorted(needs.keys() - harmed.keys()):
            detail = "in no pack and no file of its own"
            yield ScrubFinding(
                subject=digest,
                problem="missing",
                detail=detail,
                object=digest,
                needed_by=tuple(needs[digest]),
                exit_code=3,
            )

    def _needs(self, harmed: dict[Digest, list[Damage]]) -> dict[Digest, list[Need]]:
        """Find who needs what is harmed, and what is needed and missing."""
        found: dict[Digest, list[Need]] = {}
        places: dict[Digest, bool] = {}
        bases: dict[Digest, Digest] = {}
        for run_id, job, wanted in self._wanted():
            new = [digest for digest in wanted if digest not in places]
            more = closure(new, self._base_of)
            bases |= more
            for digest in {*new, *more.values()}:
                places.setdefault(digest, self._store.objects.place_of(digest) is not None)
            self.needed.update(wanted, more.values())
            for digest, artifact in wanted.items():
                for needed, above in _chain(digest, bases):
                    if needed in harmed or not places[needed]:
                        found.setdefault(needed, []).append(
                            Need(run_id=run_id, job=job, artifact=artifact, base_of=above)
                        )
        return found

    def _base_of(self, digest: Digest) -> Digest | None:
        try:
            return next(iter(self._store.objects.bases_of(digest)), None)
        except StoreError:
            return None

    def _wanted(self) -> Iterator[tuple[str, str, dict[Digest, str]]]:
        """Give each run that can be read, and what it needs."""
        manifests: dict[Digest, dict[Digest, str]] = {}
        for run_id in self._store.runs.ids() if self._request.runs is None else self._request.runs:
            try:
                bundle = peek_bundle(self._store, run_id)
                yield run_id, bundle.job, needed_objects(self._store, bundle, manifests)
            except (IntegrityError, RunNotFound, StoreError):
                continue  # told of among the records

    # --- records

    def _records(self) -> Iterator[ScrubFinding]:
        self._say("checking records")
        request = self._request
        for run in verify_records(
            self._store, self._settings, self._say, request.trust_file, since=request.since, runs=request.runs
        ):
            yield from (_of_problem(run, problem) for problem in run.findings)
        yield from _or_not_checked(DESCRIPTION, self._description())
        if request.runs is None:
            yield from _or_not_checked("store", self._strays())

    def _description(self) -> Iterator[ScrubFinding]:
        detail = description_flaw(self._backend.get(DESCRIPTION))
        if detail:
            yield ScrubFinding(subject=DESCRIPTION, problem="store-damaged", detail=detail)
        path = os.path.join(self._store.location, _GITIGNORE)
        try:
            with open(path, "rb") as file:
                if file.read() != b"*\n":
                    yield ScrubFinding(subject=_GITIGNORE, problem="store-damaged", detail="it does not say: *")
        except OSError:
            pass  # In a bucket there is none, and who wants none has deleted it: nothing is read from it.

    def _strays(self) -> Iterator[ScrubFinding]:
        detail = "it is no part of a store that this program knows"
        for key in self._backend.list(""):
            top, _, rest = key.partition("/")
            known = top in _KNOWN or top in _LOCAL or top in {"objects", "packs"} or key == DESCRIPTION
            if top == "runs":
                run_id, _, name = rest.partition("/")
                known = is_run_id(run_id) and (name in _IN_RUN or name.startswith(("verdicts/", "summaries/")))
            if not known:
                yield ScrubFinding(subject=key, problem="stray", detail=detail, exit_code=1)

    # --- mending

    def _mended(self, findings: Sequence[ScrubFinding]) -> list[ScrubFinding]:
        source = self._request.repair_from
        other = None
        if source is not None:
            place = source if "://" in source else os.path.expanduser(source)
            other = open_store(place, create=False, access=access(self._settings, cached=False))
        repair = Repair(self._store, other, self._say)
        outcomes = repair.run([(finding.subject, finding.problem, finding.object) for finding in findings])
        return [replace(finding, outcome=outcome) for finding, outcome in zip(findings, outcomes, strict=True)]


def _or_not_checked(subject: str, findings: Iterator[ScrubFinding]) -> Iterator[ScrubFinding]:
    """Give findings; where the store cannot be read any further, say so, and let the rest be looked at."""
    try:
        yield from findings
    except (StoreError, IntegrityError) as error:
        yield ScrubFinding(subject=subject, problem="not-checked", detail=str(error))


def description_flaw(data: bytes) -> str:
    """Say what is wrong with the bytes of ``store.json``; empty when nothing is, or nobody can tell.

    Stores made before it carried a check sum say nothing against a changed id.
    """
    try:
        fields: dict[str, Any] = json.loads(data)
        check = fields.pop("check", None)
        body = canonical.dumps_plain(fields)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return f"it cannot be read: {error}"
    written = canonical.dumps_plain({**fields, "check": check} if check is not None else fields) + b"\n"
    if data != written:
        return "its bytes are not in their canonical form"
    unknown = fields.keys() - {"format", "id", "digest_names", "encryption"}
    if unknown:
        return f"it has fields this program does not know: {', '.join(sorted(unknown))}"
    if check is not None and check != of_bytes(body):
        return f"its check sum is {check}, and its content has {of_bytes(body)}"
    return ""


def _chain(digest: Digest, bases: dict[Digest, Digest]) -> Iterator[tuple[Digest, str | None]]:
    """Give an object and what it is made against, each with the object of the run, but for itself."""
    yield digest, None
    seen = {digest}
    base = bases.get(digest)
    while base is not None and base not in seen:
        yield base, digest
        seen.add(base)
        base = bases.get(base)


def _finding(damage: Damage, digest: Digest, needs: tuple[Need, ...]) -> ScrubFinding:
    return ScrubFinding(
        subject=damage.key,
        problem=damage.problem,
        detail=damage.detail,
        object=digest,
        needed_by=needs,
        exit_code=3 if damage.problem == "missing" else 4,
    )


def _of_problem(run: VerifiedRun, problem: Problem) -> ScrubFinding:
    where = f"run {run.run_id}: " if run.run_id else ""
    return ScrubFinding(
        subject=f"{where}{problem.subject}",
        problem=problem.code,
        detail=problem.message,
        exit_code=problem.exit_code,
        run_id=run.run_id,
    )
