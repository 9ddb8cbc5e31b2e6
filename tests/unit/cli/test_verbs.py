"""What the verbs print: on real stores with sealed records, through the same function a person's command goes through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.cli.main import main
from reenact.digests import Digest
from reenact.model.artifact import TableFacts
from reenact.model.bundle import Capture, Determinism, Gap, Hazard
from reenact.model.code import Code
from reenact.store.opening import Store, open_store
from tests.bundles import artifact, run_id
from tests.records import add_run, add_verdict


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("REENACT_STORE", "REENACT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    opened = open_store(str(work / ".reenact"), create=True)
    yield opened
    opened.close()


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


def test_runs_as_aligned_text(store: Store, say: Any) -> None:
    made = add_run(store, 1, code=Code(commit="a1b2c3d4", untracked=("x",)))
    add_verdict(store, made, 9, "reproduced")
    add_run(store, 2, job="a\nb", status="failed", exit_code=3, ended_at=None)
    status, out, err = say("runs")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "RUN           JOB     STARTED            TOOK  STATUS           IN  OUT  CODE       REPLAY",
        f"{run_id(2)[-12:]}  a\\x0ab  2026-01-31 06:00      -  failed (exit 3)   1    1  -          -",
        f"{run_id(1)[-12:]}  etl     2026-01-31 06:00  2.4 s  succeeded         1    1  a1b2c3d+1  reproduced",
    ]


def test_replays_are_marked(store: Store, say: Any) -> None:
    add_run(store, 2, replay_of=run_id(1))
    assert "  ↺ etl  " in say("runs")[1]


@pytest.mark.usefixtures("store")
def test_runs_without_any_print_nothing(say: Any) -> None:
    assert say("runs") == (0, "", "")
    assert say("runs", "--json") == (0, "[]\n", "")


def test_every_filter_of_runs_reaches_the_action(store: Store, say: Any) -> None:
    made = add_run(store, 1, parameters={"day": "1"}, labels={"team": "x"})
    add_verdict(store, made, 9, "diverged")
    fitting = [
        *("--job", "etl", "--source", "raw.csv", "--transformation", "etl.py", "--since", "2020-01-01"),
        *("--status", "succeeded", "-p", "day=1", "--label", "team=x", "--verdict", "diverged", "--limit", "1"),
    ]
    status, out, _ = say("runs", *fitting, "--json")
    assert (status, [row["run_id"] for row in json.loads(out)]) == (0, [run_id(1)])
    for option, other in (
        ("--job", "x"), ("--source", "x"), ("--transformation", "x"), ("--since", "2999-01-01"), ("--until", "2020-01-01"),
        ("--status", "failed"), ("-p", "day=2"), ("--label", "team=y"), ("--verdict", "reproduced"), ("--package", "x"),
    ):  # fmt: skip
        assert say("runs", option, other) == (0, "", ""), option


def test_show_in_words(store: Store, say: Any) -> None:
    made = add_run(
        store,
        parameters={"day": "1"},
        inputs=(
            artifact("raw\x1b.csv", b"in"),
            artifact("etl.py", b"print()", kind="code"),
            artifact("d", None, "listed"),
        ),
        outputs=(artifact("out.csv", b"out", "created"), artifact("gone", None, "deleted", type="file")),
        determinism=Determinism(
            hazards=(
                Hazard(code="network", message="contacted it", subject="192.0.2.1:443"),
                Hazard(code="note", message="harmless", exact=True),
            )
        ),
        capture=Capture(method="kernel", tool="t", tool_version="0", gaps=(Gap(code="large", message="too large"),)),
    )
    add_verdict(store, made, 9)
    status, out, _ = say("show", "latest")
    assert status == 0
    lines = out.splitlines()
    for line in (
        f"run          {made.run_id}",
        "started      2026-01-31 06:00:00 UTC, took 2.4 s",
        "command      python etl.py",
        "parameters   day=1",
        "observed     kernel, 1 gap",
        "replayable   not certain (network)",
        r"  read  raw\x1b.csv  2 B  " + made.input_checksums["raw.csv"][7:19],
        "also listed or asked about: 1 path; --json has them",
        "  network  192.0.2.1:443  contacted it",
        "  note  -  harmless",
        "  large  -  too large",
        f"  reproduced  2026-02-01 00:00:00  {run_id(9)}  world",
    ):
        assert line in lines, line
    assert "\x1b" not in out


def test_show_as_json_is_the_bundle_the_signature_and_the_verdicts(store: Store, say: Any) -> None:
    made = add_run(store)
    status, out, _ = say("show", made.run_id, "--json")
    shown = json.loads(out)
    assert (status, shown["bundle"]["run_id"], shown["signature"]["valid"]) == (0, made.run_id, True)
    assert shown["bundle"]["inputs"][0]["entry"]["mode"] == 0o644
    assert shown["verdicts"] == []


def test_show_of_a_record_nobody_known_signed_says_so_and_exits_4(store: Store, say: Any) -> None:
    add_run(store)
    for key in (Path(store.location) / "keys").iterdir():
        key.unlink()
    status, out, _ = say("show", "latest")
    assert status == 4
    assert "signature    " in out
    assert "valid, by" not in out


def test_long_lists_are_cut_for_people(store: Store, say: Any) -> None:
    add_run(store, inputs=tuple(artifact(f"in{n:03}", b"in") for n in range(50)))
    _, out, _ = say("show", "latest")
    assert "inputs (50)" in out
    assert "  … and 10 more; --json has all" in out


def test_restore_says_what_it_wrote(store: Store, say: Any, tmp_path: Path) -> None:
    add_run(store)
    status, out, _ = say("restore", "etl", "--to", str(tmp_path / "to"))
    assert status == 0
    assert out.splitlines()[-1] == f"restored 1 artifact to {tmp_path / 'to'}"
    status, out, _ = say("restore", "etl", "--inputs", "--to", str(tmp_path / "in"), "--json")
    assert (status, [placed["name"] for placed in json.loads(out)]) == (0, ["etl.py", "raw.csv"])
    status, out, err = say("restore", "etl", "--to", str(tmp_path / "to"))
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        f"reenact: usage: in {tmp_path / 'to'} there is already out.csv",
        "  hint: name another folder",
    ]


def test_verify_lists_what_is_wrong_with_each_run(store: Store, say: Any) -> None:
    add_run(store, 1)
    add_run(store, 2, outputs=(artifact("lost.csv", b"lost", "created"),))
    status, out, _ = say("verify", "--all")
    lines = out.splitlines()
    assert status == 3
    assert lines[0] == f"ok      {run_id(1)}  etl  3 objects  entry 1"
    assert lines[1] == f"not ok  {run_id(2)}  etl  3 objects  entry 2"
    assert lines[2].startswith("        object-missing: output lost.csv: sha256:")
    assert lines[3].startswith("signed by keys this store names itself; not trusted by you")
    assert lines[4] == "2 runs verified, 1 not ok"
    assert say("verify", run_id(1))[0] == 0
    status, out, _ = say("verify", "--all", "--json")
    assert (status, [len(run["findings"]) for run in json.loads(out)]) == (3, [0, 1])


@pytest.mark.usefixtures("store")
def test_a_run_that_is_not_there_is_named(say: Any) -> None:
    for words in (("show", "nothing"), ("plan", "nothing"), ("replay", "nothing"), ("verify", "nothing")):
        status, out, err = say(*words)
        assert (status, out) == (2, "")
        assert err.startswith("reenact: run-not-found: no run is called 'nothing'\n  hint: ")


def test_a_plan_that_cannot_be_carried_out_names_everything(store: Store, say: Any) -> None:
    add_run(store, kept=(b"out",))
    status, out, _ = say("plan", "latest")
    assert status == 3
    assert out.splitlines()[0] == f"✘ unreplayable {run_id(1)}"
    assert "raw.csv" in out
    assert "etl.py" in out
    status, out, _ = say("plan", "latest", "--json")
    document = json.loads(out)
    assert (status, document["replayable"]) == (3, False)
    assert {lack["piece"]["name"] for lack in document["lacks"]} == {"raw.csv", "etl.py"}
    status, out, _ = say("replay", "latest", "--json")
    assert (status, json.loads(out)["verdict"]) == (3, "unreplayable")


@pytest.mark.usefixtures("store")
def test_init_says_what_it_made(say: Any) -> None:
    status, out, _ = say("init")
    assert status == 0
    assert [line.split()[0:2] for line in out.splitlines()] == [
        ["settings", "made"],
        ["store", "there"],
        ["signing", "key"],
    ]
    assert say("init")[1].count("there already") == 3


def test_tables_are_shown_with_rows_columns_and_types(store: Store, say: Any) -> None:
    digest = Digest("sha256:" + "a" * 64)
    table = TableFacts(rows=1000, columns=tuple((f"c{n}", "integer") for n in range(9)), logical_digest=digest)
    add_run(store, 1, outputs=(artifact("out.csv", b"out", "created", table=table),))
    lines = say("show", "latest")[1].splitlines()
    at = lines.index("tables (1)")
    columns = ", ".join(f"c{n} integer" for n in range(8))
    assert lines[at + 1] == f"  out.csv  1,000 rows  {columns}, … and 1 more  aaaaaaaaaaaa"
