"""The logical digest of a table: the same for the same rows, whatever their order and encoding. See docs/spec/logical-digest.md.

It finds accidents. It is no defence against somebody who looks for two tables with one digest (sums of hashes can be made to
meet, given enough work); that is what the digest of the file is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final

from reenact import canonical
from reenact.compare.encoding import rows
from reenact.compare.libraries import arrow
from reenact.compare.logical import logical_type
from reenact.digests import PREFIX, Digest

__all__ = ["LogicalDigest", "column_types", "is_json", "json_field"]

NAME: Final = "reenact-logical-digest-v1"
"""The first thing that is digested: no digest of another kind, or of a later definition, can be mistaken for it."""
_MODULUS_BITS: Final = 256
_BATCH_BYTES: Final = 32 << 20
"""Rows are encoded by so much at a time: enough to spread the cost of a call, little beside the readers' own memory."""


_TYPE_KEY: Final = b"reenact.type"
_JSON: Final = b"json"


def json_field(name: str) -> Any:  # noqa: ANN401 - an Arrow field
    """Make a column of JSON values, each in canonical JSON text; null is for a value that is not there."""
    return arrow().field(name, arrow().string(), metadata={_TYPE_KEY: _JSON})


def is_json(field: Any) -> bool:  # noqa: ANN401 - an Arrow field
    """Tell whether a column was made by `json_field`."""
    return bool(field.metadata) and field.metadata.get(_TYPE_KEY) == _JSON


def column_types(schema: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - an Arrow schema
    """Give name and logical type of each column, in order.

    Raises:
        NotATable: a column has a type that is none.
    """
    return tuple((field.name, "json" if is_json(field) else logical_type(field.type)) for field in schema)


class LogicalDigest:
    """Digests a table, batch by batch, in memory that does not grow."""

    def __init__(self, schema: Any) -> None:  # noqa: ANN401 - an Arrow schema
        types = column_types(schema)
        # Sorted by name as bytes; columns of one name keep their order.
        self._order = sorted(range(len(types)), key=lambda at: types[at][0].encode())
        header = [NAME, [[types[at][0], types[at][1]] for at in self._order]]
        self._header = hashlib.sha256(canonical.dumps(header)).digest()
        self._sum = 0
        self.rows = 0

    def add(self, batch: Any) -> None:  # noqa: ANN401 - an Arrow record batch
        """Take in the rows of a batch that has the schema."""
        for part in _slices(batch):
            self.rows += part.num_rows
            if self._order:
                self._sum += _sum_of([part.column(at) for at in self._order])

    def result(self) -> Digest:
        """Give the digest of all rows so far."""
        total = (self._sum % (1 << _MODULUS_BITS)).to_bytes(_MODULUS_BITS // 8, "little")
        state = hashlib.sha256(self._header + self.rows.to_bytes(8, "little") + total)
        return Digest(PREFIX + state.hexdigest())


def _slices(batch: Any) -> Iterator[Any]:  # noqa: ANN401 - an Arrow record batch
    """Cut a batch, so that no encoding of one nears the 2 GiB that Arrow's offsets reach."""
    step = max(1, batch.num_rows * _BATCH_BYTES // max(batch.nbytes, 1))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _sum_of(columns: Sequence[Any]) -> int:
    number: Callable[[bytes, str], int] = int.from_bytes  # type: ignore[assignment]  # any text would be too wide
    digests = (hashlib.sha256(row).digest() for row in _views(rows(list(columns))))
    return sum(map(number, digests, repeat("little")))


def _views(encoded: Any) -> Iterator[memoryview]:  # noqa: ANN401 - an Arrow binary array
    """Give each value of a binary array as a view of its buffer."""
    _, offsets, data = encoded.buffers()
    bounds = memoryview(offsets).cast("i")[encoded.offset : encoded.offset + len(encoded) + 1]
    content = memoryview(data) if data is not None else memoryview(b"")
    start = bounds[0]
    for end in bounds[1:]:
        yield content[start:end]
        start = end
