"""CSV, TSV and the like: every column is text, exactly as written.

A type guessed from the values would change with the values. An empty field is an empty text; there are no nulls. What only says
how fields are told apart (quotes, the delimiter, line ends, a byte order mark, the encoding) is no content.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import Any, Final

from reenact.compare.formats import delimiter_of, head_of, text_encoding
from reenact.compare.libraries import arrow
from reenact.compare.logical import NotATable
from reenact.compare.tables import Table, unique_names

__all__ = ["read_delimited"]

_BLOCK_BYTES: Final = 4 << 20
_NAMES: Final = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


def read_delimited(path: str) -> Table:
    """Read a file of delimited text; its first row names the columns.

    Raises:
        NotATable: it is empty.
    """
    head = head_of(path)
    encoding = text_encoding(head) or "latin-1"
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    delimiter = delimiter_of(text) or ","
    names = _header(path, encoding, delimiter)
    schema = arrow().schema([(name, arrow().string()) for name in names])
    facts = {
        "delimiter": _NAMES[delimiter],
        "line ends": "CR LF" if "\r\n" in text else "LF" if "\n" in text or "\r" not in text else "CR",
        "encoding": encoding,
        "byte order mark": "yes"
        if head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        else "no",
        "quotes": "some fields" if '"' in text else "none",
    }
    return Table(schema=schema, batches=lambda: _batches(path, encoding, delimiter, schema), facts=facts)


def _header(path: str, encoding: str, delimiter: str) -> list[str]:
    with open(path, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="", errors="replace") as file:
        for row in csv.reader(file, delimiter=delimiter):
            if row:
                return unique_names(row)
    raise NotATable("it has no header")


def _batches(path: str, encoding: str, delimiter: str, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - Arrow's
    pa, module = arrow(), arrow("csv")
    options = {
        # Its own header is skipped by rows, not lines: a name may hold a line break.
        "read_options": module.ReadOptions(
            column_names=schema.names,
            skip_rows_after_names=1,
            block_size=_BLOCK_BYTES,
            use_threads=True,
            encoding="utf-8",
        ),
        "parse_options": module.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": module.ConvertOptions(
            column_types=dict.fromkeys(schema.names, pa.string()), strings_can_be_null=False, null_values=[]
        ),
    }
    with _as_utf8(path, encoding) as source:
        try:
            reader = module.open_csv(source, **options)
        except pa.ArrowInvalid as error:
            # A header and nothing after it: not an error, but no rows.
            if "Empty CSV" in str(error):
                return
            raise
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _as_utf8(path: str, encoding: str) -> Any:  # noqa: ANN401 - files of several kinds
    """Open a file so that UTF-8 without a mark comes out."""
    if encoding == "utf-8":
        file = open(path, "rb")  # noqa: SIM115 - the caller closes it
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        return file
    return io.BufferedReader(_Recoded(path, encoding), _BLOCK_BYTES)


class _Recoded(io.RawIOBase):
    """A text file of another encoding, read as UTF-8."""

    def __init__(self, path: str, encoding: str) -> None:
        self._text = open(path, encoding=encoding, newline="", errors="replace")  # noqa: SIM115 - closed in close
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        """Fill a buffer."""
        if not self._rest:
            self._rest = self._text.read(_BLOCK_BYTES // 4).encode("utf-8", "surrogatepass")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        """Close the file behind it."""
        self._text.close()
        super().close()
