"""Execute a planned replay, in its world or in its folder, and gather the evidence for its judge."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pwd
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from reenact import ids
from reenact.actions.opening import peek_bundle
from reenact.actions.plan import Footing, Prepared, find_program, worlds_folder
from reenact.actions.sealing import fingerprint_key, seal_bundle, seal_with
from reenact.capture.live import begin
from reenact.capture.recorder import remove_journal
from reenact.capture.redact import Redactor
from reenact.capture.redact_stream import StreamRedactor
from reenact.capture.trace.stat_answers import Facts
from reenact.digests import Digest
from reenact.errors import IntegrityError, ObjectMissing, SandboxError, UnreplayableError
from reenact.ids import RunId
from reenact.model import manifest as manifests
from reenact.model.artifact import Entry
from reenact.model.bundle import Bundle
from reenact.model.paths import from_text
from reenact.replay import rebuild
from reenact.replay.drift import environment_drift
from reenact.replay.execute import Execution, execute, execute_in_folder
from reenact.replay.fresh import Place, as_recorded, entries_of, escaped, moved
from reenact.replay.interface import ObjectSource
from reenact.replay.judge import Evidence
from reenact.replay.layout import lay_out
from reenact.replay.ownership import Ownership
from reenact.replay.rungs import not_closed
from reenact.replay.today import program_obstacles
from reenact.replay.trees import remove_tree
from reenact.replay.world import not_isolated, open_world
from reenact.store.opening import open_store

if TYPE_CHECKING:
    from reenact.capture.session import Ending
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["Again", "evidence_of", "redactor_of", "run_again"]

_RUNG_LABEL = "replay-rung"
"""The label by which the runs of lower rungs are found, and told from replays in a world."""
_PASSABLE = 0o711
_READABLE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A replay that was executed and recorded."""

    bundle: Bundle
    """Of the new run, as stored."""
    evidence: Evidence
    """The same for the judge: with the paths its original has."""
    not_isolated: tuple[str, ...]
    drift: tuple[str, ...] = ()
    """What differed in the environment, where that was not the recorded one."""
    escaped: tuple[str, ...] = ()
    """What was used that the replay should not have reached."""


def run_again(
    settings: Settings,
    store: Store,
    target: Store,
    prepared: Prepared,
    *,
    secrets: Mapping[str, str] | None = None,
) -> Again:
    """Execute the recorded command on the planned rung.

    Args:
        settings: How.
        store: Where the record is.
        target: Where the replay is stored; what is not in `store` is looked for there.
        prepared: A plan that says the run is replayable.
        secrets: Values of secret variables, besides those in this process's own environment.

    Raises:
        SandboxError: the replay cannot be started, observed or recorded.
        UnreplayableError: the environment cannot be rebuilt; nothing was executed.
        StoreError: the replay cannot be stored.
    """
    runner = _Runner(settings, store, target, secrets or {})
    return runner.in_folder(prepared, prepared.footing) if prepared.footing is not None else runner.in_world(prepared)


