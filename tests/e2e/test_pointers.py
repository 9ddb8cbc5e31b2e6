"""Inputs kept as pointers: not in the store, fetched again for a replay, and named when they are gone."""

from __future__ import annotations

from tests.e2e.desk import Desk
from tests.shelf import table

SETTINGS = """
[inputs."raw/**"]
keep = "pointer"
"""
JOB = """
lines = open("raw/a.csv").read().splitlines() + open("raw/b.csv").read().splitlines()
open("out.txt", "w").write(f"{len(lines)}\\n")
open("raw/b.csv", "a").write("one more\\n")
"""


def test_pointers(my_desk: Desk) -> None:
    content = table(8_000)
    my_desk.write("reenact.toml", SETTINGS)
    my_desk.write("job.py", JOB)
    my_desk.write("raw/a.csv", content)
    my_desk.write("raw/b.csv", "x\n")
    done = my_desk.record(my_desk.person.python, "job.py")
    assert done.exit_code == 0, done.stderr.decode()
    assert b"replayable: exact" in done.stderr
    inputs = {artifact["name"]: artifact for artifact in my_desk.show()["inputs"]}
    assert (inputs["raw/a.csv"]["keep"], inputs["raw/a.csv"]["entry"]["digest"]) == ("pointer", None)
    assert inputs["raw/a.csv"]["pointer"]["origin"]["location"] == str(my_desk.folder / "raw/a.csv")
    # What the run destroyed is kept: nowhere else is it what it was.
    assert (inputs["raw/b.csv"]["keep"], bool(inputs["raw/b.csv"]["entry"]["digest"])) == ("bytes", True)

    name = inputs["raw/a.csv"]["pointer"]["digest"].removeprefix("sha256:")
    assert not (my_desk.store / "objects" / name[:2] / name[2:]).exists()

    done, answer = my_desk.replay()
    assert (done.exit_code, answer["verdict"]) == (0, "reproduced")
    replayed = {artifact["name"]: artifact for artifact in my_desk.show(answer["replay_run_id"])["inputs"]}
    assert replayed["raw/a.csv"]["keep"] == "pointer"
    assert my_desk.reenact("verify", "--all", "--deep").exit_code == 0

    path = my_desk.folder / "raw/a.csv"
    path.write_bytes(b"something else\n")
    done, answer = my_desk.replay()
    assert (done.exit_code, answer["verdict"]) == (3, "unreplayable")
    [problem] = answer["missing"]
    assert problem.startswith("input raw/a.csv (")
    assert f"the file at {path} has digest sha256:" in problem
    assert f"recorded {inputs['raw/a.csv']['pointer']['digest']}" in problem

    moved = my_desk.base / "moved" / "raw"
    moved.mkdir(parents=True)
    (moved / "a.csv").write_bytes(content)
    my_desk.own(my_desk.base)
    my_desk.write("reenact.toml", SETTINGS + f'from = "{my_desk.base}/moved/{{name}}"\n')
    done = my_desk.reenact("plan", "latest", "--json", cwd=my_desk.folder)
    assert done.exit_code == 0, done.stdout.decode()
