"""What kind of thing a file is: its media type, by content first and name second, and whether it is code. Pure.

Python's :mod:`mimetypes` is not used: it reads tables of the host, so that the same file would have another type elsewhere.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HEAD_BYTES", "OCTETS", "is_code", "media_type"]

HEAD_BYTES: Final = 512
"""So much of a file's start tells its type; less is fine where the file is shorter."""

OCTETS: Final = "application/octet-stream"

_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"ARROW1", "application/vnd.apache.arrow.file"),
    (0, b"FEA1", "application/x-feather"),
    (0, b"ORC", "application/vnd.apache.orc"),
    (0, b"Obj\x01", "application/vnd.apache.avro"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (8, b"DUCK", "application/vnd.duckdb"),
    (0, b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (0, b"CDF\x01", "application/x-netcdf"),
    (0, b"CDF\x02", "application/x-netcdf"),
    (0, b"\x93NUMPY", "application/x-npy"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
)

_BY_FIRST: Final[dict[int, tuple[tuple[int, bytes, str], ...]]] = {
    first: tuple(entry for entry in _MAGIC if entry[0] or entry[1][0] == first) for first in range(256)
}
"""Of the signs those that can stand in a file, by its first byte."""

_ZIP_KINDS: Final = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "jar": "application/java-archive",
    "npz": "application/x-npz",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Formats that are ZIP archives: only the name tells them apart at the start of the file."""

_TEXT: Final = {
    "cfg": "text/plain",
    "conf": "text/plain",
    "csv": "text/csv",
    "geojson": "application/geo+json",
    "htm": "text/html",
    "html": "text/html",
    "ini": "text/plain",
    "ipynb": "application/x-ipynb+json",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "log": "text/plain",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "ndjson": "application/x-ndjson",
    "pl": "text/x-perl",
    "psv": "text/plain",
    "py": "text/x-python",
    "r": "text/x-r",
    "rb": "text/x-ruby",
    "sh": "text/x-shellscript",
    "sql": "application/sql",
    "svg": "image/svg+xml",
    "tab": "text/tab-separated-values",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
"""Extension to type, for files that are text."""

_BINARY: Final = {
    "arrow": "application/vnd.apache.arrow.stream",
    "arrows": "application/vnd.apache.arrow.stream",
    "bin": OCTETS,
    "dta": "application/x-stata-dta",
    "joblib": "application/x-python-pickle",
    "pickle": "application/x-python-pickle",
    "pkl": "application/x-python-pickle",
    "pyc": "application/x-python-bytecode",
    "rdata": "application/x-r-data",
    "rds": "application/x-r-data",
    "sas7bdat": "application/x-sas-data",
    "sav": "application/x-spss-sav",
    "xls": "application/vnd.ms-excel",
}
"""Extension to type, for files whose content has no sign we know."""

_CODE: Final = frozenset(
    """
    awk bash c cc class cpp cs cxx dart egg ex exs f90 fish fs go groovy h hpp hql hs ipynb j2 jar java jinja jinja2 jl js jsx
    kt ksh lua m mjs cjs mk ml nf php pl pm prql ps1 py pyc pyi pyx pyw pyz r rake rb rmd rs sas sbt scala sed sh smk so sql
    star swift tcl ts tsx vb wdl whl zig zsh
    """.split()  # noqa: SIM905 - a column of eighty words reads worse
)
"""Extensions of code, in lower case."""

_CODE_NAMES: Final = frozenset(
    {
        "cmakelists.txt",
        "dbt_project.yml",
        "dockerfile",
        "dvc.yaml",
        "gemfile",
        "go.mod",
        "justfile",
        "makefile",
        "package.json",
        "pyproject.toml",
        "rakefile",
        "requirements.txt",
        "setup.cfg",
        "snakefile",
    }
)
"""Whole names of files that say what is done, in lower case."""

_CODE_MAGIC: Final = (b"#!", b"\x7fELF", b"\x00asm")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SHARED_OBJECT: Final = re.compile(r".+\.so(?:\.[0-9.]+)?")


def _extension(path: str) -> tuple[str, str]:
    name = path[path.rfind("/") + 1 :].lower()
    stem, dot, extension = name.rpartition(".")
    return name, extension if dot and stem else ""


def is_code(path: str, first_bytes: bytes = b"") -> bool:
    """Tell whether a file says what is done rather than what it is done to, by its name, shebang or format."""
    name, extension = _extension(path)
    if extension in _CODE or name in _CODE_NAMES or (".so" in name and _SHARED_OBJECT.fullmatch(name)):
        return True
    return first_bytes.startswith(_CODE_MAGIC)


def _is_text(first_bytes: bytes) -> bool:
    if _CONTROL.search(first_bytes):
        return False
    try:
        first_bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        # The head may end in the middle of a character: at most three bytes of one that began well.
        return error.start >= len(first_bytes) - 3 and error.reason == "unexpected end of data"
    return True


def _text_type(extension: str, first_bytes: bytes) -> str:
    if extension in _TEXT:
        return _TEXT[extension]
    start = first_bytes.lstrip(b"\xef\xbb\xbf").lstrip()
    if re.match(rb'\{\s*["}]', start):
        return "application/json"
    if start.startswith(b"<?xml"):
        return "application/xml"
    if start[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith(b"#!"):
        return "text/x-python" if b"python" in start.partition(b"\n")[0] else "text/x-shellscript"
    return "text/plain"


def media_type(path: str, first_bytes: bytes) -> str:
    """Give a file's media type from the start of its content (see :data:`HEAD_BYTES`), else from its name.

    A name never overrules the content: binary bytes called ``x.csv`` are ``application/octet-stream``.
    """
    _, extension = _extension(path)
    if not first_bytes:
        return _TEXT.get(extension) or _BINARY.get(extension) or OCTETS
    for offset, magic, kind in _BY_FIRST[first_bytes[0]]:
        if first_bytes.startswith(magic, offset):
            return _ZIP_KINDS.get(extension, kind) if kind == "application/zip" else kind
    if first_bytes.startswith((b"\xff\xfe", b"\xfe\xff")) and extension in _TEXT:
        return _TEXT[extension]  # UTF-16, as some exports write it.
    if _is_text(first_bytes):
        return _text_type(extension, first_bytes)
    if extension in _TEXT and not _CONTROL.search(first_bytes):
        return _TEXT[extension]  # An 8-bit encoding such as Latin-1.
    return _BINARY.get(extension, OCTETS)
