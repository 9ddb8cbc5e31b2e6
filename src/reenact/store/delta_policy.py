"""Which objects are kept as deltas. By itself, because every run asks and few make one."""

from __future__ import annotations

import msgspec

__all__ = ["DeltaPolicy"]


class DeltaPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects are kept as deltas."""

    from_bytes: int = 1 << 20
    """Shorter ones never are; 0 means that none is."""
    most_depth: int = 10
    """How many other objects may have to be read to read one. Each costs a third of a second for a gigabyte of it."""

    def wants(self, size_bytes: int) -> bool:
        """Tell whether an object of some length may become a delta."""
        return 0 < self.from_bytes <= size_bytes and self.most_depth > 0
