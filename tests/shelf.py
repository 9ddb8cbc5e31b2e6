"""A store of each test's own, and versions of a table to put into it, each as a delta against another."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random

from reenact.digests import Digest
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.forms import FORM_NAMES
from reenact.store.opening import Store, open_store
from reenact.store.stored import read_header

__all__ = ["RUN", "Shelf", "edited", "table"]

RUN = RunId("01990000-0001-7000-8000-000000000001")


def table(rows: int, seed: int = 0) -> bytes:
    """Make rows of about 50 bytes that compress as tables do."""
    chance = Random(seed)
    lines = [
        f"{row},2026-01-{1 + row % 28:02d},{chance.choice(('north', 'south', 'east', 'west'))},{chance.random():.15f},x\n"
        for row in range(rows)
    ]
    return "".join(lines).encode()


def edited(content: bytes, seed: int, share: float = 0.01) -> bytes:
    """Change some rows, insert some, delete some, and append some."""
    chance = Random(seed)
    lines = content.splitlines(keepends=True)
    for _ in range(max(1, int(len(lines) * share))):
        at = chance.randrange(len(lines))
        new = b"%d,%d,changed\n" % (seed, chance.getrandbits(40))
        chance.choice(
            (
                lines.__setitem__,
                lines.insert,
                lambda at, _: lines.__delitem__(at),
                lambda _, new: lines.append(new),
            )
        )(at, new)
    return b"".join(lines)


class Shelf:
    """See the module."""

    def __init__(self, location: str, policy: DeltaPolicy) -> None:
        self.store: Store = open_store(location, create=True, deltas=policy)

    def put(self, content: bytes, previous: Digest | None = None) -> Digest:
        """Put content by itself or as the version after another, in a transaction of its own."""
        writer = self.store.writer(RUN)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            digest = writer.add_descriptor(file.fileno(), previous).digest
        writer.commit()
        return digest

    def put_chain(self, count: int, rows: int = 8000) -> dict[Digest, bytes]:
        """Put versions, each after the one before."""
        found: dict[Digest, bytes] = {}
        previous, content = None, table(rows)
        for number in range(count):
            previous = self.put(content, previous)
            found[previous] = content
            content = edited(content, number)
        return found

    def path(self, digest: Digest) -> Path:
        """Give the file of an object, writable."""
        name = digest.removeprefix("sha256:")
        path = Path(self.store.location, "objects", name[:2], name[2:])
        path.chmod(0o644)
        return path

    def form(self, digest: Digest) -> str:
        """Name the form an object is stored in."""
        place = next(self.store.objects._places(digest))
        return FORM_NAMES[read_header(self.store.backend, place)[0].form]

    def depth(self, digest: Digest) -> int:
        """Count the objects that are read to read one, beside it."""
        return self.store.objects._bases.open(digest).depth

    def stored_bytes(self, digest: Digest) -> int:
        """Give the length of an object's file."""
        return self.path(digest).stat().st_size

    def copy(self, digest: Digest) -> bytes:
        """Copy an object out as a restore does."""
        with tempfile.TemporaryFile() as file:
            self.store.objects.copy_to(digest, file.fileno())
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)

    def close(self) -> None:
        """Close the store."""
        self.store.close()
