"""Compare two runs, two files or folders, or a run and a file: what is in their outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from reenact.actions.contents import StoredContents, limits_of
from reenact.actions.opening import opened, read_bundle, resolve
from reenact.compare.judge import compare_files, compare_folders
from reenact.compare.policy import policies, policy_for, recorded_policies
from reenact.compare.result import Comparison
from reenact.digests import of_descriptor
from reenact.errors import IntegrityError, RunNotFound, StoreError, UsageError
from reenact.model.artifact import Artifact
from reenact.model.verdict import OutputJudgement
from reenact.replay.contrast import Contrast, contrast
from reenact.replay.judge import judge_outputs, judged_file

if TYPE_CHECKING:
    from reenact.model.bundle import Bundle
    from reenact.model.policy import Policy
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = ["CompareRequest", "CompareResult", "compare", "is_equal"]

_MOST_FILES = 100_000
"""A folder with more is hardly what somebody meant to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What to compare, and how."""

    first: str
    """A reference to a run, or a path."""
    second: str
    policy: Policy | None = None
    """Instead of those of the settings; its pattern fits everything."""
    name: str | None = None
    """Which output of a run a file is to be compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareResult:
    """What is equal and what is not."""

    equal: bool
    first: str
    """The id of a run, or a path."""
    second: str
    outputs: tuple[OutputJudgement, ...]
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """What is in outputs that are not the same bytes, by name."""
    before: tuple[Contrast, ...] = ()
    """What differed before two runs: what they read, ran with and were told."""


@dataclass(frozen=True, slots=True)
class _Run:
    store: Store
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class _Path:
    path: str


def is_equal(outputs: Sequence[OutputJudgement]) -> bool:
    """Tell whether all that decides is the same, or counts as equal."""
    return all(output.verdict in {"identical", "equivalent"} for output in outputs if output.decides)


def compare(settings: Settings, request: CompareRequest) -> CompareResult:
    """Compare; nothing is written or executed.

    Raises:
        UsageError: there is no such run or file, or the two cannot be compared.
        IntegrityError: a record is not what was signed.
        OSError: a file cannot be read.
    """
    given = None if request.policy is None else [request.policy]
    chosen = policies(settings.outputs) if given is None else tuple(given)
    first, second = _found(settings, request.first), _found(settings, request.second)
    if isinstance(first, _Path) and isinstance(second, _Path):
        return _paths(settings, request, chosen, first.path, second.path)
    if isinstance(first, _Run) and isinstance(second, _Run):
        return _runs(settings, given, first, second)
    if isinstance(first, _Run) and isinstance(second, _Path):
        return _run_and_path(settings, request, chosen, first, second.path, path_first=False)
    if isinstance(first, _Path) and isinstance(second, _Run):
        return _run_and_path(settings, request, chosen, second, first.path, path_first=True)
    raise UsageError("nothing to compare")


def _found(settings: Settings, word: str) -> _Run | _Path:
    """Tell a path from a reference to a run; what could be either is refused."""
    is_path = os.path.lexists(word)
    if is_path and (os.sep in word or word in {".", ".."}):
        return _path(word)
    try:
        store = opened(settings)
        run_id = resolve(store, word)
    except (RunNotFound, StoreError) as error:
        if is_path:
            return _path(word)
        if os.sep in word or isinstance(error, StoreError):
            raise UsageError(f"there is no file {word!r}, and no such run: {error}", hint=error.hint()) from error
        raise
    if is_path:
        raise UsageError(f"{word!r} is a file here, and a run", hint=f"for the file write ./{word}, for the run its id")
    return _Run(store, read_bundle(store, run_id))


def _path(word: str) -> _Path:
    """Take a path that can be read to its end, and again: a pipe cannot."""
    if not os.path.isfile(word) and not os.path.isdir(word):
        raise UsageError(f"{word!r} is neither a file nor a folder")
    return _Path(word)


# --- two paths


def _paths(
    settings: Settings, request: CompareRequest, chosen: Sequence[Policy], first: str, second: str
) -> CompareResult:
    folders = [os.path.isdir(path) for path in (first, second)]
    if folders[0] != folders[1]:
        raise UsageError(f"{first if folders[0] else second} is a folder, and the other a file")
    name = os.path.relpath(second, settings.root) if not os.path.isabs(second) else second
    limits = limits_of(settings)
    if folders[0]:
        sides = _files_of(first), _files_of(second)
        policy = request.policy or _folder_policy(name, chosen)
        if policy is not None:
            found = compare_folders(*sides, policy, limits)
            judgement = OutputJudgement(name=name, verdict="identical", recorded=first, got=second)
            return _result(request, [_judged(judgement, found)], {name: found} if found.parts else {})
        outputs, comparisons = _file_by_file(settings, chosen, sides, os.path.basename(os.path.normpath(second)))
        return _result(request, outputs, comparisons)
    found = compare_files(first, second, name, policy_for(name, chosen), limits)
    judgement = OutputJudgement(name=name, verdict="identical", recorded=_digest(first), got=_digest(second))
    return _result(request, [_judged(judgement, found)], {name: found} if found.parts else {})


def _folder_policy(name: str, chosen: Sequence[Policy]) -> Policy | None:
    """Give the policy that makes one artifact of this folder."""
    policy = policy_for(f"{name}/x", [p for p in chosen if p.pattern.endswith("/")])
    return policy if policy.pattern else None


