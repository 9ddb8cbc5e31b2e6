"""Paths by the folders they lie in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reenact.capture.path_tree import PathTree

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))


def test_all_below_a_folder_are_found_with_the_folders_on_the_way() -> None:
    tree = PathTree()
    tree.add("/work/out/a.csv")
    tree.add("/work/out/b/c.csv")
    tree.add("/work/outer")
    assert tree.at_and_below("/work/out") == ["/work/out", "/work/out/a.csv", "/work/out/b", "/work/out/b/c.csv"]


def test_a_path_never_added_is_below_itself_alone() -> None:
    assert PathTree().at_and_below("/work") == ["/work"]


@given(st.lists(st.tuples(st.booleans(), paths), max_size=20), paths)
def test_it_finds_what_a_look_at_every_path_finds(steps: list[tuple[bool, str]], asked: str) -> None:
    tree, held = PathTree(), set[str]()
    for adding, path in steps:
        if adding:
            tree.add(path)
            held.add(path)
        else:
            tree.remove(path)
            held = {known for known in held if known != path and not known.startswith(path + "/")}
    found = tree.at_and_below(asked)
    assert len(found) == len(set(found))
    assert {known for known in held if known == asked or known.startswith(asked + "/")} <= set(found)
    assert all(known == asked or known.startswith(asked + "/") for known in found)
