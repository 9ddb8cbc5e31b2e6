"""The order of names in listed folders: how it is put together, and what of it is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.capture.observation import merged_order as merged
from reenact.capture.orders import recorded
from tests import journals
from tests.model_tree import ModelTree
from tests.recording import Call, Recording

names = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(st.permutations("abcdefgh"), names, names)
def test_listings_in_one_order_merge_into_that_order(order: list[str], first: list[str], second: list[str]) -> None:
    """As far as it is known: a name stays behind the one it followed."""
    one, two = ([name for name in order if name in found] for found in (first, second))
    both = merged(one, two)
    assert sorted(both) == sorted({*one, *two})
    assert [name for name in both if name in one] == one
    if one[:1] == two[:1]:
        assert both[:1] == one[:1]


def test_a_new_name_comes_behind_the_one_it_followed() -> None:
    assert merged(["c", "a", "b"], ["c", "x", "y", "b", "z"]) == ["c", "x", "y", "a", "b", "z"]
    assert merged(["a"], ["x", "a"]) == ["x", "a"]
    assert merged([], ["b", "a"]) == ["b", "a"]


@pytest.fixture
def job(tmp_path: Path) -> str:
    return str(tmp_path)


def test_only_an_order_that_is_not_the_sorted_one_is_kept(job: str) -> None:
    observation = journals.observed(journals.entry(job), ["l", job, ["b", "a"]], ["c", "/made"])
    observation.apply(["d", "/made", ["a", "b"]])
    assert recorded(observation, lambda _: False) == {job: ["b", "a"]}
    assert recorded(observation, lambda path: path == job) == {}
    observation.made.clear()
    assert recorded(observation, lambda _: True) is None


def test_names_that_were_made_and_taken_away_are_not_kept(job: str) -> None:
    made = [["c", f"{job}/z"], ["c", f"{job}/chance"]]
    observation = journals.observed(journals.entry(job), ["l", job, ["b", "a"]], *made)
    observation.apply(["d", job, ["z", "b", "chance", "a"]])
    observation.apply(["g", f"{job}/chance"])
    assert recorded(observation, lambda _: False) == {job: ["z", "b", "a"]}


def test_a_folder_is_listed_again_when_its_names_have_changed() -> None:
    tree = ModelTree()
    new = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    tree.call("mkdir", "/d")
    tree.call("open", "/d/b", new, b"")
    tree.call("open", "/d/a", new, b"")
    recording = Recording(tree)
    recording.run(
        Call(1, "list", ("/d",)),
        Call(1, "list", ("/d",)),
        Call(1, "open", ("/d/0", new, b"")),
        Call(1, "list", ("/d",)),
        Call(1, "mkdir", ("/made",)),
        Call(1, "list", ("/made",)),
    )
    told = [record[:2] for record in recording.records if record[0] in ("l", "d")]
    assert told == [["l", "/d"], ["d", "/d"], ["d", "/made"]]
    assert recording.observation.orders["/d"] == recording.tree.names("/d")
