"""`reenact prune`: drop runs, and free what nothing refers to."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reenact.cli.progress import progress
from reenact.cli.text import count, printable, size
from reenact.cli.verb import EXITS, Moment, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.prune import PruneResult
    from reenact.actions.sweeping import Swept

__all__ = ["Duration", "command"]


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """A length of time such as ``90s``, ``30m``, ``12h`` or ``7d``, read into seconds."""

    name = "duration"
    _FORM: Final = re.compile(r"(\d{1,7})([smhdw]?)")
    _SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Read one."""
        if isinstance(value, int | float):
            return float(value)
        found = self._FORM.fullmatch(str(value))
        if found is None:
            self.fail(f"got {value!r}, expected a number of seconds, or one with a unit: 90s, 30m, 12h, 7d", param, ctx)
        return float(int(found[1]) * self._SECONDS[found[2]])


@verb(
    "prune",
    examples=(
        "reenact prune --job daily-load --keep-last 30",
        "reenact prune --before 2025-01-01 --yes",
        "reenact prune --run 5f2c --yes",
        "reenact prune --repack --yes",
    ),
    exits={**EXITS, 1: "recordings are going on, so nothing was freed; or it failed, for the reason printed"},
)
@click.option("--run", "runs", multiple=True, metavar="RUN", help="A run to drop; may be given several times.")
@click.option("--job", "jobs", multiple=True, help="Drop runs of this job; may be given several times.")
@click.option("--before", type=Moment(), help="Drop runs that began before: a date, a time, or an age such as 90d.")
@click.option(
    "--keep-last",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of each job keep the last N runs that succeeded, and what came after the first of them.",
)
@click.option("--reason", default="pruned by hand", show_default=True, help="Why; it is kept in the tombstone.")
@click.option("--repack", is_flag=True, help="Write packs that are small or mostly dead into larger ones.")
@click.option("--yes", is_flag=True, help="Do it. Without this, what would be done is told.")
@click.option("--grace", type=Duration(), default="1h", show_default=True, help="Free nothing that is younger.")
@click.option("--wait", type=Duration(), default="60s", show_default=True, help="Wait so long for recordings to end.")
@click.option(
    "--abandoned-after",
    type=Duration(),
    default="7d",
    show_default=True,
    help="Take a recording on another host for dead when it began so long ago.",
)
@json_option
@store_option
def command(
    *,
    runs: tuple[str, ...],
    jobs: tuple[str, ...],
    before: datetime | None,
    keep_last: int | None,
    reason: str,
    repack: bool,
    yes: bool,
    grace: float,
    wait: float,
    abandoned_after: float,
    as_json: bool,
    store: str | None,
) -> int:
    """Drop runs, and free the room of all that no run refers to.

    Runs are named with --run, or chosen by --job, --before and --keep-last, which must all fit. Without any of them no run is
    dropped, and only what nothing refers to is freed. A run that is held stays, and so does one that a run that stays refers to: a replay of it, or a run that was
    recorded inside it. Replays of a run go with it. Each run that is dropped leaves a tombstone, which is logged.
    """
    from reenact.actions.prune import PruneRequest, prune  # noqa: PLC0415 - help needs no action
    from reenact.actions.sweeping import SweepRequest  # noqa: PLC0415 - same
    from reenact.govern.selection import Selection  # noqa: PLC0415 - same

    request = PruneRequest(
        runs=runs,
        selection=Selection(jobs=frozenset(jobs), before=before, keep_last=keep_last),
        reason=reason,
        yes=yes,
        sweeping=SweepRequest(grace_seconds=grace, wait_seconds=wait, abandoned_seconds=abandoned_after, repack=repack),
    )
    with progress("pruning") as say:
        result = prune(settings_for(store), request, say)
    if as_json:
        print_json(result)
    else:
        _print(result)
    return 1 if result.swept.waiting_for else 0


def _print(result: PruneResult) -> None:
    for line in result.kept:
        print(f"stays  {line.run_id}  {printable(line.job or '-')}  {printable(line.why)}")
    for line in result.pruned:
        print(f"goes   {line.run_id}  {printable(line.job or '-')}  {printable(line.why)}")
    swept = result.swept
    runs = count(len(result.pruned), "run")
    if swept.waiting_for:
        print(f"{runs} dropped; nothing else is freed, for a recording may need it: {', '.join(swept.waiting_for)}")
        print("try again when it has ended; one on another host that is dead is passed over by --abandoned-after")
        return
    freed = (
        f"{runs}, {count(swept.objects, 'object')} and {count(swept.packs, 'pack')}, {size(max(result.freed_bytes, 0))}"
    )
    if result.done:
        print(f"freed {freed}{_repacked(swept, 'repacked')}")
    else:
        print(f"would free {freed}{_repacked(swept, 'to repack')}; to do it: --yes")
    for hint in _hints(swept):
        print(hint)


def _repacked(swept: Swept, how: str) -> str:
    return f" ({count(swept.repacked, 'pack')} {how})" if swept.repacked else ""


def _hints(swept: Swept) -> list[str]:
    found = []
    if swept.young_bytes:
        found.append(f"{size(swept.young_bytes)} more are too young to be freed (--grace)")
    if swept.dead_in_packs_bytes:
        found.append(f"{size(swept.dead_in_packs_bytes)} more lie in packs beside what is needed (--repack)")
    found += [f"damaged, and left alone: {name} (see reenact scrub)" for name in swept.unreadable]
    return found
