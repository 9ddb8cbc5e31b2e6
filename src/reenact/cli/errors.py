"""Errors as a person reads them: what, which object, got and expected, and what to do next. Never a traceback."""

from __future__ import annotations

import sys

from reenact.cli.text import printable
from reenact.errors import ReenactError

__all__ = ["report"]


def report(error: Exception) -> int:
    """Print an error on standard error and give the exit status it stands for."""
    if isinstance(error, ReenactError):
        _print(f"reenact: {error.code}: {error}", error.hint())
        return error.exit_code
    if isinstance(error, OSError):
        where = f": {error.filename!r}" if error.filename is not None else ""
        _print(f"reenact: system: {error.strerror or error}{where}", "")
        return 1
    _print(
        f"reenact: internal: {type(error).__name__}: {error}",
        "this is a defect of reenact; REENACT_DEBUG=1 shows where it is",
    )
    return 1


def _print(message: str, hint: str) -> None:
    print(printable(message, keep="\n"), file=sys.stderr)
    if hint:
        print(f"  hint: {printable(hint, keep=chr(10))}", file=sys.stderr)
