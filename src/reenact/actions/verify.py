"""Verify records: signatures, place in the log, views, verdicts, and every object they refer to. Collects what is wrong, goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from reenact import canonical
from reenact.actions.completeness import record_flaws
from reenact.actions.logview import LogView
from reenact.actions.opening import opened, resolve, unfinished
from reenact.actions.trusting import load_trust
from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, KeyAbsent, ObjectDamaged, ObjectMissing, ReenactError, ValueDamaged
from reenact.ids import RunId
from reenact.model import manifest, references, statement
from reenact.model.bundle import Bundle
from reenact.model.summary_attestation import dump_summary
from reenact.model.verdict import Verdict, following
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.entry import load as load_entry
from reenact.seal.flaws import FLAWS, Flaw
from reenact.settings import Settings
from reenact.store.opening import Store
from reenact.store.runs import pointer_lines

__all__ = ["Problem", "RunCheck", "VerifiedRun", "needed_objects", "verify", "verify_records"]

_SAME = frozenset({"identical", "equivalent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a record."""

    code: str
    """See docs/reference/findings.md."""
    subject: str
    """Which part: an artifact, a view, the bundle."""
    message: str
    exit_code: int

    @classmethod
    def of(cls, flaw: Flaw, subject: str) -> Problem:
        """Say what a flaw is of."""
        return cls(code=flaw.code, subject=subject, message=flaw.message, exit_code=flaw.exit_code)


def _problem(code: str, subject: str, message: str) -> Problem:
    return Problem.of(Flaw(code, message), subject)


def _problems(flaws: Iterable[Flaw], subject: str) -> list[Problem]:
    return [Problem.of(flaw, subject) for flaw in flaws]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRun:
    """What came of one run."""

    run_id: str
    job: str | None
    key_id: str | None
    objects: int
    """Objects that were checked."""
    findings: tuple[Problem, ...]
    log_index: int | None = None
    """Its place in the log."""
    signers: tuple[str, ...] = ()
    """Every key that signed it and counted then."""
    owners: tuple[str, ...] = ()
    """Whose keys they are, as the trust file has it."""
    trusted: bool | None = None
    """Whether those are enough for the trust file; None without one: then the store names its keys itself."""
    verdicts: tuple[str, ...] = ()
    """What its replays came to, oldest first; those that hold."""
    reproduced: tuple[str, ...] = ()
    """The outputs that a replay made again, identical or equivalent."""

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
    trust_file: str | None = None,
    since: Checkpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[VerifiedRun]:
    """Verify runs.

    Args:
        settings: Where the store is.
        names: References of runs.
        everything: All runs of the store instead, and those that were cut off and cannot be finished.
        deep: Decode and hash the content of every object, not only its stored bytes.
        trust_file: Says whom to believe; None: the one of the settings, if there is one.
        since: A state of the log seen earlier, which it must still begin with.
        say: Told what is being done.

    Raises:
        RunNotFound: a reference names none, or several.
        StoreError: the store cannot be read.
    """
    store = opened(settings, cached=False)
    run_ids = store.runs.ids() if everything else [resolve(store, name) for name in names]
    view = LogView(store, load_trust(settings, trust_file), pinned=since)
    check = RunCheck(store, view, deep=deep)
    results = []
    for place, run_id in enumerate(run_ids, start=1):
        say(f"verifying run {place} of {len(run_ids)}")
        results.append(check.run(run_id))
    return [*results, *(_whole(store, settings, view, say) if everything else _log(view.root_flaws()))]


def _log(flaws: list[Flaw]) -> Iterator[VerifiedRun]:
    """Tell what is wrong with the log itself, in the place of a run without an id."""
    if flaws:
        findings = tuple(_problems(flaws, "log"))
        yield VerifiedRun(run_id="", job=None, key_id=None, objects=0, findings=findings)


