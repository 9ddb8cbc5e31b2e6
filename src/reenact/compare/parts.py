"""Opening an artifact: into the tables, documents, texts and bytes that it is made of."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final, Literal

from reenact.compare.formats import PACKED, format_of, head_of, without_suffix
from reenact.compare.libraries import ReaderAbsent, arrow
from reenact.compare.logical import NotATable
from reenact.compare.logical_digest import column_types
from reenact.compare.readers import avro, columnar, databases, delimited, excel, records
from reenact.compare.scratch import Scratch
from reenact.compare.tables import Table, unique_names

__all__ = ["Opened", "Part", "open_folder", "open_parts"]

Kind = Literal["table", "document", "text", "bytes"]

_ONE: Final[dict[str, Callable[[str], Table]]] = {
    "parquet": columnar.read_parquet,
    "arrow": columnar.read_arrow_file,
    "arrow-stream": columnar.read_arrow_stream,
    "feather": columnar.read_feather,
    "orc": columnar.read_orc,
    "avro": avro.read_avro,
    "csv": delimited.read_delimited,
    "json-lines": records.read_json_lines,
    "json-records": records.read_json_records,
}
_SEVERAL: Final[dict[str, Callable[[str], dict[str, Table]]]] = {
    "excel": excel.read_excel,
    "sqlite": databases.read_sqlite,
    "duckdb": databases.read_duckdb,
}
_AFTER_TABLE: Final[dict[str, Kind]] = {"csv": "text", "json-lines": "text", "json-records": "document"}
"""What a file still is when it cannot be read as a table."""
_DEEPEST: Final = 4
"""Archives in archives are opened so far down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something in an artifact that is compared by itself."""

    name: str
    """Inside the artifact; empty for the only part."""
    kind: Kind
    format: str
    path: str
    """A file that holds it, or that it is in."""
    table: Table | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """How it is written down."""
    notes: tuple[str, ...] = ()
    """Why it is not what it seems to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An artifact, opened."""

    format: str
    """Of the whole, with what is around it: ``csv in gzip``."""
    parts: dict[str, Part]


def open_parts(path: str, name: str, scratch: Scratch) -> Opened:
    """Open a file.

    Never fails for what the file holds: what cannot be read as what it seems to be is a part of bytes, with a note.

    Args:
        path: Where it is.
        name: What it is called, which decides where the content fits several formats.
        scratch: For what has to be unpacked.

    Raises:
        OSError: it cannot be read at all.
    """
    return _open(path, os.path.basename(name), "", scratch, 0)


def _open(path: str, name: str, prefix: str, scratch: Scratch, depth: int) -> Opened:
    head = head_of(path)
    kind = format_of(head, name)
    if kind == "zip" and _is_excel(path):
        kind = "excel"
    try:
        if depth < _DEEPEST and kind in PACKED:
            return _packed(path, name, prefix, kind, scratch, depth)
        if depth < _DEEPEST and kind in {"zip", "tar"}:
            return _archive(path, prefix, kind, scratch, depth)
        if kind == "excel":
            scratch.spend(_unpacked_bytes(path))
        return Opened(format=kind, parts=_plain(path, prefix, kind))
    except (NotATable, ReaderAbsent) as error:
        words = f"compared by its bytes: {error}"
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own, and any file may be damaged
        words = f"cannot be read as {kind}: {_first_line(error)}"
    fallback: Kind = _AFTER_TABLE.get(kind, "bytes")
    if kind in _AFTER_TABLE:
        words = words.replace("compared by its bytes", f"compared as {fallback}")
    return Opened(format=kind, parts={prefix: Part(name=prefix, kind=fallback, format=kind, path=path, notes=(words,))})


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_excel(path: str) -> bool:
    import zipfile  # noqa: PLC0415 - only for such files

    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _unpacked_bytes(path: str) -> int:
    """Add up what an archive says its members unpack to; a reader holds it to that."""
    import zipfile  # noqa: PLC0415 - only for such files

    with zipfile.ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())


def _plain(path: str, prefix: str, kind: str) -> dict[str, Part]:
    if kind in _ONE:
        return {prefix: _table_part(prefix, kind, path, _ONE[kind](path))}
    if kind in _SEVERAL:
        tables = _SEVERAL[kind](path)
        names = {_joined(prefix, name): table for name, table in tables.items()}
        return {name: _table_part(name, kind, path, table) for name, table in names.items()}
    what: Kind = "document" if kind == "json" else "text" if kind == "text" else "bytes"
    return {prefix: Part(name=prefix, kind=what, format=kind, path=path)}


def _table_part(name: str, kind: str, path: str, table: Table) -> Part:
    column_types(table.schema)  # a column that has no logical type shows here, before anything is compared
    table = _with_unique_names(table)
    return Part(name=name, kind="table", format=kind, path=path, table=table, facts=table.facts)


def _with_unique_names(table: Table) -> Table:
    """Tell columns of one name apart, so that each can be named."""
    names = unique_names(table.names)
    if names == table.names:
        return table
    schema = arrow().schema([f.with_name(name) for f, name in zip(table.schema, names, strict=True)])
    batches = table.batches

    def renamed() -> Iterator[Any]:
        for batch in batches():
            yield arrow().RecordBatch.from_arrays(batch.columns, schema=schema)

    return replace(table, schema=schema, batches=renamed, parquet=None)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}:{name}" if prefix else name


# --- what is around files


def _packed(path: str, name: str, prefix: str, kind: str, scratch: Scratch, depth: int) -> Opened:
    with _unpacking(kind, path) as source:
        inner = scratch.unpack(source)
    opened = _open(inner, without_suffix(name, PACKED[kind]), prefix, scratch, depth + 1)
    parts = {key: replace(part, facts={"packed with": kind, **part.facts}) for key, part in opened.parts.items()}
    return Opened(format=f"{opened.format} in {kind}", parts=parts)


def _unpacking(kind: str, path: str) -> IO[bytes] | Any:  # noqa: ANN401 - readers of several modules
    if kind == "zstd":
        return _zstd().open(path, "rb")
    module = importlib.import_module({"gzip": "gzip", "bzip2": "bz2", "xz": "lzma"}[kind])
    return module.open(path, "rb")


def _zstd() -> Any:  # noqa: ANN401 - a module
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - only for such files

        return zstd
    from backports import zstd as backport  # noqa: PLC0415 - same

    return backport


def _archive(path: str, prefix: str, kind: str, scratch: Scratch, depth: int) -> Opened:
    """Open the files of an archive; order, times, owners and compression of the members are its encoding."""
    parts: dict[str, Part] = {}
    for name, inner in _members(path, kind, scratch):
        member = _joined(prefix, name)
        opened = _open(inner, os.path.basename(name), member, scratch, depth + 1)
        parts |= {key: replace(part, facts={"packed with": kind, **part.facts}) for key, part in opened.parts.items()}
    return Opened(format=kind, parts=parts)


def _members(path: str, kind: str, scratch: Scratch) -> Iterator[tuple[str, str]]:
    import tarfile  # noqa: PLC0415 - only for such files
    import zipfile  # noqa: PLC0415 - same

    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as source:
                        yield info.filename, scratch.unpack(source)
        return
    with tarfile.open(path) as tape:
        for member in tape:
            if member.isfile() and (content := tape.extractfile(member)) is not None:
                yield member.name, scratch.unpack(content)


# --- folders


def open_folder(files: Mapping[str, str], scratch: Scratch) -> Opened:
    """Open the files of a folder as one artifact.

    Where each of them is one table of the same columns, they are one table, in the order of their names: how a writer cuts a
    table into files is encoding. Else every file is a part.

    Args:
        files: Name inside the folder to path.
        scratch: For what has to be unpacked.
    """
    opened = {name: _open(path, os.path.basename(name), name, scratch, 0) for name, path in sorted(files.items())}
    parts = {key: part for each in opened.values() for key, part in each.parts.items()}
    data = {key: part for key, part in parts.items() if not _is_marker(key, part)}
    tables = [part.table for part in data.values() if part.table is not None]
    if len(tables) == len(data) and len(tables) > 1 and len({column_types(t.schema) for t in tables}) == 1:
        facts = {"files": str(len(tables)), **next(iter(data.values())).facts}
        whole = Table(schema=tables[0].schema, batches=lambda: _one_after_another(tables), facts=facts)
        kind = next(iter(data.values())).format
        part = Part(name="", kind="table", format=kind, path="", table=whole, facts=facts)
        return Opened(format=f"folder of {kind}", parts={"": part})
    return Opened(format="folder", parts=parts)


def _is_marker(name: str, part: Part) -> bool:
    """Tell the files that engines put beside the data (``_SUCCESS``, ``.part.crc``)."""
    return part.table is None and os.path.basename(name).startswith(("_", "."))


def _one_after_another(tables: list[Table]) -> Iterator[Any]:
    schema = tables[0].schema
    for table in tables:
        for batch in table.batches():
            yield batch if batch.schema == schema else batch.cast(schema)
