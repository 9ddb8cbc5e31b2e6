"""Times that cannot be right: of runs, and of the entries that log them. Pure: `now` is given.

That the times of entries go back is told with the log itself (``back-dated``), and so is a run that ended after it was logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reenact import clock
from reenact.govern.findings import make_finding
from reenact.model.audit import AuditFinding

__all__ = ["RunTimes", "clock_findings", "entry_clock_findings"]

_SKEW: Final = timedelta(minutes=10)
"""As :data:`reenact.seal.evidence.CLOCK_SKEW`."""


class RunTimes(NamedTuple):
    """What a record says of when its run took place."""

    run_id: str
    job: str
    started_at: str
    ended_at: str | None


def clock_findings(
    run: RunTimes, logged_at: str | None, now: datetime, logged_within_seconds: float
) -> Iterator[AuditFinding]:
    """Look at the times of a run.

    Args:
        run: What its record says.
        logged_at: What its entry says; None where it has none.
        now: The present moment.
        logged_within_seconds: How late an entry may be; 0 for as late as it likes.
    """
    about = {"run_id": run.run_id, "job": run.job}
    started, ended, logged = _time(run.started_at), _time(run.ended_at), _time(logged_at)
    if started is None or (run.ended_at is not None and ended is None):
        yield make_finding("clock-run", "times", "a time of the record cannot be read", **about)
        return
    if ended is not None and ended < started:
        message = f"it started {run.started_at} and ended {run.ended_at}"
        yield make_finding(
            "clock-run", "times", message, expected=f"{run.started_at} or later", got=run.ended_at, **about
        )
    latest = max(started, ended or started)
    if latest > now + _SKEW:
        message = f"it bears the time {latest.isoformat()}, and now is {now.isoformat()}"
        yield make_finding("clock-future", "times", message, **about)
    if logged is not None and logged_within_seconds and (logged - latest).total_seconds() > logged_within_seconds:
        message = f"it ended {latest.isoformat()} and was logged {logged_at}"
        yield make_finding("logged-late", "entry", message, **about)


def entry_clock_findings(times: Iterable[tuple[int, str]], now: datetime) -> Iterator[AuditFinding]:
    """Look at the times of entries: the index and time of each. What cannot be read is told with the log."""
    for index, text in times:
        time = _time(text)
        if time is not None and time > now + _SKEW:
            message = f"it bears the time {text}, and now is {now.isoformat()}"
            yield make_finding(
                "clock-future", f"entry {index}", message, expected=f"{now.isoformat()} or before", got=text
            )


def _time(text: str | None) -> datetime | None:
    try:
        return clock.parse(text) if text is not None else None
    except ValueError:
        return None
