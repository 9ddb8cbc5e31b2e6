"""A store that lost something says what, at once, and runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk

BIG_BYTES = 1_500_000
"""Large enough to be an object of its own; small ones share one pack a run."""


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    """Record a job with two big inputs and a small one."""
    for name in ("one.bin", "two.bin"):
        desk.write(name, os.urandom(BIG_BYTES))
    desk.write("small.csv", "1\n")
    done = desk.record("sh", "-c", "cat one.bin two.bin small.csv | sort | head -c 100000 > out.bin")
    assert done.exit_code == 0, done.stderr.decode()
    return desk


def stored(desk: Desk) -> Iterator[Path]:
    """Give all files of objects."""
    for folder in ("objects", "packs"):
        yield from sorted(path for path in (desk.store / folder).rglob("*") if path.is_file())


def object_of(desk: Desk, name: str) -> Path:
    """Find the file in the store that holds one input."""
    digest: str = desk.show()["input_checksums"][name].removeprefix("sha256:")
    return desk.store / "objects" / digest[:2] / digest[2:]


def flip(path: Path, position: int) -> None:
    """Flip one bit."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def assert_refused(desk: Desk, names: set[str], exit_codes: set[int]) -> None:
    """Plan and replay name every lost artifact, and nothing was executed: no run was added, no output written."""
    runs = desk.runs()
    for words in (("plan", "latest"), ("replay", "latest", "--to", str(desk.out))):
        told = desk.reenact(*words)
        assert told.exit_code in exit_codes, told
        text = (told.stdout + told.stderr).decode()
        assert all(name in text for name in names), text
        answer = desk.reenact(*words, "--json")
        assert answer.exit_code == told.exit_code
        missing = str(answer.json()["missing"])
        assert all(name in missing for name in names), missing
        if words[0] == "replay":
            assert answer.json()["verdict"] == "unreplayable"
    assert desk.runs() == runs
    assert not desk.out.exists() or not list(desk.out.iterdir())


def test_lost_objects_are_all_named_before_anything_runs(recorded: Desk) -> None:
    for name in ("one.bin", "two.bin"):
        object_of(recorded, name).unlink()
    assert_refused(recorded, {"one.bin", "two.bin"}, {3})


def test_a_flipped_bit_in_an_object_is_named_before_anything_runs(recorded: Desk) -> None:
    flip(object_of(recorded, "two.bin"), BIG_BYTES // 2)
    assert_refused(recorded, {"two.bin"}, {3, 4})


def test_a_lost_and_a_damaged_object_are_both_named(recorded: Desk) -> None:
    object_of(recorded, "one.bin").unlink()
    flip(object_of(recorded, "two.bin"), -1)
    assert_refused(recorded, {"one.bin", "two.bin"}, {3, 4})


def test_a_lost_pack_names_the_small_input_it_held(recorded: Desk) -> None:
    packs = [path for path in stored(recorded) if path.suffix in {".pack", ".idx"}]
    assert packs
    for path in packs:
        path.unlink()
    assert_refused(recorded, {"small.csv"}, {3, 4})


def test_no_object_can_be_damaged_without_verify_noticing(recorded: Desk) -> None:
    assert recorded.reenact("verify", "latest", "--deep").exit_code == 0
    for path in stored(recorded):
        good = path.read_bytes()
        flip(path, len(good) // 3)
        done = recorded.reenact("verify", "latest", "--deep")
        assert done.exit_code in {3, 4}, path
        path.write_bytes(good)
    assert recorded.reenact("verify", "latest", "--deep").exit_code == 0


def test_a_damaged_output_does_not_stop_a_replay(recorded: Desk) -> None:
    """What a replay makes anew it does not need; its digest is in the record."""
    digest = recorded.show()["outputs"][0]["pointer"]["digest"].removeprefix("sha256:")
    path = recorded.store / "objects" / digest[:2] / digest[2:]
    if path.exists():
        path.unlink()
    done, answer = recorded.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)


def test_a_changed_bundle_is_refused(recorded: Desk) -> None:
    bundle = recorded.store / "runs" / recorded.runs()[0] / "bundle.dsse.json.zst"
    flip(bundle, bundle.stat().st_size // 2)
    for words in (("verify", "--all"), ("plan", recorded.runs()[0]), ("replay", recorded.runs()[0])):
        done = recorded.reenact(*words)
        assert done.exit_code == 4, done
    assert len(recorded.runs()) == 1
