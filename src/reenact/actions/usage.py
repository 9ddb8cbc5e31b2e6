"""Tell what takes the room in a store: by job, by run, by form; and what sharing, compressing and deltas saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reenact import digests
from reenact.actions.marking import Marks
from reenact.actions.opening import opened, peek_bundle
from reenact.digests import Digest
from reenact.errors import IntegrityError, RunNotFound
from reenact.settings import Settings
from reenact.store.opening import Store
from reenact.store.usage import UNREADABLE, stored_objects

__all__ = ["FormUse", "Usage", "Use", "usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a job or a run takes, in bytes as they are stored."""

    name: str
    """Of the job; of a run its id."""
    job: str
    runs: int
    unique_bytes: int
    """Of objects that nothing else needs: what would be freed without it."""
    shared_bytes: int
    """Of objects that others need, too."""
    records_bytes: int
    """Of bundles, views and verdicts."""
    content_bytes: int
    """Of all its objects, as they are outside of the store; for a job, each run counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormUse:
    """What the objects of one form take."""

    form: str
    objects: int
    content_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What takes the room in a store, in bytes."""

    stored_bytes: int
    """All values of the store, but for what is of one host: caches, journals, unfinished files."""
    objects_bytes: int
    """Of those: objects, packs and their indexes."""
    records_bytes: int
    """Of those: all else."""
    quarantine_bytes: int
    unreferenced_bytes: int
    """Of the objects: those that no run refers to; `prune` frees them, or `prune --repack`."""
    referred_bytes: int
    """Content that runs refer to, each run counted by itself: what copies would take."""
    saved_by_sharing_bytes: int
    """Of that: what more than one run, or name, refers to is kept once."""
    saved_by_deltas_bytes: int
    """Content of deltas, less what they take."""
    saved_by_compressing_bytes: int
    """Content of all other objects, less what they take."""
    jobs: tuple[Use, ...] = field(default=())
    """The largest first."""
    runs: tuple[Use, ...] = field(default=())
    """The latest first."""
    forms: tuple[FormUse, ...] = field(default=())
    unreadable: tuple[str, ...] = field(default=())
    """Runs whose record cannot be read: what they need counts as unreferenced."""


_LOCAL = ("cache", "staging", "journals", "private")


