from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from reenact.govern.selection import Candidate, Selection, choose
from reenact.ids import RunId
from tests.bundles import run_id


def run(number: int, job: str | None = "etl", **more: object) -> Candidate:
    started = datetime(2026, 1, number, tzinfo=UTC)
    return Candidate(run_id=RunId(run_id(number)), job=job, started=started, **{"succeeded": True, **more})  # type: ignore[arg-type]


def ids(*numbers: int) -> frozenset[RunId]:
    return frozenset(RunId(run_id(number)) for number in numbers)


def pruned(runs: list[Candidate], selection: Selection, held: dict[RunId, str] | None = None) -> set[int]:
    found = choose(runs, selection, held or {}).pruned
    return {number for number in range(1, 30) if run_id(number) in found}


def test_named_runs_go() -> None:
    assert pruned([run(1), run(2), run(3)], Selection(runs=ids(1, 3))) == {1, 3}


def test_nothing_is_chosen_without_a_choice() -> None:
    assert pruned([run(1), run(2)], Selection()) == set()


def test_filters_must_all_fit() -> None:
    runs = [run(1), run(2, "other"), run(3), run(4)]
    assert pruned(runs, Selection(jobs=frozenset({"etl"}))) == {1, 3, 4}
    assert pruned(runs, Selection(before=datetime(2026, 1, 3, tzinfo=UTC))) == {1, 2}
    assert pruned(runs, Selection(jobs=frozenset({"etl"}), before=datetime(2026, 1, 4, tzinfo=UTC))) == {1, 3}
    assert pruned(runs, Selection(jobs=frozenset({"etl"}), keep_last=1)) == {1, 3}
    assert pruned(runs, Selection(keep_last=1)) == {1, 3}


def test_the_last_ones_are_those_that_succeeded_and_what_came_after() -> None:
    runs = [run(1), run(2), run(3, succeeded=False), run(4), run(5, succeeded=False), run(6, succeeded=False)]
    assert pruned(runs, Selection(keep_last=1)) == {1, 2, 3}
    assert pruned(runs, Selection(keep_last=2)) == {1}
    assert pruned([run(1, succeeded=False), run(2, succeeded=False)], Selection(keep_last=1)) == set()


def test_replays_go_with_what_they_replay_and_are_never_counted() -> None:
    runs = [run(1), run(2), run(3, replay_of=run_id(1)), run(4, replay_of=run_id(2))]
    assert pruned(runs, Selection(keep_last=1)) == {1, 3}
    assert pruned(runs, Selection(runs=ids(4))) == {4}
    assert pruned(runs, Selection(before=datetime(2026, 1, 2, tzinfo=UTC))) == {1, 3}


def test_a_replay_whose_original_is_gone_is_chosen_like_any_other() -> None:
    assert pruned([run(2), run(3, replay_of=run_id(1))], Selection(jobs=frozenset({"etl"}))) == {2, 3}


def test_a_held_run_stays_and_what_it_refers_to() -> None:
    runs = [run(1), run(2, replay_of=run_id(1)), run(3, replay_of=run_id(1))]
    found = choose(runs, Selection(jobs=frozenset({"etl"})), {RunId(run_id(3)): "it is held: audit"})
    assert found.pruned == {}
    assert found.kept == {
        run_id(3): "it is held: audit",
        run_id(1): f"its replay {run_id(3)} stays",
    }


def test_a_run_stays_while_one_that_was_recorded_inside_it_does() -> None:
    runs = [run(1), run(2, "inner", parent_run_id=run_id(1))]
    found = choose(runs, Selection(runs=ids(1)), {})
    assert found.kept == {run_id(1): f"run {run_id(2)} was recorded inside it, and stays"}
    assert pruned(runs, Selection(runs=ids(1, 2))) == {1, 2}
    assert pruned(runs, Selection(runs=ids(2))) == {2}


def test_a_run_that_cannot_be_read_goes_only_when_it_is_named() -> None:
    unread = Candidate(run_id=RunId(run_id(1)))
    assert pruned([unread, run(2)], Selection(before=datetime(2027, 1, 1, tzinfo=UTC))) == {2}
    assert pruned([unread], Selection(runs=ids(1))) == {1}


@given(st.data())
def test_what_is_held_or_referred_to_never_goes(data: st.DataObject) -> None:
    """Design I8."""
    count = data.draw(st.integers(1, 8))
    runs = []
    for number in range(1, count + 1):
        earlier = st.none() | st.integers(1, max(1, number - 1)).map(run_id)
        runs.append(
            run(
                number,
                data.draw(st.sampled_from(["a", "b"])),
                succeeded=data.draw(st.booleans()),
                replay_of=data.draw(earlier) if number > 1 else None,
                parent_run_id=data.draw(earlier) if number > 1 else None,
            )
        )
    held = {RunId(run_id(number)): "held" for number in data.draw(st.sets(st.integers(1, count)))}
    selection = Selection(
        runs=frozenset(RunId(run_id(number)) for number in data.draw(st.sets(st.integers(1, count)))),
        jobs=frozenset(data.draw(st.sets(st.sampled_from(["a", "b"])))),
        keep_last=data.draw(st.none() | st.integers(1, 3)),
    )
    found = choose(runs, selection, held)
    assert not held.keys() & found.pruned.keys()
    for candidate in runs:
        if candidate.run_id not in found.pruned:
            assert candidate.replay_of not in found.pruned
            assert candidate.parent_run_id not in found.pruned
    assert not found.pruned.keys() & found.kept.keys()
