"""Comparing JSON documents: by paths, whatever the order of keys, the spaces, and how numbers are spelt."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reenact.compare.logical import NotATable
from reenact.compare.readers.records import WHOLE_MAX_BYTES, canonical_value, parse
from reenact.compare.result import PartComparison
from reenact.model.policy import EVERY_COLUMN, Policy, Relaxation, Tolerance

__all__ = ["compare_documents"]

_SHOWN: Final = 200
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    path: str
    kind: str
    words: str
    delta: float | None = None


def compare_documents(recorded: str, got: str, policy: Policy, most: int) -> PartComparison:
    """Compare the documents in two files.

    Raises:
        NotATable: one of them is no JSON, or too large to be read as a whole.
    """
    counts = dict.fromkeys(("changed", "added", "removed"), 0)
    lines: list[str] = []
    within, largest = 0, 0.0
    for found in _walk("$", "", _load(recorded), _load(got), policy.tolerance):
        if found.kind == "within":
            within, largest = within + 1, max(largest, abs(found.delta or 0.0))
            continue
        counts[found.kind] += 1
        if len(lines) < most:
            lines.append(f"{found.path}: {found.words}")
    relaxations = [Relaxation(kind="encoding", detail="keys, spaces or numbers otherwise written down")]
    if within:
        words = "values differ by what is tolerated"
        relaxations = [Relaxation(kind="tolerance", values=within, largest=repr(largest), detail=words)]
    different = any(counts.values())
    return PartComparison(
        kind="document",
        level="different" if different else "tolerance" if within else "encoding",
        changed=counts["changed"],
        added=counts["added"],
        removed=counts["removed"],
        lines=tuple(lines),
        relaxations=() if different else tuple(relaxations),
    )


def _load(path: str) -> Any:  # noqa: ANN401 - any JSON value
    with open(path, "rb") as file:
        data = file.read(WHOLE_MAX_BYTES + 1)
    if len(data) > WHOLE_MAX_BYTES:
        raise NotATable(f"a JSON document of more than {WHOLE_MAX_BYTES} bytes is not read as a whole")
    return parse(data.removeprefix(codecs.BOM_UTF8))


def _walk(path: str, key: str, a: Any, b: Any, tolerance: Mapping[str, Tolerance]) -> Iterator[_Difference]:  # noqa: ANN401
    if isinstance(a, dict) and isinstance(b, dict):
        for name in dict.fromkeys([*a, *b]):
            below = f"{path}.{name}" if name.isidentifier() else f"{path}[{canonical_value(name)}]"
            if name not in b:
                yield _Difference(path=below, kind="removed", words=f"removed, was {_shown(a[name])}")
            elif name not in a:
                yield _Difference(path=below, kind="added", words=f"added: {_shown(b[name])}")
            else:
                yield from _walk(below, name, a[name], b[name], tolerance)
    elif isinstance(a, list) and isinstance(b, list):
        for at in range(max(len(a), len(b))):
            if at >= len(b):
                yield _Difference(path=f"{path}[{at}]", kind="removed", words=f"removed, was {_shown(a[at])}")
            elif at >= len(a):
                yield _Difference(path=f"{path}[{at}]", kind="added", words=f"added: {_shown(b[at])}")
            else:
                yield from _walk(f"{path}[{at}]", key, a[at], b[at], tolerance)
    elif canonical_value(a) != canonical_value(b):
        yield _leaf(path, a, b, tolerance.get(key, tolerance.get(EVERY_COLUMN)))


def _leaf(path: str, a: Any, b: Any, tolerance: Tolerance | None) -> _Difference:  # noqa: ANN401 - JSON values
    words = f"{_shown(a)} → {_shown(b)}"
    if _is_number(a) and _is_number(b):
        delta = float(b) - float(a)
        kind = "within" if tolerance is not None and _allows(tolerance, float(a), float(b)) else "changed"
        return _Difference(path=path, kind=kind, words=f"{words} ({delta:+.6g})", delta=delta)
    return _Difference(path=path, kind="changed", words=words)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    return isinstance(value, int | float) and not isinstance(value, bool)


def _allows(tolerance: Tolerance, a: float, b: float) -> bool:
    if not math.isfinite(a) or not math.isfinite(b):
        return False
    apart = abs(b - a)
    if tolerance.absolute is not None and apart <= float(tolerance.absolute):
        return True
    if tolerance.relative is not None and apart <= float(tolerance.relative) * max(abs(a), abs(b)):
        return True
    return tolerance.ulp is not None and apart <= tolerance.ulp * math.ulp(max(abs(a), abs(b)))


def _shown(value: Any) -> str:  # noqa: ANN401 - a JSON value
    text = canonical_value(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
