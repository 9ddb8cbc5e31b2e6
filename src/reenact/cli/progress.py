"""Showing that long work goes on: a spinner on a terminal, nothing in a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from reenact.cli.text import printable

__all__ = ["Say", "progress"]

Say = Callable[[str], None]
"""Tells what is being done now."""


@contextlib.contextmanager
def progress(what: str) -> Iterator[Say]:
    """Show `what` on standard error while the block runs; the value replaces the text."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415 - only for a person at a terminal
    from rich.text import Text  # noqa: PLC0415 - same

    with Console(stderr=True).status(Text(printable(what))) as status:
        yield lambda text: status.update(Text(printable(text)))
