"""Runs inside a recorded run: each is a whole run of its own, and the outer one holds everything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.checks import require
from tests.e2e.desk import Desk
from tests.e2e.people import ME, ORDINARY, Person
from tests.e2e.test_same_twice import normalised

INPUT = "b,2\na,1\nc,3\n"
SUM = '{ total += $2 } END { print total > "sum.txt" }'
STEPS = f"""\
set -e
"$1" run -- sort in.csv > sorted.csv
"$1" run --job sum -- awk -F, '{SUM}' sorted.csv
cat sorted.csv sum.txt > report.txt
"""
MADE = {"sorted.csv": "a,1\nb,2\nc,3\n", "sum.txt": "6\n", "report.txt": "a,1\nb,2\nc,3\n6\n"}
MAKEFILE = """\
all: one.txt two.txt three.txt
%.txt: %.csv
\t$(REENACT) run --job $* -- sort -o $@ $<
"""
PATIENCE_SECONDS = 60
CROWD = 16


def bundles(desk: Desk) -> dict[str, Any]:
    """Give all runs that are no replays, by job."""
    found = [desk.show(run_id) for run_id in desk.runs()]
    return {bundle["job"]: bundle for bundle in found if bundle.get("replay_of") is None}


def names(artifacts: list[dict[str, Any]]) -> set[str]:
    """Give the names of the files among artifacts that lie in the job's folder."""
    return {
        artifact["name"]
        for artifact in artifacts
        if artifact["entry"]["type"] == "file" and "probed" not in artifact["access"] and artifact["name"][0] != "/"
    }


def hazards(bundle: dict[str, Any]) -> set[str]:
    # An ordinary user gets a copy of the package without its installer's hashes, and an outer run reads that.
    return {hazard["code"] for hazard in bundle["determinism"]["hazards"]} - {"package-unhashed"}


def assert_reproduced(desk: Desk, *runs: dict[str, Any]) -> None:
    """Destroy what the jobs needed, and replay them."""
    desk.vandalise()
    for bundle in runs:
        done, answer = desk.replay(bundle["run_id"])
        assert (answer["verdict"], done.exit_code) == ("reproduced", 0), (bundle["job"], json.dumps(answer))
        assert {output["verdict"] for output in answer["outputs"]} <= {"identical"}
        for name in names(bundle["outputs"]) & set(MADE):
            assert (desk.out / name).read_text() == MADE[name]


def test_steps_recorded_inside_a_recorded_script_are_runs_of_their_own(desk: Desk) -> None:
    desk.write("in.csv", INPUT)
    desk.write("steps.sh", STEPS)
    done = desk.record("sh", "steps.sh", desk.person.reenact)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count(b"\n") == 1, "only the outermost run says something"
    assert {name: (desk.folder / name).read_text() for name in MADE} == MADE
    found = bundles(desk)
    assert set(found) == {"steps", "sort", "sum"}
    steps, sort, total = found["steps"], found["sort"], found["sum"]
    assert {bundle["capture"]["method"] for bundle in found.values()} == {"kernel"}
    assert steps.get("parent_run_id") is None
    assert {sort["parent_run_id"], total["parent_run_id"]} == {steps["run_id"]}
    assert (names(sort["inputs"]), names(sort["outputs"])) == ({"in.csv", "sorted.csv"}, {"sorted.csv"})
    assert (names(total["inputs"]), names(total["outputs"])) == ({"sorted.csv"}, {"sum.txt"})
    assert names(steps["outputs"]) == set(MADE)
    assert names(steps["inputs"]) == {"in.csv", "steps.sh"}
    for bundle in found.values():
        assert hazards(bundle) == set()
        assert bundle["externals"] == []
        assert bundle["transformation_map"][0]["id"] == "1"
    assert total["transformation_map"][0]["argv"][:2] == ["awk", "-F,"]
    assert_reproduced(desk, steps, sort, total)
    assert len(desk.runs()) == 6, "in a replay the inner commands are recorded as a part of it alone"


