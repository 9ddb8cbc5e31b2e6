"""`reenact audit`: is all that was recorded still sound, and does today's machine still match it?"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from reenact import atomic, clock
from reenact.cli.progress import progress
from reenact.cli.prune import Duration
from reenact.cli.scrub import Rate, Share
from reenact.cli.text import printable
from reenact.cli.verb import EXITS, Moment, json_option, print_json, settings_for, store_option, verb
from reenact.errors import ReenactError, StoreError

if TYPE_CHECKING:
    from reenact.actions.audit import AuditRequest
    from reenact.actions.sealing_audits import Audited
    from reenact.actions.telling import Listeners
    from reenact.settings import Settings

__all__ = ["command"]


@verb(
    "audit",
    examples=(
        "reenact audit --all",
        "reenact audit --all --sample 5% --max-rate 50MiB --html audit.html",
        "reenact audit --job daily-load --since 7d --json",
        "reenact audit --all --pinned checkpoint.txt",
        "reenact audit --all --every 1d --metrics /var/lib/node_exporter/reenact.prom",
    ),
    exits={
        0: "no findings, or notices only; with --every, it was told to end",
        1: "there are findings; or it failed, for the reason printed",
        2: EXITS[2],
        4: "integrity is broken: something is damaged, missing, or not what was signed or logged",
    },
)
@click.argument("references", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="The whole store, with the whole log.")
@click.option("--job", metavar="NAME", help="Runs of this job.")
@click.option("--since", type=Moment(), help="Runs that started then or later: a date, a time, or an age such as 7d.")
@click.option("--deep", is_flag=True, help="Decode every object, too, and hash its content.")
@click.option("--sample", type=Share(), default="100%", help="Hash only so much of the objects, chosen at random.")
@click.option("--seed", help="Chooses the sample; the same seed the same one. Without it another each time.")
@click.option(
    "--max-rate", type=Rate(), metavar="RATE", help="Read no more than so many bytes a second, such as 50MiB."
)
@click.option("--restart", is_flag=True, help="Begin anew, also where an audit was cut off.")
@click.option(
    "--drift",
    type=click.Choice(["local", "all", "never"]),
    help="What to hold against jobs' latest runs: this machine; also what pointers to buckets and web servers name; nothing.",
)
@click.option(
    "--rehash", is_flag=True, help="Hash every file of this machine, also where its times say it is unchanged."
)
@click.option("--trust", metavar="FILE", help="Whom to believe, instead of the reenact.trust.toml of the job's root.")
@click.option("--pinned", metavar="FILE", help="A checkpoint kept earlier: the log must still begin with it.")
@click.option(
    "--seal/--no-seal", default=None, help="Put the report into the store, signed and logged. By default with --all."
)
@click.option("--html", metavar="FILE", help="Write the report as one HTML page, too.")
@click.option(
    "--every", type=Duration(), metavar="TIME", help="Go on auditing, so long from begin to begin, such as 1d."
)
@click.option(
    "--on-finding", metavar="COMMAND", help="Run it when there are findings, the report as JSON on its input."
)
@click.option("--webhook", metavar="URL", help="Post the report there as JSON when there are findings.")
@click.option("--metrics", metavar="FILE", help="Write metrics for Prometheus there.")
@json_option
@store_option
def command(
    *,
    references: tuple[str, ...],
    everything: bool,
    job: str | None,
    since: datetime | None,
    deep: bool,
    sample: float,
    seed: str | None,
    max_rate: float | None,
    restart: bool,
    drift: str | None,
    rehash: bool,
    trust: str | None,
    pinned: str | None,
    seal: bool | None,
    html: str | None,
    every: float | None,
    on_finding: str | None,
    webhook: str | None,
    metrics: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Check everything that was recorded, and whether this machine still matches it.

    Bundles, views, verdicts and objects; the log, its keys and checkpoints; what is there and not logged, or logged and gone;
    objects that nothing refers to; clocks; and drift: whether inputs, code, packages and interpreters are still those of each
    job's latest run. Each finding says who can put it right, and how. It goes on to the end whatever is damaged, and changes
    nothing; only its report is put into the store. An audit that is cut off goes on where it was when it is called again.
    """
    if everything == bool(references or job is not None or since is not None):
        raise click.UsageError("name runs, a job or a time, or give --all")
    if every is not None and (every <= 0 or as_json):
        raise click.UsageError("--every takes a time of more than 0, and does not go with --json")
    from reenact.actions.audit import AuditRequest  # noqa: PLC0415 - help needs no action
    from reenact.actions.telling import listeners  # noqa: PLC0415 - same
    from reenact.actions.trusting import read_pin  # noqa: PLC0415 - same

    settings = settings_for(store)
    who = listeners(settings, on_finding, webhook, metrics)

    def request() -> AuditRequest:
        return AuditRequest(
            runs=references,
            everything=everything,
            job=job,
            since=since,
            deep=deep,
            sample=sample,
            # A sample that was cut off is gone on with only under the seed it had.
            seed=seed if seed is not None else secrets.token_hex(4) if sample < 1 else "",
            max_bytes_per_second=max_rate or 0.0,
            restart=restart,
            drift=drift,  # type: ignore[arg-type]  # one of the choices
            rehash=rehash,
            trust_file=trust,
            pinned=read_pin(pinned) if pinned is not None else None,
        )

    if every is None:
        audited = _once(settings, request(), who, seal=seal, html=html)
        _print(audited, as_json=as_json)
        return audited.report.exit_code
    from reenact.actions.audit_service import serve  # noqa: PLC0415 - same

    serve(lambda: _again(settings, request, who, seal=seal, html=html), every)
    return 0


def _once(settings: Settings, request: AuditRequest, who: Listeners, *, seal: bool | None, html: str | None) -> Audited:
    from reenact.actions.sealing_audits import audit_and_seal  # noqa: PLC0415 - help needs no action
    from reenact.actions.telling import tell  # noqa: PLC0415 - same

    with progress("auditing") as say:
        audited = audit_and_seal(settings, request, seal=seal, say=say)
        if html is not None:
            _write_page(html, audited)
        say("telling others")
        for failure in tell(audited, who):
            print(f"reenact: {printable(failure)}", file=sys.stderr, flush=True)
    return audited


def _again(
    settings: Settings, request: Callable[[], AuditRequest], who: Listeners, *, seal: bool | None, html: str | None
) -> None:
    from reenact.cli.audit_text import one_line  # noqa: PLC0415 - help needs no action

    try:
        line = one_line(_once(settings, request(), who, seal=seal, html=html))
    except (ReenactError, OSError) as error:
        line = f"{clock.timestamp()} the audit failed: {printable(str(error))}"
    print(line, flush=True)


def _write_page(path: str, audited: Audited) -> None:
    from reenact.cli.audit_page import audit_page  # noqa: PLC0415 - seldom

    try:
        atomic.replace(os.path.abspath(path), audit_page(audited).encode(), durable=False)
    except OSError as error:
        raise StoreError(f"the page {path} cannot be written: {error.strerror}") from error


def _print(audited: Audited, *, as_json: bool) -> None:
    if as_json:
        print_json(audited)
        return
    from reenact.cli.audit_text import audit_lines  # noqa: PLC0415 - help needs no action

    print("\n".join(audit_lines(audited)))