def _whole(store: Store, settings: Settings, view: LogView, say: Callable[[str], None]) -> Iterator[VerifiedRun]:
    say("verifying the log")
    yield from _log(view.all_flaws())
    lost: dict[str, list[Problem]] = {}
    for run_id, subject, flaw in record_flaws(store):
        lost.setdefault(run_id, []).extend(_problems([flaw], subject))
    for run_id, problems in lost.items():
        yield VerifiedRun(run_id=run_id, job=None, key_id=None, objects=0, findings=tuple(problems))
    yield from _unfinished(store, settings)


def verify_records(
    store: Store,
    settings: Settings,
    say: Callable[[str], None] = lambda _: None,
    trust_file: str | None = None,
    *,
    since: Checkpoint | None = None,
    runs: Sequence[RunId] | None = None,
) -> Iterator[VerifiedRun]:
    """Verify records of a store as :func:`verify` does, but for the objects they refer to; give what is not well.

    What cannot be read is told of, and the others are gone on with.

    Args:
        store: Where they are.
        settings: Name the trust file.
        say: Told what is being done.
        trust_file: Says whom to believe; None: the one of the settings, if there is one.
        since: A state of the log seen earlier, which it must still begin with.
        runs: Which, with the roots of the log; None for all, with the whole log.

    Raises:
        SettingsError: the trust file cannot be used.
        StoreError: the store cannot be listed.
    """
    view = LogView(store, load_trust(settings, trust_file), pinned=since)
    check = RunCheck(store, view, deep=False, objects=False)
    for run_id in store.runs.ids() if runs is None else runs:
        try:
            found = check.run(run_id)
        except ReenactError as error:
            found = _refused(run_id, [_problem("not-checked", "record", str(error))])
        if found.findings:
            yield found
    try:
        yield from _log(view.root_flaws()) if runs is not None else _whole(store, settings, view, say)
    except ReenactError as error:
        problem = _problem("not-checked", "log", str(error))
        yield VerifiedRun(run_id="", job=None, key_id=None, objects=0, findings=(problem,))


def _unfinished(store: Store, settings: Settings) -> Iterator[VerifiedRun]:
    """Name runs that were cut off and cannot be finished: they are not in the store, but what is known of them is."""
    for run_id, reason in unfinished(store, settings).items():
        problem = _problem("not-sealed" if "not signed yet" in reason else "not-finished", "journal", reason)
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


