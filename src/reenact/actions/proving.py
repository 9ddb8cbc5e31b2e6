"""Write proof files of runs, and check them and the files they come with, with nothing else at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from reenact import atomic
from reenact.actions.checkpointing import covering
from reenact.actions.logview import LogView
from reenact.actions.opening import opened, resolve
from reenact.actions.sealing import seal_with
from reenact.actions.trusting import load_trust
from reenact.actions.verify import Problem
from reenact.digests import PREFIX, of_bytes, of_descriptor
from reenact.errors import IntegrityError, SettingsError, SignatureInvalid, StoreError
from reenact.ids import RunId
from reenact.model import statement
from reenact.model.statement import PAYLOAD_TYPE
from reenact.seal.checkpoint import Checkpoint, Checkpoints
from reenact.seal.flaws import Flaw
from reenact.seal.proof import (
    FORMAT,
    CheckedItem,
    CheckedProof,
    Consistency,
    Item,
    Proof,
    check,
    dump_proof,
    load_proof,
)
from reenact.seal.tiles import Tree
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["Attested", "ProvenFile", "VerifiedProof", "attest", "verify_proof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A proof file that was written."""

    run_id: str
    path: str
    outputs: tuple[str, ...]
    """Names of the outputs it vouches for."""
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenFile:
    """A file that was held against a proof."""

    path: str
    digest: str
    output: str | None
    """What the run called it; None where it is none of its outputs."""
    reproduced: bool
    """Whether a replay made the same, as a verdict in the proof says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProof:
    """What came of a proof."""

    run_id: str | None
    job: str | None
    ended_at: str | None
    logged_at: str | None
    log_index: int | None
    signers: tuple[str, ...]
    owners: tuple[str, ...]
    trusted: bool | None
    """None without a trust file: the proof then only fits together."""
    verdicts: tuple[str, ...]
    files: tuple[ProvenFile, ...]
    findings: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong, else the gravest of what is."""
        return max((finding.exit_code for finding in self.findings), default=0)


def attest(settings: Settings, reference: str, to: str, since: Checkpoint | None = None) -> Attested:
    """Write the proof of a run into a folder, beside the outputs to ship; where it is written already, it is replaced.

    Args:
        settings: Where the store is.
        reference: The run.
        to: The folder; it is made.
        since: Let the proof show, too, that the log began with this state; else with the one the trust file pins.

    Raises:
        RunNotFound: no such run.
        IntegrityError: the record or its log is not what was signed: no proof is made of that.
        StoreError: the folder, or a checkpoint that is needed, cannot be written.
    """
    store = opened(settings)
    run_id = resolve(store, reference)
    trust = load_trust(settings)
    pinned = since or (trust.pinned if trust is not None else None)
    proof = _proof(store, run_id, lambda index: covering(store, index, seal_with(settings)), pinned)
    checked = check(proof, PAYLOAD_TYPE, None)
    flaws = [*checked.flaws, *(flaw for item in (checked.run, *checked.verdicts) for flaw in item.flaws)]
    if flaws:
        raise IntegrityError(f"run {run_id} cannot be proven: {flaws[0].code}: {flaws[0].message}")
    path = os.path.join(to, f"{run_id}.proof.json")
    try:
        os.makedirs(to, exist_ok=True)
        atomic.replace(path, dump_proof(proof))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return Attested(
        run_id=run_id,
        path=path,
        outputs=tuple(_subjects(checked.run.signed.payload or b"{}")),
        verdicts=tuple(_verdict_words(checked)),
    )


def _proof(store: Store, run_id: RunId, cover: Callable[[int], int], pinned: Checkpoint | None) -> Proof:
    view = LogView(store)
    envelope = store.runs.envelope(run_id)
    index = _logged(view, envelope, "run")
    verdicts = [(envelope, _logged(view, envelope, "verdict")) for _, envelope in store.runs.verdicts(run_id)]
    last = max([index, *(place for _, place in verdicts)])
    size = cover(last)
    tree = Tree(store.backend, size)

    def item(place: int, envelope: bytes | None = None) -> Item:
        path = tuple(tree.inclusion(place))
        return Item(index=place, entry=view.leaf(place), path=path, envelope=envelope)

    events = [place for place, _ in store.keys.events() if place < size]
    consistency = None
    if pinned is not None and pinned.size < size:
        path = tuple(tree.consistency(pinned.size))
        consistency = Consistency(size=pinned.size, root=tree.root_of(pinned.size), path=path)
    return Proof(
        format=FORMAT,
        checkpoint=Checkpoints(store.backend).merged(size).dump().decode(),
        public_keys=tuple(state.public.der for state in view.keyring.states.values()),
        key_events=tuple(item(place) for place in events),
        run=item(index, envelope),
        verdicts=tuple(item(place, envelope) for envelope, place in verdicts),
        consistency=consistency,
    )


def _logged(view: LogView, envelope: bytes, kind: str) -> int:
    """Find where an envelope is logged."""
    signed = view.open(envelope, None)
    if signed.payload is None:
        raise SignatureInvalid(signed.flaws[0].message)
    if kind == "run":
        bundle = statement.load_bundle(signed.payload)
        about = bundle.ended_at or bundle.timestamp
    else:
        about = statement.load_verdict(signed.payload).judged_at
    index = view.find(of_bytes(signed.payload), kind, about)
    if index is None:
        raise IntegrityError(f"the log has no entry for a {kind} that is signed", hint="see: reenact verify --all")
    return index


