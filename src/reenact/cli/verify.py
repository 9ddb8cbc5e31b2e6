"""`reenact verify`: check that records are what was signed and that all they refer to is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reenact.cli.progress import progress
from reenact.cli.text import count, printable
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.verify import VerifiedRun

__all__ = ["command"]


@verb(
    "verify",
    examples=(
        "reenact verify latest",
        "reenact verify --all",
        "reenact verify --all --deep --json",
        "reenact verify --all --since checkpoint.txt",
    ),
    exits={**EXITS, 0: "all is as it was signed", 3: "an object is missing"},
)
@click.argument("references", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run in the store, and the whole log.")
@click.option("--deep", is_flag=True, help="Decode and hash every object's content, not only its stored form.")
@click.option(
    "--trust",
    metavar="FILE",
    help="Whom to believe, instead of the reenact.trust.toml of the job's root.",
)
@click.option("--since", metavar="FILE", help="A checkpoint kept earlier: the log must still begin with it.")
@json_option
@store_option
def command(
    *,
    references: tuple[str, ...],
    everything: bool,
    deep: bool,
    trust: str | None,
    since: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Check signatures, log entries, views, verdicts and objects of runs.

    For each run: who signed it and whether their keys counted then, its place in the log, that the folders beside it say what it
    says, that its verdicts are about it and its replays, and that every object it refers to is there with the right bytes.
    Everything that is wrong is listed; nothing is changed. With --all, the whole log is checked, too, and runs that were cut off
    and cannot be finished are listed.

    Whom to believe is said by reenact.trust.toml beside reenact.toml; without it, by the keys the store names itself.
    """
    if everything == bool(references):
        raise click.UsageError("name runs, or give --all")
    from reenact.actions.trusting import read_pin  # noqa: PLC0415 - help needs no action
    from reenact.actions.verify import verify  # noqa: PLC0415 - same

    pin = read_pin(since) if since is not None else None
    with progress("verifying") as say:
        checked = verify(
            settings_for(store), references, everything=everything, deep=deep, trust_file=trust, since=pin, say=say
        )
    if as_json:
        print_json(checked)
    else:
        _print(checked)
    return max((run.exit_code for run in checked), default=0)


def _print(checked: list[VerifiedRun]) -> None:
    for run in checked:
        state = "ok" if not run.findings else "not ok"
        name = f"{run.run_id}  {printable(run.job or '-')}  {count(run.objects, 'object')}" if run.run_id else "the log"
        print(f"{state:<7} {name}{_words(run)}")
        for finding in run.findings:
            print(f"        {finding.code}: {printable(finding.subject)}: {printable(finding.message)}")
    runs = [run for run in checked if run.run_id]
    bad = sum(bool(run.findings) for run in checked)
    if any(run.trusted is None and run.signers for run in runs):
        print("signed by keys this store names itself; not trusted by you: there is no reenact.trust.toml")
    print(f"{count(len(runs), 'run')} verified, {f'{bad} not ok' if bad else 'all ok'}")


def _words(run: VerifiedRun) -> str:
    """Say who signed it and what its replays came to."""
    said = [f"signed by {', '.join(map(printable, run.owners))}"] if run.owners else []
    said += [f"entry {run.log_index}"] if run.log_index is not None else []
    said += [f"replayed: {', '.join(run.verdicts)}"] if run.verdicts else []
    return "".join(f"  {words}" for words in said)
