"""Judge a replay: the record of a run beside the record of its replay. Pure.

Outputs are compared by type, permission bits, digest and link target; never by time, owner or inode. Where only their bytes
differ, what is in them is compared (see :mod:`reenact.compare`), and a declared policy says whether that counts as equal. What
the replay needed and the record does not hold is named too: a result that is equal by luck proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from reenact.compare.policy import group_of
from reenact.compare.result import Comparison, level_of, summary
from reenact.digests import Digest
from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle, Stream
from reenact.model.verdict import OutputJudgement, OutputLevel

__all__ = ["EXIT_CODE", "Contents", "Evidence", "Nothing", "judge", "judge_outputs", "judged_file"]

EXIT_CODE: Final = "exit-code"
_DELETED: Final = "deleted"
_CHANGES: Final = frozenset({"created", "updated", "appended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One record with the objects it names."""

    bundle: Bundle
    entries: Collection[Entry] = ()
    """Of its environment manifest and of its host files."""
    absent: Collection[str] = ()
    """Paths, in text form, that were opened or executed and were not there."""


class Contents(Protocol):
    """Compares what is in outputs, under the policies in force."""

    def compare(self, name: str, recorded: Digest, got: Digest) -> Comparison | None:
        """Compare two contents of an output; None where they cannot be had."""

    def folders(self) -> Sequence[str]:
        """Give the patterns that make one artifact of all files below a folder."""

    def compare_folder(
        self, folder: str, recorded: Mapping[str, Digest], got: Mapping[str, Digest]
    ) -> Comparison | None:
        """Compare two folders, each as one artifact: names inside the folder to contents."""


class Nothing:
    """Compares nothing: other bytes are different."""

    def compare(self, name: str, recorded: Digest, got: Digest) -> Comparison | None:  # noqa: ARG002 - the protocol's
        """Say that there is nothing to say."""
        return None

    def folders(self) -> Sequence[str]:
        """Give none."""
        return ()

    def compare_folder(
        self,
        folder: str,  # noqa: ARG002 - the protocol's
        recorded: Mapping[str, Digest],  # noqa: ARG002 - same
        got: Mapping[str, Digest],  # noqa: ARG002 - same
    ) -> Comparison | None:
        """Say that there is nothing to say."""
        return None


_NOTHING: Final = Nothing()


def judge(
    original: Evidence, replay: Evidence, contents: Contents = _NOTHING
) -> tuple[tuple[OutputJudgement, ...], tuple[str, ...]]:
    """Compare.

    Args:
        original: The record of the run.
        replay: The record of its replay.
        contents: Compares what is in outputs whose bytes differ.

    Returns:
        A judgement of every output by name, then of the exit status and the standard streams where both records have them;
        and what the replay needed that the record does not hold, in words, sorted.
    """
    judgements = sorted(_outputs(original, replay.bundle, contents), key=lambda judgement: judgement.name)
    judgements += _exit_code(original.bundle, replay.bundle)
    for name in ("stdout", "stderr"):
        judgements += _stream(name, getattr(original.bundle.launch, name), getattr(replay.bundle.launch, name))
    return tuple(judgements), tuple(sorted(_unrecorded(original, replay)))


def judge_outputs(first: Bundle, second: Bundle, contents: Contents = _NOTHING) -> tuple[OutputJudgement, ...]:
    """Compare what two runs made, by the names of their outputs: they need not have run in one place."""
    sides = [{a.name: a for a in bundle.outputs if not a.temporary} for bundle in (first, second)]
    grouped = _Groups(contents)
    found = []
    for name in sorted({*sides[0], *sides[1]}):
        recorded, got = sides[0].get(name), sides[1].get(name)
        taken = [a is not None and grouped.takes(a, side) for a, side in ((recorded, "recorded"), (got, "got"))]
        if any(taken) or _was_there((recorded, got), (second, first)):
            continue
        if recorded is None and got is not None:
            found.append(OutputJudgement(name=name, verdict="extra", got=_shown(got)))
        elif recorded is not None:
            found.append(_output(recorded, got, contents))
    found = sorted([*found, *grouped.judgements()], key=lambda judgement: judgement.name)
    found += _exit_code(first, second)
    return tuple(found)


def _was_there(made: tuple[Artifact | None, Artifact | None], others: tuple[Bundle, Bundle]) -> bool:
    """Tell whether a folder that one run made was there already when the other began: that is no difference of what they made."""
    for artifact, counterpart, other in zip(made, reversed(made), others, strict=True):
        if artifact is not None and counterpart is None and artifact.entry.type == "directory":
            return any(a.name == artifact.name and a.entry.type == "directory" for a in other.inputs)
    return False


# --- outputs


