"""What `hold`, `release` and `prune` print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from reenact.cli.main import main
from reenact.cli.prune import Duration
from reenact.ids import RunId
from reenact.store.opening import Store, open_store
from tests.bundles import run_id
from tests.records import add_run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.delenv("REENACT_STORE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    opened = open_store(str(tmp_path / ".reenact"), create=True)
    yield opened
    opened.close()


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


def test_hold_prune_and_release(store: Store, say: Any) -> None:
    for number in (1, 2, 3):
        add_run(store, number)
    assert say("hold", run_id(1), "--reason", "audit") == (0, f"held  {run_id(1)}  audit\n", "")
    assert "stays        it is held: audit" in say("show", run_id(1))[1]
    assert "\nstays " not in say("show", run_id(2))[1]
    status, out, _ = say("prune", "--job", "etl", "--keep-last", "1", "--grace", "0")
    assert status == 0
    assert out.splitlines()[:2] == [
        f"stays  {run_id(1)}  etl  it is held: audit",
        f"goes   {run_id(2)}  etl  it is of a job that was named, and it is older than the last 1 of its job that succeeded",
    ]
    assert out.splitlines()[2].startswith("would free 1 run, 0 objects and 0 packs, ")
    assert len(store.runs.ids()) == 3
    status, out, err = say("prune", "--run", run_id(1), "--yes")
    assert (status, out) == (5, "")
    assert "it is held: audit" in err
    assert say("release", run_id(1), "--reason", "over") == (0, f"released  {run_id(1)}  -\n", "")
    status, out, _ = say("prune", "--run", run_id(1), "--yes", "--json")
    answer = json.loads(out)
    assert (status, answer["done"], [line["run_id"] for line in answer["pruned"]]) == (0, True, [run_id(1)])
    assert store.runs.ids() == [run_id(2), run_id(3)]


def test_a_recording_that_goes_on_is_named(store: Store, say: Any) -> None:
    add_run(store, 1)
    store.writer(RunId(run_id(9)))
    status, out, _ = say("prune", "--run", run_id(1), "--yes", "--grace", "0", "--wait", "0")
    assert status == 1
    assert f"1 run dropped; nothing else is freed, for a recording may need it: {run_id(9)}" in out


@pytest.mark.parametrize("words", [("--keep-last", "0"), ("--grace", "soon"), ("--before", "x"), ("--run", "nothing")])
@pytest.mark.usefixtures("store")
def test_what_cannot_be_used(say: Any, words: tuple[str, str]) -> None:
    assert say("prune", *words)[0] == 2


def test_durations() -> None:
    found = [Duration().convert(text, None, None) for text in ("0", "90", "2s", "3m", "4h", "5d", "6w")]
    assert found == [0, 90, 2, 180, 14400, 432000, 3628800]
    with pytest.raises(click.BadParameter):
        Duration().convert("1y", None, None)
