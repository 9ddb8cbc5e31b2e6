"""Baselines: a history of choices, of which the last holds; what is one is not pruned."""

from __future__ import annotations

import pytest

from reenact.actions.baseline import (
    baseline_for,
    baseline_of,
    clear_baseline,
    list_baselines,
    set_baseline,
    show_baseline,
)
from reenact.actions.custody import held_runs
from reenact.actions.prune import PruneRequest, prune
from reenact.errors import IntegrityError, PolicyDenied, StoreError, UsageError
from reenact.govern.selection import Selection
from reenact.ids import RunId
from reenact.seal.log import Log
from reenact.settings import Settings
from reenact.store.baselines import Baselines, folder_of
from reenact.store.opening import Store
from tests.bundles import run_id
from tests.records import add_run


def test_the_last_choice_holds_and_all_are_kept(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    add_run(store, 2)
    assert baseline_of(store, "etl") is None
    set_baseline(settings, "etl", run_id(1), "checked")
    set_baseline(settings, "etl", None)
    assert [(c.number, c.run_id, c.reason) for c in show_baseline(settings, "etl")] == [
        (2, run_id(2), ""),
        (1, run_id(1), "checked"),
    ]
    assert baseline_for(store, RunId(run_id(1)))[0] == run_id(2)
    clear_baseline(settings, "etl")
    assert (baseline_of(store, "etl"), list_baselines(settings)) == (None, [])
    assert len(show_baseline(settings, "etl")) == 3
    with pytest.raises(UsageError, match="no baseline"):
        baseline_for(store, RunId(run_id(1)))
    with pytest.raises(UsageError, match="no baseline"):
        clear_baseline(settings, "etl")


def test_choices_are_logged(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    set_baseline(settings, "etl", None, "checked")
    clear_baseline(settings, "etl")
    entries = [(e.kind, e.run_id) for e in Log(store.backend).entries() if e.kind.startswith("baseline")]
    assert entries == [("baseline", run_id(1)), ("baseline-cleared", run_id(1))]


def test_only_a_run_of_the_job_itself_can_be_one(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    add_run(store, 2, replay_of=run_id(1))
    add_run(store, 3, job="other")
    for reference, said in ((run_id(2), "is a replay"), (run_id(3), "is of job 'other'")):
        with pytest.raises(UsageError, match=said):
            set_baseline(settings, "etl", reference)
    assert Baselines(store.backend).numbers("etl") == []


def test_a_baseline_is_not_pruned_and_a_former_one_is(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    add_run(store, 2)
    set_baseline(settings, "etl", run_id(1))
    set_baseline(settings, "etl", run_id(2))
    assert held_runs(store) == {run_id(2): "it is the baseline of job etl"}
    done = prune(settings, PruneRequest(selection=Selection(jobs=frozenset({"etl"})), yes=True))
    assert ([line.run_id for line in done.pruned], [line.run_id for line in done.kept]) == ([run_id(1)], [run_id(2)])
    with pytest.raises(PolicyDenied, match="baseline of job etl"):
        prune(settings, PruneRequest(runs=(run_id(2),), yes=True))


def test_a_run_that_is_being_pruned_becomes_none(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    store.custody.put_tombstone(RunId(run_id(1)), b"{}")
    with pytest.raises(StoreError, match="just being pruned"):
        set_baseline(settings, "etl", run_id(1))
    assert baseline_of(store, "etl") is None


def test_nothing_is_pruned_while_a_choice_is_damaged(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    Baselines(store.backend).put("etl", 1, b"{")
    with pytest.raises(IntegrityError, match="baseline"):
        prune(settings, PruneRequest(selection=Selection(jobs=frozenset({"etl"})), yes=True))
    assert store.runs.ids() == [run_id(1)]


def test_who_looked_before_another_put_takes_the_next_number(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(store, 1)
    set_baseline(settings, "etl", None)
    numbers = Baselines.numbers
    stale: list[list[int]] = [[]]
    monkeypatch.setattr(Baselines, "numbers", lambda self, job: stale.pop() if stale else numbers(self, job))
    assert set_baseline(settings, "etl", None).number == 2
    assert stale == []


@pytest.mark.parametrize("job", ["etl", "a/b", "a_b", "a_2fb", ".hidden", "ümlaut", "", "-x", "A"])
def test_a_job_of_any_name_has_a_folder_of_its_own(store: Store, job: str) -> None:
    kept = Baselines(store.backend)
    others = [other for other in ("etl", "a/b", "a_b", "a_2fb", ".hidden", "ümlaut", "", "-x", "A") if other != job]
    assert folder_of(job) not in {folder_of(other) for other in others}
    assert kept.put(job, 1, b"1")
    assert (kept.numbers(job), kept.get(job, 1), kept.latest()) == ([1], b"1", [b"1"])