def test_the_exit_status_of_an_inner_job_passes_through_both(desk: Desk) -> None:
    done = desk.record("sh", "-c", '"$0" run --job in -- sh -c "echo made > made.txt; exit 7"', desk.person.reenact)
    assert done.exit_code == 7
    found = bundles(desk)
    assert {bundle["exit_code"] for bundle in found.values()} == {7}
    assert names(found["in"]["outputs"]) == {"made.txt"}


def test_a_run_inside_a_run_inside_a_run(desk: Desk) -> None:
    desk.write("in.csv", INPUT)
    desk.write("inner.sh", STEPS)
    desk.write("outer.sh", '"$1" run --job middle -- sh inner.sh "$1"\nwc -c < report.txt > size.txt\n')
    done = desk.record("sh", "outer.sh", desk.person.reenact)
    assert done.exit_code == 0, done.stderr
    found = bundles(desk)
    parents = {job: bundle.get("parent_run_id") for job, bundle in found.items()}
    ids = {job: bundle["run_id"] for job, bundle in found.items()}
    assert parents == {"outer": None, "middle": ids["outer"], "sort": ids["middle"], "sum": ids["middle"]}
    assert {bundle["capture"]["method"] for bundle in found.values()} == {"kernel"}
    assert names(found["middle"]["outputs"]) == set(MADE)
    assert names(found["sum"]["inputs"]) == {"sorted.csv"}
    assert names(found["outer"]["outputs"]) == {*MADE, "size.txt"}
    assert_reproduced(desk, *found.values())


def test_an_inner_run_with_a_store_of_its_own_leaves_no_trace_of_it_in_the_outer_one(desk: Desk) -> None:
    desk.write("in.csv", INPUT)
    desk.write("steps.sh", 'ls -a > before.txt\n"$1" run --store other -- sort -o sorted.csv in.csv\n')
    done = desk.record("sh", "steps.sh", desk.person.reenact)
    assert done.exit_code == 0, done.stderr
    (outer,) = bundles(desk).values()
    assert names(outer["outputs"]) == {"before.txt", "sorted.csv"}
    assert not [a["name"] for a in [*outer["inputs"], *outer["outputs"]] if "/keys/" in a["name"]]
    shown = desk.reenact("show", "latest", "--json", "--store", str(desk.folder / "other")).json()
    inner = shown.get("bundle", shown)
    assert inner["parent_run_id"] == outer["run_id"]
    assert (inner["capture"]["method"], names(inner["outputs"])) == ("kernel", {"sorted.csv"})
    (desk.folder / "other").rename(desk.base / "other")
    assert_reproduced(desk, outer)
    replayed = desk.reenact("replay", inner["run_id"], "--json", "--store", str(desk.base / "other"))
    assert replayed.json()["verdict"] == "reproduced"


def test_an_outer_run_recorded_twice_gives_equal_bundles(my_desk: Desk) -> None:
    """When the inner recorder reads what, is chance, and no part of the outer run."""
    found = []
    for _ in range(3):
        my_desk.clear()
        my_desk.write("in.csv", INPUT)
        my_desk.age()
        script = '"$0" run --job inner -- sort -o sorted.csv in.csv'
        assert my_desk.record("sh", "-c", script, my_desk.person.reenact, options=("--job", "outer")).exit_code == 0
        found.append(normalised(bundles(my_desk)["outer"]))
    for other in found[1:]:
        for field, value in found[0].items():
            assert other[field] == value, field


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_inner_run_of_a_run_recorded_by_strace(my_desk: Desk) -> None:
    """It can have a listener of its own; the outer one is told which folder is none of its job's."""
    desk = my_desk
    desk.write("in.csv", INPUT)
    script = '"$0" run --store other -- sort -o sorted.csv in.csv; cat sorted.csv > again.csv'
    done = desk.record("sh", "-c", script, desk.person.reenact, options=("--job", "outer", "--rung", "strace"))
    assert (done.exit_code, done.stderr.count(b"\n")) == (0, 1), done.stderr
    (outer,) = bundles(desk).values()
    assert (outer["capture"]["method"], names(outer["outputs"])) == ("strace", {"sorted.csv", "again.csv"})
    shown = desk.reenact("show", "latest", "--json", "--store", str(desk.folder / "other")).json()
    inner = shown.get("bundle", shown)
    assert (inner["capture"]["method"], inner["parent_run_id"]) == ("kernel", outer["run_id"])
    assert (names(inner["inputs"]), names(inner["outputs"])) == ({"in.csv"}, {"sorted.csv"})
    assert hazards(inner) == set()


