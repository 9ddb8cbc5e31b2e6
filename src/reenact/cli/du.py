"""`reenact du`: what takes the room in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from reenact.cli.progress import progress
from reenact.cli.table import print_table
from reenact.cli.text import printable, size
from reenact.cli.verb import json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.usage import Usage, Use

__all__ = ["command"]


@verb(
    "du", examples=("reenact du", "reenact du --by run", "reenact du --by form", "reenact du --json"), exits=(0, 1, 2)
)
@click.option(
    "--by", type=click.Choice(["job", "run", "form"]), default="job", show_default=True, help="What the lines are."
)
@json_option
@store_option
def command(*, by: Literal["job", "run", "form"], as_json: bool, store: str | None) -> int:
    """Tell what takes the room in the store, and what sharing, compressing and deltas saved.

    ALONE is what nothing else needs, and would be freed without the job or the run; SHARED is of objects that others need, too.
    What a delta is made against counts with it. --json gives jobs, runs and forms all at once.
    """
    from reenact.actions.usage import usage  # noqa: PLC0415 - help needs no action

    with progress("adding up") as say:
        found = usage(settings_for(store), say)
    if as_json:
        print_json(found)
    else:
        _print(found, by)
    return 0


def _print(found: Usage, by: Literal["job", "run", "form"]) -> None:
    if by == "form":
        _print_forms(found)
    else:
        _print_uses(found.jobs if by == "job" else found.runs, by)
    if by == "form" or found.jobs:
        print()
    _print_sum(found)


def _print_forms(found: Usage) -> None:
    rows = [(use.form, f"{use.objects:,}", size(use.content_bytes), size(use.stored_bytes)) for use in found.forms]
    print_table(("FORM", "OBJECTS", "CONTENT", "STORED"), rows, right=frozenset({1, 2, 3}))


def _print_uses(uses: tuple[Use, ...], by: Literal["job", "run"]) -> None:
    rows = [
        (
            printable(use.name),
            f"{use.runs:,}" if by == "job" else printable(use.job),
            size(use.unique_bytes),
            size(use.shared_bytes),
            size(use.records_bytes),
            size(use.content_bytes),
        )
        for use in uses
    ]
    header = ("JOB", "RUNS") if by == "job" else ("RUN", "JOB")
    right = frozenset({1, 2, 3, 4, 5}) if by == "job" else frozenset({2, 3, 4, 5})
    print_table((*header, "ALONE", "SHARED", "RECORDS", "CONTENT"), rows, right=right)


def _print_sum(found: Usage) -> None:
    print(
        f"stored       {size(found.stored_bytes)}: objects {size(found.objects_bytes)}, records {size(found.records_bytes)}"
    )
    print(
        f"referred to  {size(found.referred_bytes)}: saved by sharing {size(found.saved_by_sharing_bytes)},"
        f" by deltas {size(found.saved_by_deltas_bytes)}, by compressing {size(found.saved_by_compressing_bytes)}"
    )
    if found.unreferenced_bytes:
        print(f"unreferenced {size(found.unreferenced_bytes)} (reenact prune, or prune --repack)")
    if found.quarantine_bytes:
        print(f"quarantine   {size(found.quarantine_bytes)}")
    for run_id in found.unreadable:
        print(f"the record of run {run_id} cannot be read: what it needs counts as unreferenced")