class _Runner:
    def __init__(self, settings: Settings, store: Store, target: Store, secrets: Mapping[str, str]) -> None:
        self._settings, self._store, self._target = settings, store, target
        self._source: ObjectSource = store.objects if target is store else _Either(store.objects, target.objects)
        self._redactor = redactor_of(settings, store)
        self._at_hand = {**os.environ, **secrets}

    def in_world(self, prepared: Prepared) -> Again:
        """Execute in a closed world."""
        bundle, manifest = prepared.bundle, prepared.manifest
        if manifest is None or prepared.probe is None:
            raise UnreplayableError("the sealed environment cannot be read")
        probe = prepared.probe
        argv, variables, notes = _secrets(self._redactor, bundle, self._at_hand)
        stat_facts = _stat_facts(self._settings, self._store, bundle)
        listings = _listings(self._store, bundle)

        def run(begun: Execution) -> Ending:
            execution = dataclasses.replace(
                begun, argv=argv, environment=variables, stat_facts=stat_facts, listings=listings
            )
            with open_world(
                bundle,
                manifest,
                source=self._source,
                cache=worlds_folder(self._store),
                probe=probe,
                limit_bytes=self._settings.replay.cache_max_bytes,
                host=prepared.host_files.entries if prepared.host_files is not None else (),
            ) as world:
                return execute(bundle, manifest, world, execution)

        again = self._record(bundle, run)
        mode, _ = probe.require()
        return Again(
            bundle=again,
            evidence=evidence_of(self._target, again),
            not_isolated=(*not_isolated(bundle.launch, mode), *notes),
        )

    def in_folder(self, prepared: Prepared, footing: Footing) -> Again:
        """Execute in a fresh folder, which is deleted at the end."""
        with _folder(prepared.bundle) as base:
            prefix = f"{base}/environment"
            place = footing.place(prepared.bundle, mirror=f"{base}/files", prefix=prefix)
            notes, drifted = self._build(prepared, footing, place, prefix)
            return self._in_place(prepared, footing, place, prefix, (notes, drifted))

    def _build(self, prepared: Prepared, footing: Footing, place: Place, prefix: str) -> tuple[list[str], list[str]]:
        """Build the environment where the rung does that; give what is not as sure as it could be, and what differs."""
        recipe, bundle = footing.recipe, prepared.bundle
        if recipe is None:
            return [], []
        rebuild.build(recipe, prefix, uv=footing.uv, python=footing.python, variables=os.environ)
        variables = footing.variables(bundle, prefix, os.environ)
        if not footing.program(bundle, prefix):
            for obstacle in program_obstacles(bundle, variables, place.environments, find_program):
                raise UnreplayableError(f"the rebuilt environment is not enough: {obstacle}")
        altered, compared = rebuild.altered_files(recipe, prepared.manifest, prefix)
        if not recipe.requirements:
            return [], []
        if compared:
            return [], altered
        unhashed = ", ".join(recipe.unhashed)
        return [
            f"neither hash nor bytes were recorded of: {unhashed}; only the versions are the same"
        ] if unhashed else [], []

    def _in_place(
        self, prepared: Prepared, footing: Footing, place: Place, prefix: str, built: tuple[list[str], list[str]]
    ) -> Again:
        bundle = prepared.bundle
        given = footing.variables(bundle, prefix, os.environ)
        told, changed = moved(bundle, place, given, program=footing.program(bundle, prefix))
        told = _with_user(told, footing.rung)
        argv, variables, secret_notes = _secrets(self._redactor, told, self._at_hand)
        owner = Ownership(exact=os.geteuid() == 0, uid=told.launch.uid, gid=told.launch.gid, groups=told.launch.groups)
        os.mkdir(place.mirror)
        os.chmod(place.mirror, _READABLE)
        lay_out(entries_of(bundle, prepared.manifest, place), place.mirror, source=self._source, ownership=owner)

        def run(begun: Execution) -> Ending:
            ours = [os.path.realpath(folder) for folder in (*self._store.folders, *self._target.folders)]
            return execute_in_folder(
                told,
                dataclasses.replace(
                    begun,
                    argv=argv,
                    environment=variables,
                    ignored=tuple(dict.fromkeys(ours)),
                    linger_seconds=self._settings.capture.linger_seconds,
                ),
            )

        again = self._record(bundle, run)
        notes = [*not_closed(footing.rung, bundle.launch, uid=told.launch.uid, hostname=os.uname().nodename), *built[0]]
        if changed:
            notes.append(f"the job was told its new folder or environment in: {', '.join(changed)}")
        evidence = evidence_of(self._target, again)
        return Again(
            bundle=again,
            evidence=as_recorded(evidence, place),
            escaped=escaped(evidence, place),
            not_isolated=(*notes, *secret_notes),
            drift=(*environment_drift(bundle.environment, again.environment), *built[1]),
        )

    def _seal(self, store: Store, bundle: Bundle) -> None:
        """Seal the record of a replay; one that cannot be signed now gives no verdict, so it is not kept for later."""
        seal_bundle(store, bundle, seal_with(self._settings), keep_unsealed=False)

    def _record(self, bundle: Bundle, run: Callable[[Execution], Ending]) -> Bundle:
        """Execute with a journal of its own; give the new record."""
        started = time.time_ns()
        run_id = ids.new_run_id(started)
        stdin = bundle.launch.stdin.pointer
        journal = begin(self._target.journals, run_id)
        location = self._target.location
        try:
            ending = run(
                Execution(
                    run_id=run_id,
                    started_ns=started,
                    journal=journal,
                    argv=(),
                    environment={},
                    stdin=self._source.read(stdin.digest) if stdin is not None else None,
                    redact=self._redactor.argv,
                    new_filter=lambda: StreamRedactor(self._redactor),
                    stream_max_bytes=self._settings.capture.stream_max_bytes,
                    preimage_max_bytes=self._settings.capture.preimage_max_bytes,
                    timeout_seconds=self._settings.replay.timeout_seconds,
                    stat_facts=None,
                    listings=None,
                    open_store=lambda: open_store(
                        location, create=False, deltas=self._store.deltas, access=self._target.access
                    ),
                    seal=self._seal,
                )
            )
        except BaseException:
            remove_journal(journal.folder)
            raise
        if ending.result is None or "run_id" not in ending.result:
            reason = ending.result["error"] if ending.result else "the recorder was killed"
            raise SandboxError(f"the replay could not be recorded, so nothing can be said of it: {reason}")
        if ending.refused:
            raise SandboxError(f"the replay could not be observed: {ending.refused}")
        return peek_bundle(self._target, RunId(run_id))


