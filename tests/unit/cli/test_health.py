"""What `scrub` and `du` print."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from reenact.cli.main import main
from reenact.cli.scrub import Rate, Share
from reenact.digests import of_bytes
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact, run_id
from tests.records import add_run

LARGE = os.urandom(SMALL_BYTES)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.delenv("REENACT_STORE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    opened = open_store(str(tmp_path / ".reenact"), create=True)
    add_run(opened, 1, kept=(b"in", b"print()", LARGE), outputs=(artifact("a\nb", LARGE, "created"),))
    yield opened
    opened.close()


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


@pytest.mark.usefixtures("store")
def test_a_healthy_store(say: Any) -> None:
    status, out, err = say("scrub")
    assert (status, err, out.splitlines()[-1]) == (0, "", "all is well")
    status, out, _ = say("scrub", "--sample", "50%", "--seed", "x", "--max-rate", "1GiB", "--deep", "--json")
    assert (status, json.loads(out)["seed"]) == (0, "x")


def test_a_damaged_object(store: Store, say: Any) -> None:
    digest = of_bytes(LARGE)
    path = Path(store.location, "objects", digest[7:9], digest[9:])
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    status, out, _ = say("scrub")
    lines = out.splitlines()
    assert status == 4
    assert lines[:2] == [f"damaged: objects/{digest[7:9]}/{digest[9:]}", f"        {digest}"]
    assert lines[3] == f"        needed by {run_id(1)}  etl  output a\\x0ab"
    assert lines[-1] == "1 problem left"
    status, out, _ = say("scrub", "--quarantine", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (status, finding["outcome"], finding["needed_by"][0]["run_id"]) == (4, "quarantined", run_id(1))
    assert say("scrub", "--repair-from", "nowhere")[0] == 1


@pytest.mark.usefixtures("store")
def test_what_takes_the_room(say: Any) -> None:
    status, out, _ = say("du")
    assert status == 0
    assert out.splitlines()[0].split() == ["JOB", "RUNS", "ALONE", "SHARED", "RECORDS", "CONTENT"]
    assert out.splitlines()[1].split()[:4] == ["etl", "1", "256.1", "KiB"]
    assert say("du", "--by", "run")[1].splitlines()[1].startswith(run_id(1))
    assert say("du", "--by", "form")[1].splitlines()[1].split()[:2] == ["raw", "1"]
    found = json.loads(say("du", "--json")[1])
    assert [use["name"] for use in found["runs"]] == [run_id(1)]


@pytest.mark.parametrize(
    ("text", "expected"), [("50MiB", 50 << 20), ("20MB", 20e6), ("1000", 1000), ("1.5k", 1500), ("2GiB/s", 2 << 30)]
)
def test_rates(text: str, expected: float) -> None:
    assert Rate().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "5PiB", "nan"])
def test_no_rates(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Rate().convert(text, None, None)


def test_shares() -> None:
    assert [Share().convert(text, None, None) for text in ("5%", "0.05", "100%", "1")] == [0.05, 0.05, 1, 1]
    for text in ("0", "101%", "2", "x", "-5%", "nan"):
        with pytest.raises(click.BadParameter):
            Share().convert(text, None, None)
