"""Walking paths: each file has one canonical path, however it is spelled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.capture.interface import Stat
from reenact.capture.trace.filesystem import LiveFileSystem
from reenact.capture.walk import Walker


@pytest.fixture
def met() -> dict[str, Stat]:
    return {}


@pytest.fixture
def walker(met: dict[str, Stat]) -> Walker:
    return Walker(LiveFileSystem(), met.__setitem__, ())


@pytest.mark.parametrize("top", ["/", "//", "///", "/./", "/../"])
def test_slashes_that_say_nothing_make_no_other_path(
    walker: Walker, met: dict[str, Stat], tmp_path: Path, top: str
) -> None:
    """Also in the second walk, when the folders on the way are known."""
    folder = os.path.realpath(tmp_path)
    first = folder.split("/")[1]
    for _ in range(2):
        assert walker.walk(top + folder[1:])[0] == folder
        assert walker.walk(top + first)[0] == f"/{first}"
        assert walker.glance(top + first) is False
    assert all(os.path.normpath(path) == path and not path.startswith("//") for path in met)