def usage(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Usage:
    """Tell what takes the room. Costs a look at every object, and a read of every bundle.

    Raises:
        StoreError: the store cannot be read.
    """
    return _Usage(opened(settings), say).result()


@dataclass(slots=True)
class _Object:
    content_bytes: int = 0
    stored_bytes: int = 0
    base: bytes | None = None
    run: str | None = None
    """The one run that needs it."""
    job: str | None = None
    runs: int = 0
    """How many need it; 2 stands for more."""
    jobs: int = 0


class _Usage:
    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self._objects: dict[bytes, _Object] = {}
        self._forms: dict[str, list[int]] = {}
        self._unreadable: list[str] = []

    def result(self) -> Usage:
        self._say("looking at objects")
        self._look()
        wanted, jobs = self._wanted()
        areas = self._areas()
        runs = [self._use(run_id, [run_id], wanted, jobs[run_id], areas) for run_id in wanted]
        by_job: dict[str, list[str]] = {}
        for run_id, job in jobs.items():
            by_job.setdefault(job, []).append(run_id)
        used = [found for found in self._objects.values() if found.runs]
        objects = sum(size for area, size in areas.items() if area in {"objects", "packs"})
        everything = sum(size for area, size in areas.items() if "/" not in area and area not in _LOCAL)
        deltas = self._forms.get("zstd delta", [0, 0, 0])
        saved = sum(content - stored for form, (_, content, stored) in self._forms.items() if form != UNREADABLE)
        referred = sum(use.content_bytes for use in runs)
        return Usage(
            stored_bytes=everything,
            objects_bytes=objects,
            records_bytes=everything - objects - areas.get("quarantine", 0),
            quarantine_bytes=areas.get("quarantine", 0),
            unreferenced_bytes=sum(found.stored_bytes for found in self._objects.values() if not found.runs),
            referred_bytes=referred,
            saved_by_sharing_bytes=referred - sum(found.content_bytes for found in used),
            saved_by_deltas_bytes=deltas[1] - deltas[2],
            saved_by_compressing_bytes=saved - (deltas[1] - deltas[2]),
            jobs=tuple(
                sorted(
                    (self._use(job, ids, wanted, job, areas) for job, ids in by_job.items()),
                    key=lambda use: -use.unique_bytes - use.shared_bytes,
                )
            ),
            runs=tuple(reversed(runs)),
            forms=tuple(
                FormUse(form=form, objects=numbers[0], content_bytes=numbers[1], stored_bytes=numbers[2])
                for form, numbers in sorted(self._forms.items(), key=lambda item: -item[1][2])
            ),
            unreadable=tuple(self._unreadable),
        )

    def _look(self) -> None:
        for stored in stored_objects(self._store.backend):
            found = self._objects.setdefault(stored.digest, _Object())
            found.content_bytes = stored.content_bytes or found.content_bytes
            found.stored_bytes += stored.stored_bytes
            found.base = stored.base or found.base
            numbers = self._forms.setdefault(stored.form, [0, 0, 0])
            numbers[0] += 1
            numbers[1] += stored.content_bytes
            numbers[2] += stored.stored_bytes

    def _wanted(self) -> tuple[dict[str, set[bytes]], dict[str, str]]:
        """Give what each run needs, oldest first, its bases included, and its job; note it at the objects."""
        marks = Marks(self._store)
        wanted: dict[str, set[bytes]] = {}
        jobs: dict[str, str] = {}
        for run_id in self._store.runs.ids():
            self._say(f"looking at run {run_id}")
            try:
                jobs[run_id] = peek_bundle(self._store, run_id).job
                needed = self._with_bases(marks.of_run(run_id))
            except (IntegrityError, RunNotFound):
                jobs.pop(run_id, None)
                self._unreadable.append(run_id)
                continue
            wanted[run_id] = needed
            for raw in needed:
                self._note(self._objects[raw], run_id, jobs[run_id])
        return wanted, jobs

    def _with_bases(self, wanted: Iterable[Digest]) -> set[bytes]:
        found: set[bytes] = set()
        waiting = [digests.to_raw(digest) for digest in wanted]
        while waiting:
            raw = waiting.pop()
            stored = self._objects.get(raw)
            if stored is None or raw in found:
                continue  # missing: `verify` and `scrub` tell of it
            found.add(raw)
            if stored.base is not None:
                waiting.append(stored.base)
        return found

    @staticmethod
    def _note(found: _Object, run_id: str, job: str) -> None:
        found.runs = min(found.runs + 1, 2)
        found.run = run_id
        if found.job != job:
            found.jobs = min(found.jobs + 1, 2)
            found.job = job

    def _use(
        self, name: str, run_ids: list[str], wanted: dict[str, set[bytes]], job: str, areas: dict[str, int]
    ) -> Use:
        needed = set().union(*(wanted[run_id] for run_id in run_ids))
        alone = len(run_ids) == 1 and name == run_ids[0]
        unique = shared = 0
        for raw in needed:
            found = self._objects[raw]
            if (found.runs if alone else found.jobs) == 1:
                unique += found.stored_bytes
            else:
                shared += found.stored_bytes
        return Use(
            name=name,
            job=job,
            runs=len(run_ids),
            unique_bytes=unique,
            shared_bytes=shared,
            records_bytes=sum(areas.get(f"runs/{run_id}", 0) for run_id in run_ids),
            content_bytes=sum(self._objects[raw].content_bytes for run_id in run_ids for raw in wanted[run_id]),
        )

    def _areas(self) -> dict[str, int]:
        """Add up the values of each folder of the store, and of each run."""
        found: dict[str, int] = {}
        for entry in self._store.backend.listing(""):
            top, _, rest = entry.key.partition("/")
            found[top] = found.get(top, 0) + entry.size_bytes
            if top == "runs":
                run = f"runs/{rest.partition('/')[0]}"
                found[run] = found.get(run, 0) + entry.size_bytes
        return found
