"""What objects need: a delta is as good as the objects it is made against, and so are those."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reenact import digests
from reenact.digests import Digest
from reenact.errors import KeyAbsent
from reenact.store.forms import Malformed
from reenact.store.interface import Backend, Finding
from reenact.store.stored import Place, read_header

__all__ = ["base_at", "blamed", "closure"]


def base_at(backend: Backend, place: Place) -> Digest | None:
    """Give what the object at a place is made against; None when nothing, or when that cannot be told any more."""
    if place.record is not None:
        return None  # in packs are whole objects only
    try:
        header, _ = read_header(backend, place)
    except (Malformed, KeyAbsent):
        return None
    return None if header.base is None else digests.from_raw(header.base)


def closure(wanted: Iterable[Digest], base_of: Callable[[Digest], Digest | None]) -> dict[Digest, Digest]:
    """Give, for every object that is wanted or needed for one, what it is made against, where it is."""
    found: dict[Digest, Digest] = {}
    seen: set[Digest] = set()
    waiting = list(wanted)
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        base = base_of(digest)
        if base is not None:
            found[digest] = base
            waiting.append(base)
    return found


def blamed(wanted: Iterable[Digest], findings: list[Finding], bases: dict[Digest, Digest]) -> list[Finding]:
    """Turn findings about objects and what they need into findings about those wanted, each naming the base that is bad."""
    bad = {finding.digest: finding for finding in findings}
    result = []
    for digest in wanted:
        found = _bad_base(digest, bad, bases) or bad.get(digest)
        if found is not None and found.digest != digest:
            detail = f"its base {found.digest} is {found.problem}: {found.detail}"
            found = Finding(digest=digest, problem="damaged", detail=detail)
        if found is not None:
            result.append(found)
    return result


def _bad_base(digest: Digest, bad: dict[Digest, Finding], bases: dict[Digest, Digest]) -> Finding | None:
    """Give the finding about the deepest of an object's bases that is bad: those above are only as bad as it."""
    found = None
    seen = {digest}
    while (base := bases.get(digest)) is not None and base not in seen:
        seen.add(base)
        found = bad.get(base, found)
        digest = base
    return found
