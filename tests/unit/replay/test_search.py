"""The search finds smallest sufficient sets, in few trials, always the same ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.replay.search import Search, expected_trials


def search(number: int, cause: set[int], limit: int = 10_000) -> Search[int]:
    return Search(everything=range(number), is_enough=lambda chosen: cause <= set(chosen), limit=limit)


@given(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1, max_size=4)))
)
def test_the_cause_is_found_whatever_it_is(case: tuple[int, set[int]]) -> None:
    number, cause = case
    found = search(number, cause).run()
    assert (set(found.cause), found.minimal) == (cause, True)


@given(st.integers(1, 7), st.data())
def test_what_is_found_is_enough_and_minimal_for_any_question(number: int, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.booleans(), min_size=1 << number, max_size=1 << number))

    def is_enough(chosen: tuple[int, ...]) -> bool:
        return answers[sum(1 << item for item in chosen)] or len(chosen) == number

    found = Search(everything=range(number), is_enough=is_enough, limit=100_000).run()
    assert is_enough(found.cause)
    for item in found.cause if len(found.cause) > 1 else ():
        assert not is_enough(tuple(other for other in found.cause if other != item))


@pytest.mark.parametrize("number", [2, 3, 8, 9, 64, 100])
def test_one_cause_takes_no_more_trials_than_are_announced(number: int) -> None:
    assert max(search(number, {cause}).run().trials for cause in range(number)) <= expected_trials(number)


def test_a_search_that_is_cut_off_gives_what_is_enough_and_says_so() -> None:
    found = search(64, {63}, limit=3).run()
    assert (found.minimal, found.trials) == (False, 3)
    assert 63 in found.cause


def test_no_set_is_tried_twice() -> None:
    tried: list[tuple[int, ...]] = []

    def is_enough(chosen: tuple[int, ...]) -> bool:
        tried.append(chosen)
        return {0, 5, 6} <= set(chosen)

    Search(everything=range(8), is_enough=is_enough, limit=1000).run()
    assert len(tried) == len(set(tried))