def verify_proof(settings: Settings, path: str, files: Sequence[str], trust_file: str | None = None) -> VerifiedProof:
    """Check a proof file, and files against it. No store is looked at.

    Args:
        settings: Where a trust file may be.
        path: The proof file.
        files: Files that should be outputs of its run.
        trust_file: Says whom to believe, instead.

    Raises:
        SettingsError: a file cannot be read.
    """
    trust = load_trust(settings, trust_file)
    try:
        proof = load_proof(_read(path))
    except SignatureInvalid as error:
        return _unreadable([Flaw("proof-malformed", f"{path}: {error}")])
    checked = check(proof, PAYLOAD_TYPE, trust)
    flaws = [("checkpoint", flaw) for flaw in checked.flaws] + [("run", flaw) for flaw in checked.run.flaws]
    flaws += [("verdict", flaw) for item in checked.verdicts for flaw in item.flaws]
    payload = checked.run.signed.payload
    try:
        bundle = statement.load_bundle(payload) if payload is not None else None
        flaws += [("verdict", flaw) for flaw in _chain_flaws(checked, payload)]
        words = _verdict_words(checked)
        reproduced = _reproduced(checked)
    except IntegrityError as error:
        return _unreadable([*(flaw for _, flaw in flaws), Flaw("malformed-bundle", str(error))])
    proven = [_file(name, _subjects(payload or b'{"subject":[]}'), reproduced) for name in files]
    flaws += [(one.path, flaw) for one in proven if (flaw := _file_flaw(one, payload)) is not None]
    signed, entry = checked.run.signed, checked.run.entry
    found = {owner for key_id in signed.signers if (owner := checked.keyring.owner(key_id)) is not None}
    return VerifiedProof(
        run_id=bundle.run_id if bundle is not None else None,
        job=bundle.job if bundle is not None else None,
        ended_at=bundle.ended_at if bundle is not None else None,
        logged_at=entry.time if entry is not None else None,
        log_index=proof.run.index,
        signers=signed.signers,
        owners=tuple(sorted(found)),
        trusted=None if trust is None else not flaws,
        verdicts=tuple(words),
        files=tuple(proven),
        findings=tuple(Problem.of(flaw, subject) for subject, flaw in flaws),
    )


def _unreadable(flaws: Sequence[Flaw]) -> VerifiedProof:
    """Tell of a proof that says nothing."""
    return VerifiedProof(
        run_id=None,
        job=None,
        ended_at=None,
        logged_at=None,
        log_index=None,
        signers=(),
        owners=(),
        trusted=None,
        verdicts=(),
        files=(),
        findings=tuple(Problem.of(flaw, "proof") for flaw in flaws),
    )


def _chain_flaws(checked: CheckedProof, payload: bytes | None) -> list[Flaw]:
    """Hold the verdicts of a proof against its run."""
    if payload is None:
        return []
    digest = of_bytes(payload)
    found = []
    for item in checked.verdicts:
        if item.signed.payload is None:
            continue
        verdict = statement.load_verdict(item.signed.payload)
        if verdict.bundle_digest != digest:
            found.append(Flaw("other-bundle", f"a verdict is about {verdict.bundle_digest}, got {digest}"))
    return found


def _holding(checked: CheckedProof) -> list[CheckedItem]:
    return [item for item in checked.verdicts if item.signed.payload is not None and not item.flaws]


def _verdict_words(checked: CheckedProof) -> list[str]:
    return [statement.load_verdict(item.signed.payload or b"").verdict for item in _holding(checked)]


def _reproduced(checked: CheckedProof) -> set[str]:
    """Name the outputs that a replay made again."""
    verdicts = [statement.load_verdict(item.signed.payload or b"") for item in _holding(checked)]
    return {o.name for verdict in verdicts for o in verdict.outputs if o.verdict in {"identical", "equivalent"}}


def _subjects(payload: bytes) -> dict[str, str]:
    """Give what a statement is about: name to digest."""
    subjects = msgspec.json.decode(payload).get("subject", [])
    return {subject["name"]: PREFIX + subject["digest"]["sha256"] for subject in subjects}


def _file(path: str, subjects: dict[str, str], reproduced: set[str]) -> ProvenFile:
    digest = digest_of(path)
    named = [name for name, found in subjects.items() if found == digest]
    same_name = [name for name in named if os.path.basename(name) == os.path.basename(path)]
    best = next(iter([*same_name, *named]), None)
    return ProvenFile(path=path, digest=digest, output=best, reproduced=best in reproduced)


def _file_flaw(file: ProvenFile, payload: bytes | None) -> Flaw | None:
    if file.output is not None or payload is None:
        return None
    name = os.path.basename(file.path)
    for known, digest in _subjects(payload).items():
        if os.path.basename(known) == name:
            return Flaw("file-differs", f"the run made {known} as {digest}, got {file.digest}")
    return Flaw("file-unknown", f"the run made no file with {file.digest}")


def digest_of(path: str) -> str:
    """Digest a file; SettingsError when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return of_descriptor(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