@pytest.mark.slow
@pytest.mark.skipif(ME != "root", reason="only root can start another user's process")
def test_an_inner_run_of_another_user_is_recorded_apart(my_desk: Desk, people: Callable[[str], Person]) -> None:
    desk, other = my_desk, people(ORDINARY)
    place = desk.base / "theirs"
    place.mkdir()
    os.chown(place, other.uid, other.gid)
    desk.folder.chmod(0o777)
    desk.write("in.csv", INPUT)
    become = f"setpriv --reuid={other.uid} --regid={other.gid} --clear-groups env HOME={place} XDG_CONFIG_HOME={place}"
    script = f'{become} "$0" run --store {place}/store -- sort -o sorted.csv in.csv'
    done = desk.record("sh", "-c", script, other.reenact, options=("--job", "outer"))
    assert done.exit_code == 0, done.stderr
    (outer,) = bundles(desk).values()
    assert names(outer["outputs"]) == {"sorted.csv"}
    stored = [a["name"] for a in [*outer["inputs"], *outer["outputs"]] if a["name"].startswith(f"{place}/store/")]
    assert stored == [], "their store, and their keys, are no outputs of the outer job"
    shown = desk.reenact("show", "latest", "--json", "--store", f"{place}/store").json()
    inner = shown.get("bundle", shown)
    assert names(inner["outputs"]) <= {"sorted.csv"}
    assert "listener-taken" in hazards(inner)
    assert inner["capture"]["method"] != "kernel"


def test_inner_runs_at_the_same_time(desk: Desk) -> None:
    require("make")
    for name in ("one", "two", "three"):
        desk.write(f"{name}.csv", f"{name}\nbefore\n")
    desk.write("Makefile", MAKEFILE)
    done = desk.record("make", "-j2", f"REENACT={desk.person.reenact}", options=("--job", "build"))
    assert done.exit_code == 0, done.stderr
    found = bundles(desk)
    outer = found.pop("build")
    assert set(found) == {"one", "two", "three"}
    for job, bundle in found.items():
        assert bundle["capture"]["method"] == "kernel"
        assert bundle["parent_run_id"] == outer["run_id"]
        assert (names(bundle["inputs"]), names(bundle["outputs"])) == ({f"{job}.csv"}, {f"{job}.txt"})
    assert_reproduced(desk, *found.values())


@pytest.mark.slow
def test_many_inner_runs_at_the_same_time_all_join(my_desk: Desk) -> None:
    for number in range(CROWD):
        my_desk.write(f"{number}.in", f"{number}\nbefore\n")
    script = f'ls *.in | xargs -P {CROWD} -I{{}} "$0" run --job {{}} -- sort -o {{}}.out {{}}'
    done = my_desk.record("sh", "-c", script, my_desk.person.reenact, options=("--job", "outer"))
    assert (done.exit_code, done.stderr.count(b"\n")) == (0, 1), done.stderr
    found = bundles(my_desk)
    outer = found.pop("outer")
    assert len(found) == CROWD
    for job, bundle in found.items():
        assert (bundle["capture"]["method"], bundle["parent_run_id"]) == ("kernel", outer["run_id"])
        assert (names(bundle["inputs"]), names(bundle["outputs"])) == ({job}, {f"{job}.out"})
    assert len(names(outer["outputs"])) == CROWD


