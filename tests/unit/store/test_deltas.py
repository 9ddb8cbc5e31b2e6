"""Objects kept as deltas against earlier versions: they are what they were, or refused; and what is bad is named."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError, StoreError
from reenact.ids import RunId
from reenact.store.opening import Store, open_store

ROWS = 40_000


def rows(seed: int = 1, count: int = ROWS) -> list[bytes]:
    chance = random.Random(seed)
    return [b"%08d,%016x,%d\n" % (n, chance.getrandbits(64), chance.randrange(10**6)) for n in range(count)]


def changed(lines: list[bytes], seed: int) -> list[bytes]:
    """One row in a hundred is another."""
    chance = random.Random(seed)
    found = [*lines]
    for n in chance.sample(range(len(lines)), len(lines) // 100):
        found[n] = b"%08d,changed-%d\n" % (n, chance.getrandbits(40))
    return found


FIRST = rows()
BLOCK = len(FIRST) // 5
VARIANTS: dict[str, Callable[[], bytes]] = {
    "rows changed": lambda: b"".join(changed(FIRST, 2)),
    "rows appended": lambda: b"".join(FIRST + rows(3, 2000)),
    "rows put in front": lambda: b"".join(rows(4, 3000) + FIRST),
    "rows taken away": lambda: b"".join(FIRST[: 2 * BLOCK] + FIRST[3 * BLOCK :]),
    "cut to a half": lambda: b"".join(FIRST[: ROWS // 2]),
    "blocks moved": lambda: b"".join(FIRST[3 * BLOCK :] + FIRST[: 3 * BLOCK]),
    "every row longer": lambda: b"".join(line[:-1] + b",new\n" for line in FIRST),
    "holes": lambda: b"".join(FIRST[:BLOCK]) + bytes(1 << 20) + b"".join(FIRST[BLOCK:]),
    "nothing alike": lambda: random.Random(5).randbytes(1_500_000),
    "the same": lambda: b"".join(FIRST),
}


class Versions:
    """Puts versions of one file into a store, each a run."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.runs = 0

    def put(self, content: bytes, previous: Digest | None = None) -> Digest:
        path = self.folder / "file"
        path.write_bytes(content)
        self.runs += 1
        writer = self.store.writer(RunId(f"01990000-{self.runs:04x}-7000-8000-000000000001"))
        with path.open("rb") as file:
            added = writer.add_descriptor(file.fileno(), previous)
        writer.commit()
        assert added.digest == of_bytes(content)
        return added.digest

    def file(self, digest: Digest) -> Path:
        raw = digest.removeprefix("sha256:")
        [found] = [p for p in Path(self.store.location, "objects").rglob("*") if p.is_file() and raw.endswith(p.name)]
        return found

    def read(self, digest: Digest) -> bytes | None:
        """Read as another process does; None where it is refused."""
        fresh = open_store(self.store.location, create=False)
        try:
            return fresh.objects.read(digest)
        except IntegrityError:
            return None
        finally:
            fresh.close()

    def findings(self, *digests: Digest, content: bool = True) -> dict[Digest, tuple[str, str]]:
        fresh = open_store(self.store.location, create=False)
        found: dict[Digest, tuple[str, str]] = {
            f.digest: (f.problem, f.detail) for f in fresh.objects.verify([*digests], content=content)
        }
        fresh.close()
        return found


@pytest.fixture
def versions(store: Store, tmp_path: Path) -> Versions:
    return Versions(store, tmp_path)


@pytest.fixture
def pair(versions: Versions) -> tuple[Digest, Digest]:
    """A version, and another that is kept as a delta against it."""
    first = versions.put(b"".join(FIRST))
    second = versions.put(VARIANTS["rows changed"](), first)
    assert versions.file(second).stat().st_size < versions.file(first).stat().st_size // 5
    return first, second


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("how", VARIANTS)
def test_whatever_changed_a_version_is_restored(versions: Versions, store: Store, how: str, tmp_path: Path) -> None:
    content = VARIANTS[how]()
    first = versions.put(b"".join(FIRST))
    second = versions.put(content, first)
    assert store.objects.read(second) == content
    assert store.objects.size(second) == len(content)
    with (tmp_path / "out").open("w+b") as file:
        store.objects.copy_to(second, file.fileno())
    assert (tmp_path / "out").read_bytes() == content
    assert versions.findings(first, second) == {}


def test_what_is_not_alike_needs_no_other(versions: Versions, store: Store) -> None:
    first = versions.put(b"".join(FIRST))
    content = VARIANTS["nothing alike"]()
    second = versions.put(content, first)
    versions.file(first).unlink()
    assert store.objects.read(second) == content
    assert versions.findings(second) == {}


