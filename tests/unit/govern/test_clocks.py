from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reenact.govern.clocks import RunTimes, clock_findings, entry_clock_findings

NOW = datetime(2026, 2, 1, tzinfo=UTC)
START, END = "2026-01-31T06:00:00.000000Z", "2026-01-31T06:00:02.000000Z"


@pytest.mark.parametrize(
    ("started", "ended", "logged", "codes"),
    [
        (START, END, END, []),
        (START, None, None, []),
        (START, START, "2026-01-31T06:59:00.000000Z", []),
        (END, START, END, ["clock-run"]),
        (START, END, "2026-01-31T07:00:03.000000Z", ["logged-late"]),
        ("2026-02-01T00:09:00.000000Z", None, None, []),
        ("2026-02-01T00:11:00.000000Z", None, None, ["clock-future"]),
        (START, "2026-02-01T00:11:00.000000Z", None, ["clock-future"]),
        ("yesterday", END, END, ["clock-run"]),
        (START, "2026-01-31", END, ["clock-run"]),
        (START, END, "late", []),
    ],
)
def test_times_of_a_run(started: str, ended: str | None, logged: str | None, codes: list[str]) -> None:
    found = list(clock_findings(RunTimes("r1", "load", started, ended), logged, NOW, 3600.0))
    assert [f.code for f in found] == codes
    assert all((f.run_id, f.job) == ("r1", "load") for f in found)


def test_how_late_a_run_is_logged_may_not_matter() -> None:
    assert list(clock_findings(RunTimes("r1", "load", START, END), "2026-01-31T23:00:00.000000Z", NOW, 0.0)) == []


def test_times_of_entries() -> None:
    times = [(0, START), (1, "2199-01-01T00:00:00.000000Z"), (2, "no time")]
    assert [f.subject for f in entry_clock_findings(times, NOW)] == ["entry 1"]