def _outputs(original: Evidence, replay: Bundle, contents: Contents) -> Iterator[OutputJudgement]:
    """Judge what the record has as lasting, even where it is temporary in the replay, and what lasts in the replay alone."""
    recorded = {artifact.entry.path: artifact for artifact in original.bundle.outputs}
    got = {artifact.entry.path: artifact for artifact in replay.outputs}
    before = _entries(original)
    grouped = _Groups(contents)
    for path, artifact in recorded.items():
        if not artifact.temporary and not grouped.takes(artifact, "recorded"):
            yield _output(artifact, got.get(path), contents)
    for path, artifact in got.items():
        known = path in recorded
        if artifact.temporary and not known:
            continue
        if grouped.takes(artifact, "got") or known:
            continue
        # A file opened for writing and left as it was is copied up by the overlay, which looks like a change.
        if path not in before or _is_deletion(artifact) or _differences(before[path], artifact.entry):
            yield OutputJudgement(name=artifact.name, verdict="extra", got=_shown(artifact))
    yield from grouped.judgements()


class _Groups:
    """The folders that a policy makes one artifact of, with the files below them on both sides."""

    def __init__(self, contents: Contents) -> None:
        self._contents, self._patterns = contents, contents.folders()
        self._sides: dict[str, dict[str, dict[str, Digest]]] = {}

    def takes(self, artifact: Artifact, side: str) -> bool:
        """Tell whether an output is judged as a part of a folder; only files whose bytes are known can be."""
        found = next((f for p in self._patterns if (f := group_of(p, artifact.name)) is not None), None)
        if found is None or artifact.entry.type != "file" or artifact.entry.digest is None or _is_deletion(artifact):
            return False
        sides = self._sides.setdefault(found, {"recorded": {}, "got": {}})
        sides[side][artifact.name[len(found) :]] = artifact.entry.digest
        return True

    def judgements(self) -> Iterator[OutputJudgement]:
        for folder, sides in self._sides.items():
            recorded, got = sides["recorded"], sides["got"]
            shown = [f"folder of {len(files)} files" if files else None for files in (recorded, got)]
            if not recorded or not got:
                yield OutputJudgement(
                    name=folder, verdict="missing" if recorded else "extra", recorded=shown[0], got=shown[1]
                )
                continue
            judgement = OutputJudgement(name=folder, verdict="identical", recorded=shown[0], got=shown[1])
            if recorded != got:
                comparison = self._contents.compare_folder(folder, recorded, got)
                judgement = judged_file(judgement, ("bytes: other files",), comparison)
            yield judgement


def _is_deletion(artifact: Artifact) -> bool:
    return _DELETED in artifact.access and _CHANGES.isdisjoint(artifact.access)


def _shown(artifact: Artifact) -> str:
    """Say what an output is in one word or digest."""
    entry = artifact.entry
    if _is_deletion(artifact):
        return _DELETED
    if entry.type == "file":
        return entry.digest or "bytes not kept"
    return f"link to {entry.target}" if entry.type == "symlink" else entry.type


def _output(recorded: Artifact, got: Artifact | None, contents: Contents) -> OutputJudgement:
    shown = _shown(recorded)
    if got is None:
        if _is_deletion(recorded):
            return OutputJudgement(
                name=recorded.name, verdict="different", recorded=shown, differences=("it was not deleted",)
            )
        return OutputJudgement(name=recorded.name, verdict="missing", recorded=shown)
    if _is_deletion(recorded) or _is_deletion(got):
        if _is_deletion(recorded) and _is_deletion(got):
            return OutputJudgement(name=recorded.name, verdict="identical", recorded=shown, got=_shown(got))
        which = "it was not deleted" if _is_deletion(recorded) else "it was deleted"
        return OutputJudgement(
            name=recorded.name, verdict="different", recorded=shown, got=_shown(got), differences=(which,)
        )
    differences = _differences(recorded.entry, got.entry)
    judgement = OutputJudgement(
        name=recorded.name, verdict=_level(differences), recorded=shown, got=_shown(got), differences=tuple(differences)
    )
    digests = recorded.entry.digest, got.entry.digest
    if recorded.entry.type != "file" or digests[0] is None or digests[1] is None or digests[0] == digests[1]:
        return judgement
    comparison = contents.compare(recorded.name, digests[0], digests[1])
    return judged_file(judgement, judgement.differences, comparison)