@pytest.mark.slow
def test_an_inner_run_keeps_pointers_and_what_it_destroys(my_desk: Desk) -> None:
    my_desk.write("reenact.toml", '[inputs."raw/**"]\nkeep = "pointer"\n')
    my_desk.write("raw/a.csv", INPUT)
    my_desk.write("raw/b.csv", "x\n")
    script = '"$0" run --job inner -- sh -c "cat raw/*.csv > all.txt; echo more >> raw/b.csv"'
    done = my_desk.record("sh", "-c", script, my_desk.person.reenact, options=("--job", "outer"))
    assert done.exit_code == 0, done.stderr
    for bundle in bundles(my_desk).values():
        inputs = {artifact["name"]: artifact for artifact in bundle["inputs"]}
        assert [inputs[name]["keep"] for name in ("raw/a.csv", "raw/b.csv")] == ["pointer", "bytes"], bundle["job"]
        done, answer = my_desk.replay(bundle["run_id"])
        assert (done.exit_code, answer["verdict"]) == (0, "reproduced"), json.dumps(answer)


def test_what_an_inner_run_is_given_open_is_its_own(desk: Desk) -> None:
    desk.write("in.csv", INPUT)
    script = 'cat in.csv | "$0" run --job piped -- sort > sorted.csv; "$0" run --job file -- wc -l < in.csv > lines.txt'
    done = desk.record("sh", "-c", script, desk.person.reenact, options=("--job", "outer"))
    assert done.exit_code == 0, done.stderr
    assert ((desk.folder / "sorted.csv").read_text(), (desk.folder / "lines.txt").read_text()) == (
        MADE["sorted.csv"],
        "3\n",
    )
    found = bundles(desk)
    assert "stdin" in hazards(found["piped"])
    assert names(found["piped"]["inputs"]) <= {"sorted.csv"}
    assert hazards(found["file"]) == set()
    assert "in.csv" in names(found["file"]["inputs"])
    assert hazards(found["outer"]) == set()
    assert_reproduced(desk, found["outer"], found["file"])


def test_what_an_inner_job_leaves_running_is_waited_for_a_little_and_then_named(desk: Desk) -> None:
    brief = '"$0" run --job brief -- sh -c "(sleep 0.05; echo late > late.txt) > /dev/null 2>&1 & echo made > made.txt"'
    long = '"$0" run --job long -- sh -c "(sleep 900) > /dev/null 2>&1 < /dev/null & echo \\$! > pid.txt"'
    done = desk.record(
        "sh", "-c", f"{brief}; {long}; kill -9 $(cat pid.txt)", desk.person.reenact, options=("--job", "outer")
    )
    assert done.exit_code == 0, done.stderr
    found = bundles(desk)
    assert names(found["brief"]["outputs"]) == {"late.txt", "made.txt"}
    assert hazards(found["brief"]) == set()
    assert hazards(found["long"]) == {"outlived"}
    assert hazards(found["outer"]) == set()


def test_a_secret_of_an_inner_run_is_in_no_record(desk: Desk) -> None:
    """The outer run learns of it from the inner one: it saw neither the variable nor a name."""
    script = 'export API_TOKEN=$(cat secret | rev); "$0" run --job inner -- sh -c \'grep -c "$API_TOKEN" in.csv > n.txt || :\''
    desk.write("in.csv", INPUT)
    desk.write("secret", "retteb-si-yrotsil-ro-siht\n")
    done = desk.record("sh", "-c", script, desk.person.reenact, options=("--job", "outer"))
    assert done.exit_code == 0, done.stderr
    for job, bundle in bundles(desk).items():
        words = [word for step in bundle["transformation_map"] for word in step["argv"]]
        assert any("redacted:API_TOKEN" in word for word in words), (job, words)
        assert not any("listory" in word for word in words), job


# --- when processes are killed


def below(process: int, name: str) -> list[int]:
    """Find the processes below one that bear a name, outer ones first."""
    found = []
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    for child in map(int, children):
        try:
            if Path(f"/proc/{child}/comm").read_text().strip() == name[:15]:
                found.append(child)
        except OSError:
            continue
    return found + [other for child in map(int, children) for other in below(child, name)]