def _file_by_file(
    settings: Settings, chosen: Sequence[Policy], sides: tuple[dict[str, str], dict[str, str]], folder: str
) -> tuple[list[OutputJudgement], dict[str, Comparison]]:
    outputs: list[OutputJudgement] = []
    comparisons: dict[str, Comparison] = {}
    for name in sorted({*sides[0], *sides[1]}):
        paths = [side.get(name) for side in sides]
        shown = [None if path is None else _digest(path) for path in paths]
        judgement = OutputJudgement(name=name, verdict="identical", recorded=shown[0], got=shown[1])
        if paths[0] is None or paths[1] is None:
            outputs.append(structs.replace(judgement, verdict="extra" if paths[0] is None else "missing"))
            continue
        policy = next((p for n in (name, f"{folder}/{name}") if (p := policy_for(n, chosen)).pattern), None)
        found = compare_files(paths[0], paths[1], name, policy or policy_for(name, ()), limits_of(settings))
        outputs.append(_judged(judgement, found))
        if found.parts:
            comparisons[name] = found
    return outputs, comparisons


def _judged(judgement: OutputJudgement, found: Comparison) -> OutputJudgement:
    return judged_file(judgement, () if found.level == "identical" else ("bytes: not the same",), found)


def _files_of(folder: str) -> dict[str, str]:
    """Give the files below a folder by their names in it; links are not followed."""
    found: dict[str, str] = {}
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                found[os.path.relpath(path, folder)] = path
        if len(found) > _MOST_FILES:
            raise UsageError(f"{folder} has more than {_MOST_FILES} files")
    return found


def _digest(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return of_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _result(
    request: CompareRequest, outputs: Sequence[OutputJudgement], comparisons: Mapping[str, Comparison]
) -> CompareResult:
    return CompareResult(
        equal=is_equal(outputs),
        first=request.first,
        second=request.second,
        outputs=tuple(outputs),
        comparisons=comparisons,
    )


# --- runs


def _runs(settings: Settings, given: Sequence[Policy] | None, first: _Run, second: _Run) -> CompareResult:
    declared = first.bundle.determinism.tolerances
    contents = StoredContents(settings, first.store.objects, second.store.objects, given, declared)
    outputs = judge_outputs(first.bundle, second.bundle, contents)
    return CompareResult(
        equal=is_equal(outputs),
        first=first.bundle.run_id,
        second=second.bundle.run_id,
        outputs=outputs,
        comparisons=contents.found,
        before=contrast(first.bundle, second.bundle, absent=(_absent(first), _absent(second))),
    )


def _absent(run: _Run) -> frozenset[str]:
    """Give what a run looked for in vain; nothing where that cannot be read, which is told by verify."""
    digest = run.bundle.capture.absent
    try:
        return frozenset(run.store.objects.read(digest).decode("utf-8").splitlines()) if digest else frozenset()
    except IntegrityError:
        return frozenset()


def _run_and_path(
    settings: Settings, request: CompareRequest, chosen: Sequence[Policy], run: _Run, path: str, *, path_first: bool
) -> CompareResult:
    """Compare outputs of a run, which are brought into a temporary folder, with a file, or with the files of a folder."""
    if request.policy is None:
        chosen = (*chosen, *recorded_policies(run.bundle.determinism.tolerances))
    import tempfile  # noqa: PLC0415 - only here
    from pathlib import Path  # noqa: PLC0415 - same

    from reenact.actions.placing import place  # noqa: PLC0415 - same

    if os.path.isdir(path):
        wanted = [a for a in run.bundle.outputs if _has_bytes(a) and not a.name.startswith("/")]
    else:
        wanted = [_named(run.bundle, path, request.name)]
    with tempfile.TemporaryDirectory(prefix="reenact-compare-") as folder:
        place(run.store.objects, wanted, Path(folder))
        if os.path.isdir(path):
            there = _files_of(path)
            sides = _files_of(folder), {name: file for name, file in there.items() if name in {a.name for a in wanted}}
        else:
            name = wanted[0].name.lstrip("/")
            sides = {name: os.path.join(folder, name)}, {name: path}
        ordered = (sides[1], sides[0]) if path_first else sides
        outputs, comparisons = _file_by_file(settings, chosen, ordered, "")
    answer = _result(request, outputs, comparisons)
    run_id = run.bundle.run_id
    return replace(answer, second=run_id) if path_first else replace(answer, first=run_id)


def _has_bytes(artifact: Artifact) -> bool:
    return artifact.entry.type == "file" and artifact.entry.digest is not None and not artifact.temporary


def _named(bundle: Bundle, path: str, name: str | None) -> Artifact:
    """Find the output of a run that a file is to be compared with: by its name, its path, or the end of it."""
    outputs = [artifact for artifact in bundle.outputs if _has_bytes(artifact)]
    whole = os.path.realpath(path)
    for found in _candidates(outputs, whole, name):
        if len(found) == 1:
            return found[0]
        if found:
            break
    named = ", ".join(artifact.name for artifact in outputs[:10]) or "none"
    raise UsageError(f"which output of run {bundle.run_id} is meant by {name or path}?", hint=f"--name: {named}")


def _candidates(outputs: Sequence[Artifact], path: str, name: str | None) -> Iterator[list[Artifact]]:
    if name is not None:
        yield [artifact for artifact in outputs if artifact.name == name]
        return
    yield [artifact for artifact in outputs if artifact.entry.path == path]
    last = os.path.basename(path)
    yield [artifact for artifact in outputs if os.path.basename(artifact.name) == last]
    yield list(outputs)