def judged_file(
    judgement: OutputJudgement, differences: Sequence[str], comparison: Comparison | None
) -> OutputJudgement:
    """Say what a comparison of the bytes found; differences that are not of the bytes are never let pass."""
    if comparison is None:
        return replace(judgement, verdict="different", differences=tuple(differences))
    others = [words for words in differences if not words.startswith("bytes: ")]
    level, way = level_of(comparison)
    return replace(
        judgement,
        verdict="different" if others else level,
        equivalence=way,
        policy=comparison.policy if comparison.policy.pattern else None,
        relaxations=comparison.relaxations if not others else (),
        hint=comparison.hint,
        differences=(*(others if comparison.accepted else differences), *summary(comparison)),
    )


def _level(differences: Sequence[str]) -> OutputLevel:
    return "different" if differences else "identical"


def _differences(recorded: Entry, got: Entry) -> list[str]:
    if recorded.type != got.type:
        return [f"type: recorded {recorded.type}, got {got.type}"]
    found = []
    if recorded.type == "file":
        found += _byte_differences(recorded, got)
    if recorded.type == "symlink":
        if recorded.target != got.target:
            found.append(f"target: recorded {recorded.target}, got {got.target}")
    elif recorded.mode != got.mode:  # a link's own mode means nothing
        found.append(f"mode: recorded {recorded.mode:04o}, got {got.mode:04o}")
    return found


def _byte_differences(recorded: Entry, got: Entry) -> list[str]:
    if recorded.digest is None:
        return ["bytes: not known in the record"]
    if got.digest is None:
        return ["bytes: not known in the replay"]
    if recorded.digest == got.digest:
        return []
    if recorded.size_bytes != got.size_bytes:
        return [f"bytes: recorded {recorded.size_bytes} bytes, got {got.size_bytes}"]
    return [f"bytes: other content of the same {got.size_bytes} bytes"]


def _exit_code(original: Bundle, replay: Bundle) -> Iterator[OutputJudgement]:
    if original.exit_code is None:
        return
    recorded = str(original.exit_code)
    got = None if replay.exit_code is None else str(replay.exit_code)
    differences = () if recorded == got else (f"recorded {recorded}, got {got or 'none'}",)
    yield OutputJudgement(
        name=EXIT_CODE,
        verdict=_level(differences),
        recorded=recorded,
        got=got,
        differences=differences,
    )


def _stream(name: str, recorded: Stream, got: Stream) -> Iterator[OutputJudgement]:
    if recorded.pointer is None or got.pointer is None:
        return
    differences = []
    if recorded.pointer.digest != got.pointer.digest:
        differences.append(f"bytes: recorded {recorded.pointer.size_bytes} bytes, got {got.pointer.size_bytes}")
    if recorded.truncated != got.truncated:
        differences.append("only one of the two was kept whole")
    yield OutputJudgement(
        name=name,
        verdict=_level(differences),
        recorded=recorded.pointer.digest,
        got=got.pointer.digest,
        differences=tuple(differences),
        decides=name != "stderr",
    )


# --- what was not recorded


def _entries(evidence: Evidence) -> dict[str, Entry]:
    known = {entry.path: entry for entry in evidence.entries}
    return known | {artifact.entry.path: artifact.entry for artifact in evidence.bundle.inputs}


def _unrecorded(original: Evidence, replay: Evidence) -> Iterator[str]:
    recorded = _entries(original)
    left_out = original.bundle.capture.left_out
    for path, entry in _entries(replay).items():
        if entry.need == "stat" or _is_in(path, left_out):
            continue
        known = recorded.get(path)
        if known is None:
            yield f"{path}: {'listed' if entry.need == 'list' else 'read'}, but the record does not have it"
        elif entry.need == "list" and known.names is None:
            yield f"{path}: listed, but the record does not have its names"
        elif entry.need == "content" and known.need != "content" and known.digest is None:
            yield f"{path}: read, but the record has only its size and time"
    known_absent = _KnownAbsent(original, recorded)
    for path in replay.absent:
        if path not in recorded and not known_absent.tells(path) and not _is_in(path, left_out):
            yield f"{path}: looked for, and the record does not say whether it was there"


def _is_in(path: str, folders: Sequence[str]) -> bool:
    """Tell whether a path is one of some folders or in one: the store, which the record leaves out, and says so."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


class _KnownAbsent:
    """Tells of which paths a record says that they were not there, or were the job's own."""

    def __init__(self, original: Evidence, recorded: dict[str, Entry]) -> None:
        self._absent = frozenset(original.absent)
        self._names = {path: frozenset(entry.names) for path, entry in recorded.items() if entry.names is not None}
        self._made = {artifact.entry.path for artifact in original.bundle.outputs} - recorded.keys()

    def tells(self, path: str) -> bool:
        """Go from the path towards the root until something is known."""
        while path:
            if path in self._absent or path in self._made:
                return True
            folder, _, name = path.rpartition("/")
            if name not in self._names.get(folder or "/", {name}):
                return True
            path = folder
        return False
