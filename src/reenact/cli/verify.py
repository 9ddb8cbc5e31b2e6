"""`reenact verify`: check that records are what was signed and that all they refer to is there."""

from __future__ import annotations

from collections.abc import Iterable

import click

from reenact.cli.evidence_text import file_lines, proof_lines, run_lines
from reenact.cli.progress import progress
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "verify",
    examples=(
        "reenact verify latest",
        "reenact verify --all",
        "reenact verify --all --deep --json",
        "reenact verify --all --since checkpoint.txt",
        "reenact verify ./total.csv",
        "reenact verify --proof 0199….proof.json total.csv",
    ),
    exits={**EXITS, 0: "all is as it was signed", 3: "an object is missing, or no run made the file"},
)
@click.argument("references", nargs=-1, metavar="[RUN|FILE]...")
@click.option("--all", "everything", is_flag=True, help="Every run in the store, and the whole log.")
@click.option("--deep", is_flag=True, help="Decode and hash every object's content, not only its stored form.")
@click.option(
    "--trust",
    metavar="FILE",
    help="Whom to believe, instead of the reenact.trust.toml of the job's root.",
)
@click.option("--since", metavar="FILE", help="A checkpoint kept earlier: the log must still begin with it.")
@click.option(
    "--proof", metavar="FILE", help="Check this proof file, and that files are outputs of its run; no store is used."
)
@json_option
@store_option
def command(
    *,
    references: tuple[str, ...],
    everything: bool,
    deep: bool,
    trust: str | None,
    since: str | None,
    proof: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Check signatures, log entries, views, verdicts and objects of runs; or where a file comes from.

    For each run: who signed it and whether their keys counted then, its place in the log, that the folders beside it say what it
    says, that its verdicts are about it and its replays, and that every object it refers to is there with the right bytes.
    Everything that is wrong is listed; nothing is changed. With --all, the whole log is checked, too, and runs that were cut off
    and cannot be finished are listed.

    For each file (what is no run's name, or begins with ./ or /): which runs made it, what their records are worth, and whether a
    replay made it again. With --proof, the same from a proof file that came with it.

    Whom to believe is said by reenact.trust.toml beside reenact.toml; without it, by the keys the store names itself.
    """
    settings = settings_for(store)
    if proof is not None:
        if everything or deep or since is not None:
            raise click.UsageError("--proof goes with files only")
        from reenact.actions.proving import verify_proof  # noqa: PLC0415 - help needs no action

        checked = verify_proof(settings, proof, references, trust)
        return _say([checked], proof_lines(checked), checked.exit_code, as_json=as_json)
    if everything == bool(references):
        raise click.UsageError("name runs, or give --all")
    from reenact.actions.trusting import read_pin  # noqa: PLC0415 - help needs no action
    from reenact.actions.verify import verify  # noqa: PLC0415 - same
    from reenact.actions.whence import split, verify_files  # noqa: PLC0415 - same

    pin = read_pin(since) if since is not None else None
    names, files = split(settings, references)
    runs, found = [], []
    with progress("verifying") as say:
        if names or everything:
            runs = verify(settings, names, everything=everything, deep=deep, trust_file=trust, since=pin, say=say)
        if files:
            found = verify_files(settings, files, trust_file=trust, since=pin, say=say)
    lines = [*(run_lines(runs) if names or everything else ()), *(line for one in found for line in file_lines(one))]
    status = max([*(run.exit_code for run in runs), *(one.exit_code for one in found)], default=0)
    return _say([*runs, *found], lines, status, as_json=as_json)


def _say(document: object, lines: Iterable[str], status: int, *, as_json: bool) -> int:
    if as_json:
        print_json(document)
    else:
        print("\n".join(lines))
    return status
