"""`reenact restore`: take artifacts of a run out of the store."""

from __future__ import annotations

from pathlib import Path

import click

from reenact.cli.progress import progress
from reenact.cli.text import aligned, count, printable, short_digest, size
from reenact.cli.verb import json_option, print_json, run_argument, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "restore",
    examples=(
        "reenact restore latest --to /tmp/out",
        "reenact restore etl out/report.csv --to /tmp/out",
        "reenact restore etl~1 --inputs --to /tmp/in",
        "reenact restore latest stderr --to /tmp/log",
    ),
    exits=(0, 1, 2, 3, 4),
)
@run_argument
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--to", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where to write them."
)
@click.option(
    "--inputs", is_flag=True, help="Restore what the run read, as it was before the run, instead of its outputs."
)
@json_option
@store_option
def command(*, reference: str, names: tuple[str, ...], to: Path, inputs: bool, as_json: bool, store: str | None) -> int:
    """Write outputs (or inputs) of a run into a folder, straight from the store.

    NAME is a name that `reenact show` lists, or stdout or stderr for what the job wrote there; without one all outputs are
    restored. A name outside the job's root keeps its whole
    path below DIR. Nothing that exists is overwritten, and every byte is checked against its digest.
    """
    from reenact.actions.restore import restore  # noqa: PLC0415 - help needs no action

    with progress(f"restoring {reference}"):
        restored = restore(settings_for(store), reference, names, to=to, inputs=inputs)
    if as_json:
        print_json(restored)
        return 0
    rows = [
        (printable(r.name), "-" if r.size_bytes is None else size(r.size_bytes), short_digest(r.digest))
        for r in restored
    ]
    print("\n".join([*aligned(rows), f"restored {count(len(restored), 'artifact')} to {printable(str(to))}"]))
    return 0
