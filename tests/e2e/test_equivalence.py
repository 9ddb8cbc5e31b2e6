"""A replay whose outputs are other bytes: equal where that was declared, different with a hint where it was not."""

from __future__ import annotations

from tests.e2e.desk import Desk

JOB = "printf 'id,x\\n' > out.csv; seq 20 | shuf | sed 's/$/,1/' >> out.csv"
"""The same rows each time, in another order."""


def test_another_order_is_equal_only_where_declared(desk: Desk) -> None:
    assert desk.record("bash", "-c", JOB).exit_code == 0
    done, answer = desk.replay()
    [output] = [o for o in answer["outputs"] if o["name"] == "out.csv"]
    assert (done.exit_code, answer["verdict"], output["verdict"]) == (1, "diverged", "different")
    assert 'compare = "rows"' in output["hint"]

    toml = desk.base / "reenact.toml"
    toml.write_text('[outputs."*.csv"]\ncompare = "rows"\n')
    done, answer = desk.replay()
    [output] = [o for o in answer["outputs"] if o["name"] == "out.csv"]
    assert (done.exit_code, answer["verdict"], output["verdict"]) == (0, "equivalent", "equivalent")
    assert (output["equivalence"], output["policy"]["pattern"]) == ("order", "*.csv")
    assert [r["kind"] for r in output["relaxations"]] == ["order"]
    # What is signed says the same.
    [*_, verdict] = desk.reenact("show", "latest", "--json").json()["verdicts"]
    assert [o for o in verdict["outputs"] if o["name"] == "out.csv"] == [output]


def test_what_a_run_declared_holds_for_its_replays_elsewhere(desk: Desk) -> None:
    (desk.folder / "reenact.toml").write_text('[outputs."*.csv"]\ncompare = "rows"\n')
    assert desk.record("bash", "-c", JOB).exit_code == 0
    (desk.folder / "reenact.toml").unlink()
    done, answer = desk.replay()
    assert (done.exit_code, answer["verdict"]) == (0, "equivalent"), answer
