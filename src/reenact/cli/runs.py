"""`reenact runs`: find runs."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from reenact.cli.table import print_table
from reenact.cli.text import duration, printable, short_id
from reenact.cli.verb import Moment, Pairs, json_option, print_json, settings_for, store_option, verb

__all__ = ["command"]


@verb(
    "runs",
    examples=(
        "reenact runs",
        "reenact runs --job etl --since 7d --status failed",
        "reenact runs --param day=2026-01-31 --json",
        "reenact runs --package pandas==2.2.3 --verdict diverged",
    ),
    exits=(0, 1, 2),
)
@click.option("--job", metavar="NAME", help="Only runs of this job.")
@click.option(
    "--source", metavar="NAME|DIGEST", help="Only runs that read this input, by name or digest, or this source version."
)
@click.option("--transformation", metavar="NAME", help="Only runs with a step of this name.")
@click.option("--since", type=Moment(), help="Only runs that started then or later.")
@click.option("--until", type=Moment(), help="Only runs that started before.")
@click.option(
    "--status", type=click.Choice(["succeeded", "failed", "killed", "incomplete"]), help="Only runs that ended so."
)
@click.option("--package", metavar="NAME[==VERSION]", help="Only runs that used this package.")
@click.option("-p", "--param", "parameters", type=Pairs(), multiple=True, help="Only runs with this parameter.")
@click.option("--label", "labels", type=Pairs(), multiple=True, help="Only runs with this label.")
@click.option(
    "--verdict",
    type=click.Choice(["reproduced", "equivalent", "diverged", "unreplayable"]),
    help="Only runs whose latest replay had this verdict.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@json_option
@store_option
def command(
    *,
    job: str | None,
    source: str | None,
    transformation: str | None,
    since: datetime | None,
    until: datetime | None,
    status: str | None,
    package: str | None,
    parameters: tuple[tuple[str, str], ...],
    labels: tuple[tuple[str, str], ...],
    verdict: str | None,
    limit: int,
    as_json: bool,
    store: str | None,
) -> int:
    """List recorded runs, the newest first; ↺ marks replays.

    Times are in UTC; --since and --until take a date, a time (2026-01-31T06:00), or an age such as 90m, 12h or 7d.
    """
    from reenact.actions.find import RunFilter, list_runs  # noqa: PLC0415 - help needs no action
    from reenact.model.summary import ending  # noqa: PLC0415 - same

    rows = list_runs(
        settings_for(store),
        RunFilter(
            job=job,
            source=source,
            transformation=transformation,
            since=since,
            until=until,
            status=status,
            package=package,
            parameters=dict(parameters),
            labels=dict(labels),
            verdict=verdict,
            limit=limit,
        ),
    )
    if as_json:
        print_json(rows)
        return 0
    print_table(
        ("RUN", "JOB", "STARTED", "TOOK", "STATUS", "IN", "OUT", "CODE", "REPLAY"),
        [
            (
                short_id(row.run_id),
                ("↺ " if row.replay_of else "") + printable(row.job),
                row.timestamp[:16].replace("T", " "),
                "-" if row.seconds is None else duration(row.seconds),
                row.status if not row.exit_code else f"{row.status} ({ending(row.exit_code)})",
                str(row.inputs),
                str(row.outputs),
                printable(row.code or "-"),
                row.verdict or "-",
            )
            for row in rows
        ],
        right=frozenset({3, 5, 6}),
        folding=1,
    )
    if not rows and sys.stderr.isatty():
        print("no run fits; record one with: reenact run -- CMD", file=sys.stderr)
    return 0
