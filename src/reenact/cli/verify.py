"""`reenact verify`: check that records are what was signed and that all they refer to is there."""

from __future__ import annotations

import click

from reenact.cli.progress import progress
from reenact.cli.text import count, printable
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "verify",
    examples=("reenact verify latest", "reenact verify --all", "reenact verify --all --deep --json"),
    exits={**EXITS, 0: "all is as it was signed", 3: "an object is missing"},
)
@click.argument("references", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run in the store.")
@click.option("--deep", is_flag=True, help="Decode and hash every object's content, not only its stored form.")
@json_option
@store_option
def command(*, references: tuple[str, ...], everything: bool, deep: bool, as_json: bool, store: str | None) -> int:
    """Check signatures, log entries, views and objects of runs.

    For each run: its signature is by a key of this store, it is in the log, the folders beside it say what it says, and every
    object it refers to is there with the right bytes. Everything that is wrong is listed; nothing is changed. With --all, runs
    that were cut off and cannot be finished are listed, too.
    """
    if everything == bool(references):
        raise click.UsageError("name runs, or give --all")
    from reenact.actions.verify import verify  # noqa: PLC0415 - help needs no action

    with progress("verifying") as say:
        checked = verify(settings_for(store), references, everything=everything, deep=deep, say=say)
    if as_json:
        print_json(checked)
    else:
        for run in checked:
            state = "ok" if not run.findings else "not ok"
            print(f"{state:<7} {run.run_id}  {printable(run.job or '-')}  {count(run.objects, 'object')}")
            for finding in run.findings:
                print(f"        {finding.code}: {printable(finding.subject)}: {printable(finding.message)}")
        bad = sum(bool(run.findings) for run in checked)
        print(f"{count(len(checked), 'run')} verified, {f'{bad} not ok' if bad else 'all ok'}")
    return max((run.exit_code for run in checked), default=0)
