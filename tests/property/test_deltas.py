"""Whatever is changed between versions, and whatever they are said to resemble, each comes back as it was."""

from __future__ import annotations

import shutil
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from reenact.digests import of_bytes
from reenact.store.delta_policy import DeltaPolicy
from tests.shelf import Shelf, table

BASE = table(14_000)
"""Some 0.5 MB: short, and yet no small object."""

edits = st.tuples(
    st.integers(min_value=0, max_value=len(BASE)),
    st.integers(min_value=0, max_value=3000) | st.integers(min_value=0, max_value=len(BASE)),
    st.binary(max_size=200)
    | st.builds(lambda at, n: BASE[at : at + n], st.integers(0, len(BASE)), st.integers(0, 90_000)),
)
"""Where, how many bytes go, and what comes in their place: also what is elsewhere in the same content."""


def applied(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, gone, new in changes:
        content = content[:at] + new + content[at + gone :]
    return content


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(edits, max_size=6), st.integers(min_value=-1, max_value=5)), min_size=1, max_size=6),
    st.integers(min_value=1, max_value=4),
)
def test_every_version_comes_back(versions: list[tuple[list[tuple[int, int, bytes]], int]], most_depth: int) -> None:
    folder = tempfile.mkdtemp(prefix="reenact-property-")
    shelf = Shelf(f"{folder}/store", DeltaPolicy(from_bytes=1, most_depth=most_depth))
    try:
        content = BASE
        kept = {shelf.put(content): content}
        order = list(kept)
        for changes, resembles in versions:
            content = applied(content, changes)
            # Of the versions before any may be named, or one that is not there.
            previous = order[resembles] if 0 <= resembles < len(order) else of_bytes(b"absent")
            digest = shelf.put(content, previous)
            kept[digest] = content
            order.append(digest)
        shelf.close()
        for digest, expected in kept.items():
            assert shelf.store.objects.read(digest) == expected
            assert shelf.copy(digest) == expected
            assert len(shelf.store.objects.bases_of(digest)) <= 1
            if shelf.store.objects.bases_of(digest):
                assert 1 <= shelf.depth(digest) <= most_depth
        for thorough in (False, True):
            assert shelf.store.objects.verify(kept, content=thorough) == []
    finally:
        shelf.close()
        shutil.rmtree(folder)