def test_a_long_line_of_versions_is_restored_each(versions: Versions, store: Store) -> None:
    lines, previous = rows(9, 60_000), None
    made = []
    for seed in range(14):
        content = b"".join(lines)
        previous = versions.put(content, previous)
        made.append((previous, of_bytes(content)))
        lines = changed(lines, seed)
    for digest, expected in made:
        assert of_bytes(store.objects.read(digest)) == expected
    assert versions.findings(*(digest for digest, _ in made)) == {}


def test_a_version_before_that_is_not_there_is_done_without(versions: Versions, store: Store) -> None:
    content = b"".join(FIRST)
    digest = versions.put(content, of_bytes(b"never put"))
    assert store.objects.read(digest) == content


def test_a_damaged_version_before_is_not_built_on(versions: Versions, store: Store) -> None:
    first = versions.put(b"".join(FIRST))
    path = versions.file(first)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace(path, bytes(data))
    content = VARIANTS["rows changed"]()
    second = versions.put(content, first)
    assert store.objects.read(second) == content
    assert versions.findings(second) == {}


# --- damage


@pytest.mark.parametrize("content", [False, True])
def test_a_lost_base_makes_its_delta_unreadable_and_is_named(
    versions: Versions, store: Store, pair: tuple[Digest, Digest], content: bool
) -> None:
    first, second = pair
    versions.file(first).unlink()
    with pytest.raises(IntegrityError, match=first):
        store.objects.read(second)
    found = versions.findings(first, second, content=content)
    assert found[first][0] == "missing"
    problem, detail = found[second]
    assert problem == "damaged"
    assert first in detail


def test_a_damaged_base_makes_its_delta_unreadable_and_is_named(
    versions: Versions, pair: tuple[Digest, Digest]
) -> None:
    first, second = pair
    path = versions.file(first)
    whole = path.read_bytes()
    expected = VARIANTS["rows changed"]()
    for at in range(7, len(whole), len(whole) // 12):
        data = bytearray(whole)
        data[at] ^= 0x10
        replace(path, bytes(data))
        # Not every byte of a base goes into a delta on it: those that do not are no concern of the delta's.
        assert versions.read(second) in {expected, None}, at
        found = versions.findings(first, second)
        assert found[first][0] == "damaged", at
        assert first in found[second][1], at


def test_no_flipped_byte_of_a_delta_gives_other_content(
    versions: Versions, store: Store, pair: tuple[Digest, Digest]
) -> None:
    _, second = pair
    path = versions.file(second)
    whole, expected = path.read_bytes(), VARIANTS["rows changed"]()
    positions = {*range(0, 200, 9), *range(200, len(whole), max(len(whole) // 40, 1)), len(whole) - 1}
    for at in sorted(positions):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        replace(path, bytes(data))
        # Its place among the versions is not part of its content.
        assert versions.read(second) in {expected, None}, at
        assert versions.findings(second, content=False)[second][0] == "damaged", at
    replace(path, whole)
    assert of_bytes(store.objects.read(second)) == second


def test_a_delta_cut_short_is_refused(versions: Versions, pair: tuple[Digest, Digest]) -> None:
    _, second = pair
    path = versions.file(second)
    whole = path.read_bytes()
    for length in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        replace(path, whole[:length])
        assert versions.read(second) is None
        assert versions.findings(second, content=False)[second][0] == "damaged"


def test_a_delta_that_is_said_to_be_another_object_is_refused(
    versions: Versions, store: Store, pair: tuple[Digest, Digest]
) -> None:
    first, second = pair
    third = versions.put(b"".join(changed(changed(FIRST, 2), 6)), second)
    replace(versions.file(second), versions.file(third).read_bytes())
    fresh = open_store(store.location, create=False)
    for digest in (second, third):
        with pytest.raises(IntegrityError):
            fresh.objects.read(digest)
    assert of_bytes(fresh.objects.read(first)) == first
    fresh.close()


def test_a_base_deleted_before_the_commit_is_an_error_and_not_a_lost_object(versions: Versions, store: Store) -> None:
    first = versions.put(b"".join(FIRST))
    path = versions.folder / "file"
    path.write_bytes(VARIANTS["rows changed"]())
    writer = store.writer(RunId("01990000-ffff-7000-8000-000000000001"))
    with path.open("rb") as file:
        added = writer.add_descriptor(file.fileno(), first)
    os.unlink(versions.file(first))
    with pytest.raises(StoreError, match="was deleted while another was made against it"):
        writer.commit()
    writer.abandon()
    fresh = open_store(store.location, create=False)
    assert not fresh.writer(RunId("01990000-fffe-7000-8000-000000000001")).holds(added.digest)
    fresh.close()
