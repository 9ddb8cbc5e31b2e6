"""Tables: with rich on a terminal, plain aligned text in a pipe. The cells are the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reenact.cli.text import aligned

__all__ = ["print_table"]


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset(), folding: int = 0
) -> None:
    """Print rows under a header on standard output; nothing at all without rows.

    `right` are the columns of numbers; `folding` is the one that goes on in a second line where a terminal is too narrow.
    """
    if not rows:
        return
    if not sys.stdout.isatty():
        print("\n".join(aligned([header, *rows], right=right)))
        return
    from rich.console import Console  # noqa: PLC0415 - 60 ms, spent only for a person at a terminal
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, name in enumerate(header):
        table.add_column(
            name, justify="right" if column in right else "left", overflow="fold", no_wrap=column != folding
        )
    for row in rows:
        # Text, so that square brackets in a name are no markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