def wait_until_gone(folder: Path) -> None:
    """Wait for all processes in a folder to end."""
    end = time.monotonic() + PATIENCE_SECONDS

    def at_work() -> list[str]:
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdecimal():
                try:
                    if os.readlink(f"/proc/{entry}/cwd") == str(folder):
                        found.append(entry)
                except OSError:
                    continue
        return found

    while left := at_work():
        assert time.monotonic() < end, left
        time.sleep(0.05)


INNER = "sort in.csv > sorted.csv; echo ready; read word; echo $word > after.txt; exit 5"
OUTER = f"\"$0\" run --job inner -- sh -c '{INNER}'; echo $? > status.txt; exit 3"


def kill_and_go_on(desk: Desk, find: Any) -> int:
    """Start the outer job, kill what `find` gives when the inner one is at work, let that go on; give the exit status."""
    desk.write("in.csv", INPUT)
    words = [desk.person.reenact, "run", "--job", "outer", "--", "sh", "-c", OUTER, desk.person.reenact]
    with desk.start(words, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.5)  # let what was seen reach the journals
            os.kill(find(process.pid), signal.SIGKILL)
            process.communicate(b"go on\n", timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail("it hangs after the kill")
    wait_until_gone(desk.folder)
    assert (desk.folder / "after.txt").read_text() == "go on\n", "the inner job must end as if nobody watched"
    assert desk.reenact("runs").exit_code == 0  # finishes what was cut off
    assert desk.reenact("verify", "--all").exit_code == 0
    assert desk.store.joinpath("journals").exists()
    assert os.listdir(desk.store / "journals") == []
    return process.returncode


def test_the_supervisor_is_killed(my_desk: Desk) -> None:
    status = kill_and_go_on(my_desk, lambda main: below(main, "reenact-super")[0])
    assert status == 3
    assert (my_desk.folder / "status.txt").read_text() == "5\n"
    found = bundles(my_desk)
    assert {bundle["status"] for bundle in found.values()} == {"incomplete"}
    assert found["inner"]["parent_run_id"] == found["outer"]["run_id"]
    assert "sorted.csv" in names(found["inner"]["outputs"])


def test_the_recorder_of_an_inner_run_is_killed(my_desk: Desk) -> None:
    def recorder(main: int) -> int:
        _, inner = below(main, "reenact-record")
        return inner

    assert kill_and_go_on(my_desk, recorder) == 3
    assert (my_desk.folder / "status.txt").read_text() == "5\n"
    found = bundles(my_desk)
    assert (found["outer"]["status"], found["inner"]["status"]) == ("failed", "incomplete")
    assert {"sorted.csv", "after.txt"} <= names(found["inner"]["outputs"])


def test_the_main_process_of_an_inner_run_is_killed(my_desk: Desk) -> None:
    """Those who observe and record go on without it: both runs are whole."""

    def inner_main(main: int) -> int:
        _, recorder = below(main, "reenact-record")
        return int(Path(f"/proc/{recorder}/stat").read_text().rpartition(")")[2].split()[1])

    assert kill_and_go_on(my_desk, inner_main) == 3
    assert (my_desk.folder / "status.txt").read_text() == "137\n"
    found = bundles(my_desk)
    assert found["inner"]["status"] == "failed"
    assert found["inner"]["exit_code"] == 5
    assert {"sorted.csv", "after.txt"} <= names(found["inner"]["outputs"])


def test_an_inner_run_goes_on_when_the_outer_job_has_ended(my_desk: Desk) -> None:
    desk = my_desk
    inner = "sleep 1; sort in.csv > sorted.csv"
    script = (
        f"\"$0\" run --job inner -- sh -c '{inner}' > /dev/null 2>&1 < /dev/null & echo begun > begun.txt; sleep 0.7"
    )
    desk.write("in.csv", INPUT)
    done = desk.record("sh", "-c", script, desk.person.reenact, options=("--job", "outer"))
    assert done.exit_code == 0, done.stderr
    wait_until_gone(desk.folder)
    found = bundles(desk)
    assert "outlived" in hazards(found["outer"])
    assert found["inner"]["status"] == "succeeded"
    assert hazards(found["inner"]) == set()
    assert names(found["inner"]["outputs"]) == {"sorted.csv"}
