"""Verify records: signature, log entry, views, and every object they refer to. Collects what is wrong and goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from reenact import canonical
from reenact.actions.opening import opened, resolve, unfinished
from reenact.actions.sealing import check_signature, logged_statements
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, ObjectDamaged, ObjectMissing, ReenactError
from reenact.ids import RunId
from reenact.model import manifest, references, statement
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.opening import Store
from reenact.store.runs import pointer_lines

__all__ = ["Problem", "VerifiedRun", "needed_objects", "verify"]

_MISSING = 3
_WRONG = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a record."""

    code: str
    subject: str
    """Which part: an artifact, a view, the bundle."""
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRun:
    """What came of one run."""

    run_id: str
    job: str | None
    key_id: str | None
    objects: int
    """Objects that were checked."""
    findings: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, else the gravest of what is."""
        return max((finding.exit_code for finding in self.findings), default=0)


def verify(
    settings: Settings,
    names: Sequence[str],
    *,
    everything: bool = False,
    deep: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[VerifiedRun]:
    """Verify runs.

    Args:
        settings: Where the store is.
        names: References of runs.
        everything: All runs of the store instead, and those that were cut off and cannot be finished.
        deep: Decode and hash the content of every object, not only its stored bytes.
        say: Told what is being done.

    Raises:
        RunNotFound: a reference names none, or several.
        StoreError: the store cannot be read.
    """
    store = opened(settings, cached=False)
    run_ids = store.runs.ids() if everything else [resolve(store, name) for name in names]
    check = _Check(store, deep=deep)
    results = []
    for place, run_id in enumerate(run_ids, start=1):
        say(f"verifying run {place} of {len(run_ids)}")
        results.append(check.run(run_id))
    return [*results, *(_unfinished(store) if everything else ())]


def _unfinished(store: Store) -> Iterator[VerifiedRun]:
    """Name runs that were cut off and cannot be finished: they are not in the store, but what is known of them is."""
    for run_id, reason in unfinished(store).items():
        problem = Problem(code="not-finished", subject="journal", message=reason, exit_code=_WRONG)
        yield VerifiedRun(run_id=run_id, job=None, key_id=None, objects=0, findings=(problem,))


def needed_objects(
    store: Store, bundle: Bundle, manifests: dict[Digest, dict[Digest, str]] | None = None
) -> dict[Digest, str]:
    """Give every object a record refers to, those of its manifests too, each with a word about what it is.

    A manifest that is missing or damaged stands for what it names.

    Args:
        store: Where the manifests are.
        bundle: The record.
        manifests: What those read before refer to, by their digests; is added to.

    Raises:
        MalformedBundle: a manifest is none.
    """
    known = manifests if manifests is not None else {}
    wanted = references.of_bundle(bundle)
    for digest in (bundle.environment.manifest, bundle.capture.host_files):
        if digest is None:
            continue
        if digest not in known:
            with contextlib.suppress(ObjectMissing, ObjectDamaged):
                known[digest] = references.of_manifest(manifest.load(store.objects.read(digest)))
        wanted = {**known.get(digest, {}), **wanted}
    return wanted


class _Check:
    """Verifies runs of one store; an object that several share is checked once."""

    def __init__(self, store: Store, *, deep: bool) -> None:
        self._store = store
        self._deep = deep
        self._checked: dict[Digest, tuple[str, str] | None] = {}
        self._logged = logged_statements(store)

    def run(self, run_id: RunId) -> VerifiedRun:
        """Verify one."""
        try:
            # What nobody known signed is not looked at any further: it may say anything.
            payload, key_id = check_signature(self._store, self._store.runs.envelope(run_id))
            bundle = statement.load_bundle(payload)
        except ReenactError as error:
            problem = Problem(code=error.code, subject="bundle", message=str(error), exit_code=_WRONG)
            return VerifiedRun(run_id=run_id, job=None, key_id=None, objects=0, findings=(problem,))
        wanted, unreadable = self._wanted(bundle)
        problems = [
            *self._log(payload, "bundle"),
            *self._statement(run_id, bundle, payload),
            *self._views(run_id, bundle),
            *self._verdicts(run_id, payload),
            *unreadable,
            *self._objects(wanted),
        ]
        return VerifiedRun(
            run_id=run_id,
            job=bundle.job,
            key_id=key_id,
            objects=len(wanted),
            findings=tuple(problems),
        )

    def _log(self, payload: bytes, subject: str) -> Iterator[Problem]:
        if of_bytes(payload) not in self._logged:
            message = "the log has no entry for what is signed"
            yield Problem(code="not-logged", subject=subject, message=message, exit_code=_WRONG)

    @staticmethod
    def _statement(run_id: RunId, bundle: Bundle, payload: bytes) -> Iterator[Problem]:
        if bundle.run_id != run_id:
            yield Problem(
                code="other-run", subject="bundle", message=f"it is the record of run {bundle.run_id}", exit_code=_WRONG
            )
        said = msgspec.json.decode(payload)["subject"]
        made = msgspec.json.decode(statement.dump_bundle(bundle))["subject"]
        if said != made:
            yield Problem(
                code="other-subjects", subject="bundle", message="its subjects are not its outputs", exit_code=_WRONG
            )

    def _views(self, run_id: RunId, bundle: Bundle) -> Iterator[Problem]:
        for name, expected in (
            ("inputs/pointers.jsonl", pointer_lines(bundle.inputs)),
            ("transformations/map.json", canonical.dumps_plain(bundle.transformation_map)),
            ("outputs/pointers.jsonl", pointer_lines(bundle.outputs)),
        ):
            try:
                got = self._store.runs.view(run_id, name)
            except KeyAbsent:
                yield Problem(code="view-missing", subject=name, message="it is not there", exit_code=_MISSING)
                continue
            if got != expected:
                message = f"got {of_bytes(got)}, expected {of_bytes(expected)}"
                yield Problem(code="view-differs", subject=name, message=message, exit_code=_WRONG)

    def _verdicts(self, run_id: RunId, payload: bytes) -> Iterator[Problem]:
        for replay, envelope in self._store.runs.verdicts(run_id):
            subject = f"verdict {replay}"
            try:
                said, _ = check_signature(self._store, envelope)
                verdict = statement.load_verdict(said)
            except IntegrityError as error:
                yield Problem(code=error.code, subject=subject, message=str(error), exit_code=_WRONG)
                continue
            yield from self._log(said, subject)
            if verdict.bundle_digest != of_bytes(payload):
                message = f"it is about {verdict.bundle_digest}, got {of_bytes(payload)}"
                yield Problem(code="other-bundle", subject=subject, message=message, exit_code=_WRONG)

    def _wanted(self, bundle: Bundle) -> tuple[dict[Digest, str], list[Problem]]:
        """Every object the record refers to, those of its manifests too; a manifest that cannot be read is left to the check."""
        wanted = references.of_bundle(bundle)
        problems = []
        for digest in (bundle.environment.manifest, bundle.capture.host_files):
            if digest is None:
                continue
            try:
                files = references.of_manifest(manifest.load(self._store.objects.read(digest)))
            except IntegrityError as error:
                if error.code == "malformed-bundle":
                    problems.append(
                        Problem(code=error.code, subject=wanted[digest], message=str(error), exit_code=_WRONG)
                    )
                continue
            wanted = {**files, **wanted}
        return wanted, problems

    def _objects(self, wanted: dict[Digest, str]) -> Iterator[Problem]:
        new = [digest for digest in wanted if digest not in self._checked]
        self._checked.update(dict.fromkeys(new))
        for finding in self._store.objects.verify(new, content=self._deep):
            self._checked[finding.digest] = (finding.problem, finding.detail)
        for digest, name in wanted.items():
            found = self._checked[digest]
            if found is not None:
                problem, detail = found
                yield Problem(
                    code=f"object-{problem}",
                    subject=name,
                    message=f"{digest}: {detail}",
                    exit_code=_MISSING if problem == "missing" else _WRONG,
                )
