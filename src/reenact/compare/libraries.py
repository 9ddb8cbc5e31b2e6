"""The optional libraries that read tables, each imported when it is first needed and nowhere else (docs/adr/0011)."""

from __future__ import annotations

import importlib
from typing import Any, Final

from reenact.errors import UsageError

__all__ = ["ReaderAbsent", "arrow", "arrow_compute", "avro", "duck", "excel"]

EXTRA: Final = "tables"


class ReaderAbsent(UsageError):
    """Something cannot be read because a library that is optional is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"reading tables needs {library}", hint=f"pip install 'reenact[{EXTRA}]'")


def _imported(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ReaderAbsent(name.partition(".")[0]) from error


def arrow(part: str = "") -> Any:  # noqa: ANN401 - a module
    """Give pyarrow, or one of its modules (``parquet``, ``csv``, ``orc`` …)."""
    return _imported(f"pyarrow.{part}" if part else "pyarrow")


def arrow_compute() -> Any:  # noqa: ANN401 - a module
    """Give pyarrow's functions over arrays."""
    return _imported("pyarrow.compute")


def duck() -> Any:  # noqa: ANN401 - a module
    """Give duckdb."""
    return _imported("duckdb")


def avro() -> Any:  # noqa: ANN401 - a module
    """Give fastavro."""
    return _imported("fastavro")


def excel() -> Any:  # noqa: ANN401 - a module
    """Give openpyxl."""
    return _imported("openpyxl")
