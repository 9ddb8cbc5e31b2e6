"""For somebody who holds a file: which run made it, what that run's record is worth, and whether a replay made it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reenact.actions.logview import LogView
from reenact.actions.opening import opened, peek_bundle, resolve
from reenact.actions.proving import digest_of
from reenact.actions.trusting import load_trust
from reenact.actions.verify import Problem, RunCheck, VerifiedRun
from reenact.errors import IntegrityError, RunNotFound
from reenact.ids import RunId
from reenact.seal.checkpoint import Checkpoint
from reenact.seal.flaws import Flaw
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["Maker", "VerifiedFile", "split", "verify_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """A run that made a file."""

    output: str
    """What the run calls it."""
    reproduced: bool
    """Whether a replay made it again, as a verdict says that holds."""
    run: VerifiedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """What came of one file."""

    file: str
    digest: str
    made_by: tuple[Maker, ...]
    """Newest first; replays among them."""
    findings: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 when some run made it whose record holds; else what stands against it."""
        if any(not maker.run.findings for maker in self.made_by):
            return max((finding.exit_code for finding in self.findings), default=0)
        theirs = [maker.run.exit_code for maker in self.made_by]
        return max([*theirs, *(finding.exit_code for finding in self.findings)], default=0)


def verify_files(
    settings: Settings,
    files: Sequence[str],
    *,
    trust_file: str | None = None,
    since: Checkpoint | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[VerifiedFile]:
    """Find the runs that made files and verify those runs. Costs a look at every record.

    Args:
        settings: Where the store is.
        files: Their paths.
        trust_file: Says whom to believe; None: the one of the settings, if there is one.
        since: A state of the log seen earlier, which it must still begin with.
        say: Told what is being done.

    Raises:
        SettingsError: a file cannot be read.
        StoreError: the store cannot be read.
    """
    store = opened(settings)
    view = LogView(store, load_trust(settings, trust_file), pinned=since)
    check = RunCheck(store, view, deep=False)
    log = tuple(view.root_flaws())
    digests = {path: digest_of(path) for path in files}
    made, named = _makers(store, digests, say)
    results = []
    for path, digest in digests.items():
        makers = []
        for run_id, output in reversed(made[path]):
            say(f"verifying run {run_id}")
            run = check.run(run_id)
            makers.append(Maker(output=output, reproduced=output in run.reproduced, run=run))
        flaws = [*log, *([] if makers else [_unknown(digest, named[path])])]
        findings = tuple(Problem.of(flaw, path) for flaw in flaws)
        results.append(VerifiedFile(file=path, digest=digest, made_by=tuple(makers), findings=findings))
    return results


def split(settings: Settings, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell names of runs from paths of files: a path begins with ``/``, ``./`` or ``../``, or names a file and no run.

    Raises:
        RunNotFound: a word is neither.
        StoreError: the store cannot be read.
    """
    names: list[str] = []
    files: list[str] = []
    store = None
    for word in words:
        if word.startswith(("/", "./", "../")):
            files.append(word)
            continue
        if not os.path.isfile(word):
            names.append(word)
            continue
        store = store or opened(settings)
        try:
            resolve(store, word)
        except RunNotFound:
            files.append(word)
        else:
            names.append(word)
    return names, files


def _makers(
    store: Store, digests: dict[str, str], say: Callable[[str], None]
) -> tuple[dict[str, list[tuple[RunId, str]]], dict[str, list[str]]]:
    """Look through all records for outputs with the bytes of files, and for outputs that are called as they are."""
    made: dict[str, list[tuple[RunId, str]]] = {path: [] for path in digests}
    named: dict[str, list[str]] = {path: [] for path in digests}
    say("looking for the run")
    for run_id in store.runs.ids():
        try:
            outputs = peek_bundle(store, run_id).outputs
        except IntegrityError:
            continue  # what it made cannot be known; verify --all names it
        for artifact in outputs:
            if artifact.pointer is None:
                continue
            for path, digest in digests.items():
                if artifact.pointer.digest == digest:
                    made[path].append((run_id, artifact.name))
                elif os.path.basename(artifact.name) == os.path.basename(path):
                    named[path].append(f"{artifact.name} of run {run_id}: {artifact.pointer.digest}")
    return made, named


def _unknown(digest: str, named: list[str]) -> Flaw:
    if named:
        return Flaw("file-differs", f"got {digest}; the last of its name is {named[-1]}")
    return Flaw("file-unknown", f"no run in the store made a file with {digest}")
