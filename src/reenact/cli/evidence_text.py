"""What `reenact verify` says to people about runs, files and proofs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reenact.cli.text import count, printable

if TYPE_CHECKING:
    from reenact.actions.proving import VerifiedProof
    from reenact.actions.verify import Problem, VerifiedRun
    from reenact.actions.whence import VerifiedFile

__all__ = ["file_lines", "proof_lines", "run_lines"]

_INDENT = " " * 8
_NOBODY = "signed by keys this store names itself; not trusted by you: there is no reenact.trust.toml"


def run_lines(checked: Sequence[VerifiedRun]) -> Iterator[str]:
    """Say what came of runs, and of the log where something is wrong with it."""
    for run in checked:
        name = f"{run.run_id}  {printable(run.job or '-')}  {count(run.objects, 'object')}" if run.run_id else "the log"
        yield f"{_state(run.findings):<7} {name}{_words(run)}"
        yield from _findings(run.findings)
    runs = [run for run in checked if run.run_id]
    bad = sum(bool(run.findings) for run in checked)
    if any(run.trusted is None and run.signers for run in runs):
        yield _NOBODY
    yield f"{count(len(runs), 'run')} verified, {f'{bad} not ok' if bad else 'all ok'}"


def _state(findings: Sequence[Problem]) -> str:
    return "not ok" if findings else "ok"


def _findings(findings: Sequence[Problem], indent: str = _INDENT) -> Iterator[str]:
    for finding in findings:
        yield f"{indent}{finding.code}: {printable(finding.subject)}: {printable(finding.message)}"


def _words(run: VerifiedRun) -> str:
    """Say who signed it and what its replays came to."""
    said = [f"signed by {', '.join(map(printable, run.owners))}"] if run.owners else []
    said += [f"entry {run.log_index}"] if run.log_index is not None else []
    said += [f"replayed: {', '.join(run.verdicts)}"] if run.verdicts else []
    return "".join(f"  {words}" for words in said)


def file_lines(file: VerifiedFile) -> Iterator[str]:
    """Say where a file comes from."""
    good = file.exit_code == 0
    yield f"{'ok' if good else 'not ok':<7} {printable(file.file)}  {file.digest}"
    for maker in file.made_by:
        run = maker.run
        yield f"{_INDENT}made by run {run.run_id} of {printable(run.job or '-')} as {printable(maker.output)}"
        yield f"{_INDENT}  {_worth(run)}; {'a replay made it again' if maker.reproduced else 'no replay has made it again'}"
        yield from _findings(run.findings, _INDENT + "  ")
    yield from _findings(file.findings)


def _worth(run: VerifiedRun) -> str:
    logged = "not in the log" if run.log_index is None else f"entry {run.log_index} of the log"
    if run.trusted is None:
        return f"signed by key {(run.key_id or '-')[:12]}, which you have not said to trust; {logged}"
    return f"signed by {', '.join(map(printable, run.owners)) or 'nobody you trust'}; {logged}"


def proof_lines(proof: VerifiedProof) -> Iterator[str]:
    """Say what a proof is worth, and which files it covers."""
    yield f"{_state(proof.findings):<7} run {proof.run_id or '?'} of {printable(proof.job or '-')}"
    if proof.signers:
        who = ", ".join(map(printable, proof.owners)) or ", ".join(key_id[:12] for key_id in proof.signers)
        yield f"{_INDENT}signed by {who}; entry {proof.log_index} of the log, at {printable(proof.logged_at or '-')}"
    if proof.verdicts:
        yield f"{_INDENT}replayed: {', '.join(proof.verdicts)}"
    for file in proof.files:
        if file.output is not None:
            again = "; a replay made it again" if file.reproduced else ""
            yield f"{_INDENT}{printable(file.path)} is its output {printable(file.output)}{again}"
    yield from _findings(proof.findings)
    if proof.trusted is None and proof.signers:
        yield f"{_INDENT}not trusted by you: there is no reenact.trust.toml; the proof only agrees with itself"
