"""What a replay asks of the place that keeps objects. The store implements it; tests use a dictionary."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from reenact.digests import Digest

__all__ = ["ObjectChecker", "ObjectFinding", "ObjectSource"]


class ObjectFinding(Protocol):
    """One object that is not as it should be."""

    @property
    def digest(self) -> Digest:
        """Which object."""
        ...

    @property
    def problem(self) -> str:
        """``missing`` when it is not there at all; anything else means damaged."""
        ...

    @property
    def detail(self) -> str:
        """In words."""
        ...


class ObjectChecker(Protocol):
    """Tells which objects are missing or damaged, all at once."""

    def verify(self, wanted: Collection[Digest], /, *, content: bool) -> Sequence[ObjectFinding]:
        """Check objects.

        Args:
            wanted: Which, each once.
            content: Decode and hash the content itself, not only the stored bytes.
        """
        ...


class ObjectSource(Protocol):
    """Gives the bytes of objects. Safe to call from two threads; never gives bytes that do not match the digest."""

    def read(self, digest: Digest, /) -> bytes:
        """Give an object's bytes.

        Raises:
            ObjectMissing: the object is not there.
            ObjectDamaged: its stored form does not give the promised bytes.
        """
        ...

    def copy_to(self, digest: Digest, descriptor: int, /) -> object:
        """Write an object's bytes to an open file from its present offset, in bounded memory; errors as for `read`."""
        ...
