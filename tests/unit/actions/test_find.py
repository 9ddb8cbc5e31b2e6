from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact.actions.find import RunFilter, list_runs, matches, show_run
from reenact.digests import of_bytes
from reenact.errors import RunNotFound, StoreError
from reenact.model.environment import Distribution, OsPackage
from reenact.settings import Settings
from reenact.store.opening import Store
from tests.bundles import bundle, run_id
from tests.records import add_run, add_verdict


def listed(settings: Settings, **wanted: Any) -> list[str]:
    return [row.run_id for row in list_runs(settings, RunFilter(**wanted))]


def test_runs_are_listed_newest_first_and_no_more_than_wanted(settings: Settings, store: Store) -> None:
    for number in (2, 1, 3):
        add_run(store, number)
    assert listed(settings) == [run_id(3), run_id(2), run_id(1)]
    assert listed(settings, limit=2) == [run_id(3), run_id(2)]


def test_a_row_says_what_the_run_was(settings: Settings, store: Store) -> None:
    made = add_run(store, status="failed", exit_code=3, labels={"team": "x"})
    add_verdict(store, made, 7, "diverged")
    [row] = list_runs(settings, RunFilter())
    assert (row.job, row.status, row.exit_code, row.seconds, row.inputs, row.outputs) == ("etl", "failed", 3, 2.4, 1, 1)
    assert (row.verdict, row.labels, row.replayable) == ("diverged", {"team": "x"}, "exact")


def test_periods_go_by_the_start(settings: Settings, store: Store) -> None:
    for number in (1, 2, 3):
        add_run(store, number)
    # The time in a UUIDv7 is in its first 48 bits; these ids differ by a millisecond each.
    starts = [int(run_id(number).replace("-", "")[:12], 16) for number in (1, 2, 3)]
    second = datetime.fromtimestamp(starts[1] / 1000, UTC)
    assert listed(settings, since=second) == [run_id(3), run_id(2)]
    assert listed(settings, until=second) == [run_id(1)]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"job": "etl"}, True),
        ({"job": "et"}, False),
        ({"status": "succeeded"}, True),
        ({"status": "failed"}, False),
        ({"source": "raw.csv"}, True),
        ({"source": "out.csv"}, False),
        ({"source": of_bytes(b"in")}, True),
        ({"source": "sha256:" + "1" * 64}, True),
        ({"source": "sha256:" + "2" * 64}, False),
        ({"transformation": "etl.py"}, True),
        ({"transformation": "other"}, False),
        ({"package": "Typing_Extensions"}, True),
        ({"package": "typing-extensions==4.1"}, True),
        ({"package": "typing-extensions==4"}, False),
        ({"package": "libc6==2.36"}, True),
        ({"package": "typing"}, False),
        ({"parameters": {"day": "1"}}, True),
        ({"parameters": {"day": "1", "x": "y"}}, False),
        ({"parameters": {"day": "2"}}, False),
        ({"labels": {"team": "a"}}, True),
        ({"labels": {"team": "b"}}, False),
        ({"job": "etl", "labels": {"team": "b"}}, False),
    ],
)
def test_a_run_fits_when_all_conditions_do(wanted: dict[str, Any], fits: bool) -> None:
    environment = replace(
        bundle().environment,
        distributions=(Distribution(ecosystem="pypi", name="typing-extensions", version="4.1", location="/x"),),
        os_packages=(OsPackage(name="libc6", version="2.36", architecture="amd64"),),
    )
    made = bundle(environment=environment, parameters={"day": "1"}, labels={"team": "a", "more": ""})
    assert matches(made, RunFilter(**wanted)) is fits


def test_the_latest_verdict_counts(settings: Settings, store: Store) -> None:
    made = add_run(store)
    add_run(store, 2)
    add_verdict(store, made, 8, "diverged")
    add_verdict(store, made, 9, "reproduced")
    assert listed(settings, verdict="reproduced") == [made.run_id]
    assert listed(settings, verdict="diverged") == []


def test_a_damaged_run_is_listed_as_such_and_stands_in_nobodys_way(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    add_run(store, 2)
    damaged = Path(store.location) / "runs" / run_id(2) / "bundle.dsse.json.zst"
    damaged.chmod(0o644)
    damaged.write_bytes(b"not zstd")
    assert [(row.run_id, row.status) for row in list_runs(settings, RunFilter())] == [
        (run_id(2), "unreadable"),
        (run_id(1), "succeeded"),
    ]
    assert listed(settings, job="etl") == [run_id(1)]
    assert show_run(settings, "latest").bundle.run_id == run_id(1)


def test_references_of_jobs_mean_runs_of_the_job_not_their_replays(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    add_run(store, 2)
    add_run(store, 3, replay_of=run_id(2))
    assert show_run(settings, "latest").bundle.run_id == run_id(2)
    assert show_run(settings, "etl~1").bundle.run_id == run_id(1)
    assert show_run(settings, run_id(3)).bundle.replay_of == run_id(2)
    assert show_run(settings, run_id(3)[-8:]).bundle.replay_of == run_id(2)
    with pytest.raises(RunNotFound):
        show_run(settings, "etl~2")


def test_show_checks_the_signature_and_gives_the_verdicts(settings: Settings, store: Store) -> None:
    made = add_run(store)
    verdict = add_verdict(store, made, 9)
    shown = show_run(settings, "etl")
    assert shown.bundle == made
    assert shown.signature.valid
    assert shown.verdicts == (verdict,)


def test_show_says_when_nobody_known_signed(settings: Settings, store: Store) -> None:
    made = add_run(store)
    for key in (Path(store.location) / "keys").iterdir():
        key.unlink()
    shown = show_run(settings, made.run_id)
    assert not shown.signature.valid
    assert "key" in shown.signature.message


def test_without_a_store_there_is_an_error_with_a_way_out(settings: Settings) -> None:
    with pytest.raises(StoreError, match="there is no store at") as caught:
        list_runs(settings, RunFilter())
    assert "reenact init" in caught.value.hint()