class RunCheck:
    """Verifies runs of one store; an object that several share is checked once."""

    def __init__(self, store: Store, view: LogView, *, deep: bool, objects: bool = True) -> None:
        self._store = store
        self._view = view
        self._deep = deep
        self._with_objects = objects
        self._checked: dict[Digest, tuple[str, str] | None] = {}

    def run(self, run_id: RunId) -> VerifiedRun:
        """Verify one."""
        try:
            envelope = self._store.runs.envelope(run_id)
            # What nobody known signed is not looked at any further: it may say anything.
            first = self._view.open(envelope, None)
            if first.payload is None:
                return _refused(run_id, _problems(first.flaws, "bundle"))
            payload = first.payload
            bundle = statement.load_bundle(payload)
        except ReenactError as error:
            other = "integrity" if isinstance(error, IntegrityError) else "not-checked"
            code = error.code if error.code in FLAWS else other
            return _refused(run_id, [_problem(code, "bundle", str(error))])
        about = bundle.ended_at or bundle.timestamp
        index, problems = self._logged(payload, "run", (run_id, None), about, "bundle")
        signed = self._view.open(envelope, index)
        wanted, unreadable = self._wanted(bundle)
        verdicts, verdict_problems = self._verdicts(run_id, bundle, payload)
        problems += [
            *_problems(signed.flaws, "bundle"),
            *self._statement(run_id, bundle, payload),
            *self._views(run_id, bundle),
            *verdict_problems,
            *unreadable,
            *(self._objects(wanted) if self._with_objects else ()),
        ]
        return VerifiedRun(
            run_id=run_id,
            job=bundle.job,
            key_id=(signed.signers or (None,))[0],
            objects=len(wanted),
            findings=tuple(problems),
            log_index=index,
            signers=signed.signers,
            owners=self._view.owners(signed.signers),
            trusted=self._view.trusts(signed),
            verdicts=tuple(verdict.verdict for verdict in verdicts),
            reproduced=tuple(sorted({o.name for v in verdicts for o in v.outputs if o.verdict in _SAME})),
        )

    def _logged(
        self, payload: bytes, kind: str, runs: tuple[str, str | None], about: str, subject: str
    ) -> tuple[int | None, list[Problem]]:
        """Find the entry of a statement, and judge it; `runs` are the run and the replay it must name."""
        index = self._view.find(of_bytes(payload), kind, about)
        if index is None:
            return None, [_problem("not-logged", subject, "the log has no entry for what is signed")]
        flaws = self._view.entry_flaws(index, about if kind == "run" else None)
        try:
            entry = load_entry(self._view.leaf(index), index)
        except IntegrityError:
            return index, _problems(flaws, subject)
        if (entry.run_id, entry.replay_run_id) != runs:
            flaws.append(Flaw("entry-differs", f"entry {index} says it is of run {entry.run_id}, expected {runs[0]}"))
        return index, _problems(flaws, subject)

    @staticmethod
    def _statement(run_id: RunId, bundle: Bundle, payload: bytes) -> Iterator[Problem]:
        if bundle.run_id != run_id:
            yield _problem("other-run", "bundle", f"it is the record of run {bundle.run_id}")
        said = msgspec.json.decode(payload)["subject"]
        made = msgspec.json.decode(statement.dump_bundle(bundle))["subject"]
        if said != made:
            yield _problem("other-subjects", "bundle", "its subjects are not its outputs")

    def _views(self, run_id: RunId, bundle: Bundle) -> Iterator[Problem]:
        for name, expected in (
            ("inputs/pointers.jsonl", pointer_lines(bundle.inputs)),
            ("transformations/map.json", canonical.dumps_plain(bundle.transformation_map)),
            ("outputs/pointers.jsonl", pointer_lines(bundle.outputs)),
        ):
            try:
                got = self._store.runs.view(run_id, name)
            except KeyAbsent:
                yield _problem("view-missing", name, "it is not there")
                continue
            except ValueDamaged as error:
                yield _problem("view-differs", name, str(error))
                continue
            if got != expected:
                yield _problem("view-differs", name, f"got {of_bytes(got)}, expected {of_bytes(expected)}")

    def _verdicts(self, run_id: RunId, bundle: Bundle, payload: bytes) -> tuple[list[Verdict], list[Problem]]:
        """Verify the verdicts of a run; give those that hold, and what is wrong with the others."""
        said: list[Verdict] = []
        problems: list[Problem] = []
        try:
            kept = self._store.runs.verdicts(run_id)
        except ValueDamaged as error:
            return said, [_problem("integrity", "verdicts", str(error))]
        for replay, envelope in kept:
            subject = f"verdict {replay}"
            verdict, found = self._verdict(envelope, subject)
            if verdict is not None:
                found += _problems(self._chain_flaws(verdict, run_id, replay, bundle, payload), subject)
                found += _problems(self._summary_flaws(verdict, run_id, replay), subject)
                if not found:
                    said.append(verdict)
            problems += found
        return said, problems

    def _verdict(self, envelope: bytes, subject: str) -> tuple[Verdict | None, list[Problem]]:
        first = self._view.open(envelope, None)
        if first.payload is None:
            return None, _problems(first.flaws, subject)
        try:
            verdict = statement.load_verdict(first.payload)
        except IntegrityError as error:
            return None, [_problem(error.code, subject, str(error))]
        # Moved beside another run, it is still logged as what it is; that it is out of place is told on its own.
        about = verdict.run_id, verdict.replay_run_id
        index, problems = self._logged(first.payload, "verdict", about, verdict.judged_at, subject)
        return verdict, problems + _problems(self._view.open(envelope, index).flaws, subject)

    def _chain_flaws(
        self, verdict: Verdict, run_id: RunId, replay: RunId, bundle: Bundle, payload: bytes
    ) -> Iterator[Flaw]:
        """Hold a verdict against the run it lies beside and the replay it names."""
        if verdict.bundle_digest != of_bytes(payload):
            yield Flaw("other-bundle", f"it is about {verdict.bundle_digest}, got {of_bytes(payload)}")
        elif (verdict.run_id, verdict.replay_run_id) != (run_id, replay):
            yield Flaw("other-replay", f"it is of replay {verdict.replay_run_id} of run {verdict.run_id}")
        if following(verdict) != verdict.verdict and verdict.outputs:
            yield Flaw("verdict-wrong", f"it says {verdict.verdict}, which does not follow from its outputs")
        recorded = {a.name: a.pointer.digest for a in bundle.outputs if a.pointer is not None}
        for name, said in _contradicting(((o.name, o.recorded) for o in verdict.outputs), recorded):
            yield Flaw("replay-differs", f"{name}: it says {said} was recorded")
        for output in verdict.outputs:
            if output.verdict == "identical" and output.recorded != output.got:
                yield Flaw("verdict-wrong", f"{output.name}: identical, but {output.recorded} and {output.got}")
        yield from self._replay_flaws(verdict, run_id)

    def _replay_flaws(self, verdict: Verdict, run_id: RunId) -> Iterator[Flaw]:
        """Hold a verdict against the record of its replay, where that is kept."""
        replay = RunId(verdict.replay_run_id)
        if not self._store.runs.exists(replay):
            return
        try:
            envelope = self._store.runs.envelope(replay)
        except IntegrityError as error:
            yield Flaw("replay-differs", f"the record of its replay cannot be read: {error}")
            return
        signed = self._view.open(envelope, None)
        if signed.payload is None:
            yield Flaw("replay-differs", "the record of its replay is not what was signed")
            return
        made = statement.load_bundle(signed.payload)
        if made.replay_of != run_id or made.run_id != replay:
            yield Flaw("other-replay", f"{replay} is no replay of {run_id}")
        outputs = {artifact.name: artifact.pointer.digest for artifact in made.outputs if artifact.pointer is not None}
        for name, said in _contradicting(((o.name, o.got) for o in verdict.outputs), outputs):
            yield Flaw("replay-differs", f"{name}: it says the replay made {said}, which made {outputs[name]}")

    def _summary_flaws(self, verdict: Verdict, run_id: RunId, replay: RunId) -> Iterator[Flaw]:
        try:
            envelope = self._store.runs.summary(run_id, replay)
        except ValueDamaged as error:
            yield Flaw("summary-differs", str(error))
            return
        if envelope is None:
            return
        signed = self._view.open(envelope, None)
        if signed.payload is None:
            yield from signed.flaws
        elif signed.payload != dump_summary(verdict):
            yield Flaw("summary-differs", "its summary is not what follows from it")

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
                    problems.append(_problem(error.code, wanted[digest], str(error)))
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
                yield _problem(f"object-{problem}", name, f"{digest}: {detail}")


def _contradicting(said: Iterable[tuple[str, str | None]], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give what a verdict says of outputs that a record contradicts.

    A stream or the exit status may be called as an output is, so what counts is whether anything said of a name is right.
    """
    of: dict[str, list[str]] = {}
    for name, digest in said:
        if name in known and digest is not None:
            of.setdefault(name, []).append(digest)
    return ((name, digests[0]) for name, digests in of.items() if known[name] not in digests)


def _refused(run_id: RunId, problems: list[Problem]) -> VerifiedRun:
    """Tell of a run whose record cannot be read."""
    return VerifiedRun(run_id=run_id, job=None, key_id=None, objects=0, findings=tuple(problems))
