from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.model.paths import from_text, relative_name, to_text


@given(st.binary().map(os.fsdecode))
def test_every_name_becomes_valid_text_and_comes_back(path: str) -> None:
    text = to_text(path)
    text.encode("utf-8")
    assert from_text(text) == path


@given(st.binary().map(os.fsdecode), st.binary().map(os.fsdecode))
def test_no_two_names_become_the_same_text(one: str, other: str) -> None:
    assert (to_text(one) == to_text(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"plain.csv", "plain.csv"), ("größe".encode(), "größe"), (b"a\\b", "a\\\\b"), (b"\xff", "\\xff")],
)
def test_ordinary_names_stay_as_they_are(name: bytes, text: str) -> None:
    assert to_text(os.fsdecode(name)) == text


@pytest.mark.parametrize(
    ("path", "root", "name"),
    [("/a/b/c", "/a/b", "c"), ("/a/b", "/a/b", "."), ("/a/bc", "/a/b", "/a/bc"), ("/x", "/a", "/x"), ("/x", "/", "x")],
)
def test_names_are_relative_inside_the_root_only(path: str, root: str, name: str) -> None:
    assert relative_name(path, root) == name
