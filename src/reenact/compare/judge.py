"""Judging two artifacts: open both, compare part by part, and say whether the policy in force counts them as equal."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from reenact.compare.documents import compare_documents
from reenact.compare.hints import hint_for
from reenact.compare.libraries import ReaderAbsent
from reenact.compare.logical import NotATable
from reenact.compare.parts import Opened, Part, open_folder, open_parts
from reenact.compare.result import Comparison, Level, PartComparison, worst
from reenact.compare.scratch import Scratch
from reenact.compare.table_judge import Bounds, compare_tables
from reenact.compare.texts import compare_bytes, compare_texts
from reenact.model.policy import BYTES, Policy, Relaxation

__all__ = ["Limits", "accepts", "compare_files", "compare_folders"]

_SAME_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a comparison may use."""

    memory_bytes: int = 768 << 20
    unpacked_max_bytes: int = 16 << 30
    examples: int = 10
    folder: str | None = None
    """Where temporary files go; None is the system's place for them."""


def compare_files(
    recorded: str, got: str, name: str, policy: Policy = BYTES, limits: Limits | None = None
) -> Comparison:
    """Compare two files.

    Args:
        recorded: The path of one.
        got: The path of the other.
        name: What they are called, which decides where the content fits several formats.
        policy: What counts as equal.
        limits: What may be used.

    Raises:
        OSError: one of them cannot be read, or there is no room for temporary files.
    """
    if _same_bytes(recorded, got):
        return Comparison(level="identical", accepted=True, policy=policy)
    limits = limits or Limits()
    with _scratches(limits) as (bounds, first, second):
        return _judged(open_parts(recorded, name, first), open_parts(got, name, second), policy, bounds)


def compare_folders(
    recorded: Mapping[str, str], got: Mapping[str, str], policy: Policy = BYTES, limits: Limits | None = None
) -> Comparison:
    """Compare two folders, each as one artifact: name inside the folder to path.

    Raises:
        OSError: a file cannot be read, or there is no room for temporary files.
    """
    if recorded.keys() == got.keys() and all(_same_bytes(recorded[name], got[name]) for name in recorded):
        return Comparison(level="identical", accepted=True, policy=policy)
    limits = limits or Limits()
    with _scratches(limits) as (bounds, first, second):
        return _judged(open_folder(recorded, first), open_folder(got, second), policy, bounds)


@contextmanager
def _scratches(limits: Limits) -> Iterator[tuple[Bounds, Scratch, Scratch]]:
    folder = tempfile.mkdtemp(prefix="reenact-compare-", dir=limits.folder)
    try:
        places = []
        for name in ("recorded", "got", "spill"):
            places.append(os.path.join(folder, name))
            os.mkdir(places[-1])
        bounds = Bounds(folder=places[2], memory_bytes=limits.memory_bytes, examples=limits.examples)
        yield bounds, Scratch(places[0], limits.unpacked_max_bytes), Scratch(places[1], limits.unpacked_max_bytes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _same_bytes(first: str, second: str) -> bool:
    if os.path.getsize(first) != os.path.getsize(second):
        return False
    with open(first, "rb") as one, open(second, "rb") as other:
        while block := one.read(_SAME_BLOCK):
            if block != other.read(_SAME_BLOCK):
                return False
    return True


def _judged(recorded: Opened, got: Opened, policy: Policy, bounds: Bounds) -> Comparison:
    names = dict.fromkeys([*recorded.parts, *got.parts])
    parts = [_part(name, recorded.parts.get(name), got.parts.get(name), policy, bounds) for name in names]
    level: Level = worst(*(part.level for part in parts))
    if level == "identical":
        level = "encoding"
        around = Relaxation(kind="encoding", detail="the same bytes, otherwise packed")
        parts.append(PartComparison(level=level, format=got.format, relaxations=(around,)))
    accepted = accepts(policy, level, parts)
    comparison = Comparison(level=level, accepted=accepted, policy=policy, parts=tuple(parts))
    return comparison if accepted else structs.replace(comparison, hint=hint_for(comparison))


def accepts(policy: Policy, level: Level, parts: list[PartComparison]) -> bool:
    """Tell whether a policy counts artifacts as equal that are equal in such a way. Pure."""
    if level == "identical":
        return True
    if policy.compare == "bytes" or level == "different":
        return False
    reordered = any(relaxation.kind == "order" for part in parts for relaxation in part.relaxations)
    return policy.any_order or not reordered


def _part(name: str, recorded: Part | None, got: Part | None, policy: Policy, bounds: Bounds) -> PartComparison:
    if recorded is None or got is None:
        only = recorded or got
        presence = "recorded" if got is None else "got"
        return PartComparison(
            part=name,
            kind=only.kind if only is not None else "bytes",
            format=only.format if only is not None else "",
            level="different",
            presence="recorded" if presence == "recorded" else "got",
        )
    found = _compared(recorded, got, policy, bounds)
    formats = [part.format for part in (recorded, got)]
    relaxations = tuple(structs.replace(relaxation, part=name) for relaxation in found.relaxations)
    return structs.replace(
        found,
        part=name,
        format=formats[0] if formats[0] == formats[1] else f"{formats[0]} → {formats[1]}",
        notes=tuple(dict.fromkeys([*recorded.notes, *got.notes, *found.notes])),
        relaxations=relaxations,
    )


def _compared(recorded: Part, got: Part, policy: Policy, bounds: Bounds) -> PartComparison:
    if recorded.path and got.path and _same_bytes(recorded.path, got.path):
        return PartComparison(kind=recorded.kind, level="identical")
    if recorded.table is not None and got.table is not None:
        try:
            first = replace(recorded.table, facts=recorded.facts)
            return compare_tables(first, replace(got.table, facts=got.facts), policy, bounds)
        except (NotATable, ReaderAbsent) as error:
            return _as_bytes(recorded, got, str(error))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - each library has errors of its own, and any file may be damaged
            return _as_bytes(recorded, got, (str(error).strip().splitlines() or [type(error).__name__])[0])
    kinds = {recorded.kind, got.kind}
    if kinds == {"document"}:
        try:
            return compare_documents(recorded.path, got.path, policy, bounds.examples)
        except NotATable as error:
            return structs.replace(compare_texts(recorded.path, got.path, bounds.examples), notes=(str(error),))
    if kinds == {"text"}:
        return compare_texts(recorded.path, got.path, bounds.examples)
    note = () if len(kinds) == 1 else (f"one is a {recorded.kind}, the other a {got.kind}",)
    if not recorded.path or not got.path:
        return PartComparison(level="different", notes=note)
    found = compare_bytes(recorded.path, got.path)
    return structs.replace(found, notes=(*note, *found.notes))


def _as_bytes(recorded: Part, got: Part, reason: str) -> PartComparison:
    """Fall back where a table cannot be read to its end, or two tables cannot be compared."""
    if not recorded.path or not got.path:
        return PartComparison(level="different", notes=(f"cannot be compared as a table: {reason}",))
    lines = recorded.format in {"csv", "json-lines"} and got.format in {"csv", "json-lines"}
    found = compare_texts(recorded.path, got.path, 10) if lines else compare_bytes(recorded.path, got.path)
    return structs.replace(found, notes=(f"cannot be compared as a table: {reason}", *found.notes))
