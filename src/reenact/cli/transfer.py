"""What `push` and `pull` share: how runs are chosen, and how it is told what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from reenact.cli.text import count, printable, size
from reenact.cli.verb import print_json

if TYPE_CHECKING:
    from reenact.actions.transfer import MovedRun, Transfer

__all__ = ["check_selection", "selection_options", "tell"]

_F = TypeVar("_F", bound=Callable[..., int])


def selection_options(function: _F) -> _F:
    """Add the argument and options that choose runs."""
    for add in (
        click.option(
            "--job", "jobs", multiple=True, metavar="NAME", help="All runs of a job; may be given repeatedly."
        ),
        click.option("--all", "everything", is_flag=True, help="Every run of the store."),
        click.argument("references", nargs=-1, metavar="[RUN]..."),
    ):
        function = add(function)
    return function


def check_selection(references: Sequence[str], *, everything: bool, jobs: Sequence[str]) -> None:
    """Refuse to choose nothing, or everything and something."""
    if everything == bool(references or jobs):
        raise click.UsageError("name runs or jobs, or give --all")


def _copied(run: MovedRun) -> str:
    if run.objects:
        return f"{count(run.objects, 'object')}, {size(run.stored_bytes)}"
    return "no object missing" if run.outcome != "refused" else "0 objects copied"


def tell(done: Transfer, *, as_json: bool) -> int:
    """Print what came of the runs; give the exit status."""
    if as_json:
        print_json(done)
    else:
        for run in done.runs:
            print(f"{run.outcome:<9} {run.run_id}  {printable(run.job or '-')}  {_copied(run)}")
            for finding in run.findings:
                print(f"          {finding.code}: {printable(finding.subject)}: {printable(finding.message)}")
        refused = sum(run.outcome == "refused" for run in done.runs)
        objects, stored = sum(run.objects for run in done.runs), sum(run.stored_bytes for run in done.runs)
        print(
            f"{count(len(done.runs) - refused, 'run')} in {printable(done.target)}:"
            f" copied {count(objects, 'object')}, {size(stored)}{f'; {refused} refused' if refused else ''}"
        )
    return max((run.exit_code for run in done.runs), default=0)