def redactor_of(settings: Settings, store: Store) -> Redactor:
    """Make the redactor that recordings into a store use; it knows no values yet."""
    return Redactor(
        fingerprint_key(store.location, store.id), patterns=settings.redact.patterns, allow=settings.redact.allow
    )


class _Either:
    """The objects of one store, and those of another that are not in it."""

    def __init__(self, first: ObjectSource, second: ObjectSource) -> None:
        self._first, self._second = first, second

    def read(self, digest: Digest, /) -> bytes:
        """See :class:`reenact.replay.interface.ObjectSource`."""
        try:
            return self._first.read(digest)
        except ObjectMissing:
            return self._second.read(digest)

    def copy_to(self, digest: Digest, descriptor: int, /) -> object:
        """See :class:`reenact.replay.interface.ObjectSource`."""
        try:
            return self._first.copy_to(digest, descriptor)
        except ObjectMissing:
            return self._second.copy_to(digest, descriptor)


@contextlib.contextmanager
def _folder(bundle: Bundle) -> Iterator[str]:
    """Give a fresh folder; where root replays for another user, one that user can reach but not change."""
    base = os.path.realpath(tempfile.mkdtemp(prefix="reenact-replay-"))
    try:
        if os.geteuid() == 0 and bundle.launch.uid != 0:
            os.chmod(base, _PASSABLE)
        yield base
    finally:
        remove_tree(base)


def _with_user(bundle: Bundle, rung: str) -> Bundle:
    """Say as whom the job is to run: root becomes the recorded user, anybody else stays who they are."""
    labels = {**bundle.labels, _RUNG_LABEL: rung}
    if os.geteuid() in {0, bundle.launch.uid}:
        return msgspec.structs.replace(bundle, labels=labels)
    launch = msgspec.structs.replace(
        bundle.launch, uid=os.geteuid(), gid=os.getegid(), groups=tuple(sorted(os.getgroups()))
    )
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return msgspec.structs.replace(bundle, launch=launch, user=name, labels=labels)


def _secrets(
    redactor: Redactor, bundle: Bundle, at_hand: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Put back the secrets that are at hand: in this process's own environment, unless other values are given.

    Returns:
        The command, the variables, and a note for every secret that is not at hand: the job then gets the marker instead.
    """
    candidates = dict(os.environ if at_hand is None else at_hand)
    redactor.learn(candidates)
    notes = []
    variables = {}
    for name, text in bundle.environment.variables.items():
        value = redactor.restore(from_text(text), candidates)
        if value is None:
            notes.append(f"a secret in variable {name} is not at hand: the job was given a marker in its place")
        variables[from_text(name)] = from_text(text) if value is None else value
    for name, fingerprint in bundle.environment.redacted.items():
        key = from_text(name)
        if key in candidates and redactor.fingerprint(candidates[key]) == fingerprint:
            variables[key] = candidates[key]
        else:
            state = "differs from the recorded one" if key in candidates else "is not at hand"
            notes.append(f"secret {name} {state}: the job was given a marker in its place")
            variables[key] = f"‹redacted:{key}›"
    argv = []
    for number, word in enumerate(bundle.launch.argv):
        restored = redactor.restore(from_text(word), candidates)
        if restored is None:
            notes.append(f"a secret in argument {number} is not at hand: the job was given a marker in its place")
        argv.append(from_text(word) if restored is None else restored)
    return tuple(argv), variables, notes


def _stat_facts(settings: Settings, store: Store, bundle: Bundle) -> dict[str, Facts] | None:
    """Read what stat is to be answered, where the record holds it and the settings do not say otherwise."""
    digest = bundle.capture.stat_facts
    if digest is None or settings.replay.stat == "never":
        return None
    return {from_text(path): tuple(facts) for path, facts in json.loads(store.objects.read(digest)).items()}


def _listings(store: Store, bundle: Bundle) -> dict[str, list[str]] | None:
    """Read in which order names are to be given, where the record holds it."""
    digest = bundle.capture.listings
    if digest is None:
        return None
    orders = json.loads(store.objects.read(digest))
    return {from_text(folder): [from_text(name) for name in names] for folder, names in orders.items()}


def evidence_of(store: Store, bundle: Bundle) -> Evidence:
    """Gather what a record names besides itself."""
    entries: list[Entry] = []
    for digest in (bundle.environment.manifest, bundle.capture.host_files):
        if digest is not None:
            with contextlib.suppress(IntegrityError):
                entries += manifests.load(store.objects.read(digest)).entries
    absent: list[str] = []
    if bundle.capture.absent is not None:
        with contextlib.suppress(IntegrityError):
            absent = store.objects.read(bundle.capture.absent).decode("utf-8").splitlines()
    return Evidence(bundle=bundle, entries=tuple(entries), absent=tuple(absent))
