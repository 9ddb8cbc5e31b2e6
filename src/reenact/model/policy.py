"""What counts as equal for an output: declared before a replay, and signed with the verdict that used it."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["BYTES", "EVERY_COLUMN", "Compare", "Equivalence", "Policy", "Relaxation", "Tolerance"]

Compare = Literal["bytes", "content", "rows"]
"""`bytes`: nothing but the same bytes. `content`: the same content, however it is encoded. `rows`: the same rows, in any order."""

Equivalence = Literal["encoding", "order", "tolerance"]
"""How two outputs that are not the same bytes are still equal; each of these includes those before it.

`encoding`: the same content, otherwise written down. `order`: the same rows in another order, or columns in another order.
`tolerance`: the rest lies within what was declared.
"""

EVERY_COLUMN = "*"


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """By how much two values of a column may differ: what any of the given measures allows is allowed.

    Decimal text, not numbers: signed JSON has no floating point.
    """

    absolute: str | None = None
    """At most this far apart."""
    relative: str | None = None
    """At most this far apart, as a fraction of the greater magnitude of the two."""
    ulp: int | None = None
    """At most this many steps apart, from one representable floating-point number of the column's own width to the next."""
    seconds: str | None = None
    """For points in time, dates, times of day and durations."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as equal for the outputs that a pattern names."""

    compare: Compare = "bytes"
    pattern: str = ""
    """The pattern in the settings that the policy comes from; empty when none fits, and then it is `bytes`."""
    key: tuple[str, ...] = ()
    """Columns that tell which row is which."""
    ignore_columns: tuple[str, ...] = ()
    """Columns that do not count."""
    order: Literal["same", "any"] = "same"
    tolerance: dict[str, Tolerance] = {}
    """By column; ``*`` is every column that is not named."""

    @property
    def any_order(self) -> bool:
        """Tell whether rows may come in any order."""
        return self.order == "any" or self.compare == "rows"


BYTES = Policy()
"""In force where nothing was declared."""


class Relaxation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a policy let pass, and how much of it."""

    kind: Literal["encoding", "order", "tolerance", "ignored"]
    detail: str
    """In words: what of the encoding, how many rows."""
    part: str = ""
    """The table, sheet, member or file of the output; empty when it has only one."""
    column: str = ""
    values: int = 0
    """How many values, or rows, it was needed for."""
    largest: str = ""
    """The largest deviation that was let pass; decimal text."""
