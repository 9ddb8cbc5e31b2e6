"""How jobs end: the caller of a recorded job sees what the caller of the plain one would have seen."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.checks import assert_replays, check_reproduced, record
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job

KILLED_AFTER_WRITING = 'open("out.txt", "w").write("made"); import os, signal; os.kill(os.getpid(), signal.{signal})'
CLOSES_EVERYTHING = """
import os
os.closerange(0, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 100_000 else 65_536)
fd = os.open("out.txt", os.O_WRONLY | os.O_CREAT, 0o644)
os.write(fd, b"written on descriptor %d" % fd)
os._exit(7)
"""


def test_an_empty_job_is_recorded_and_reproduced(desk: Desk) -> None:
    check_reproduced(desk, Job(name="empty", argv=("true",)))


@pytest.mark.parametrize("status", [1, 3, 126, 255])
def test_a_failing_job_keeps_its_exit_status_and_is_reproduced_as_failing(desk: Desk, status: int) -> None:
    job = Job(
        name="failing",
        argv=("sh", "-c", f"echo partial > out.txt; echo why >&2; exit {status}"),
        exit_code=status,
        makes=("out.txt",),
    )
    check_reproduced(desk, job)
    if not desk.plain:
        bundle = desk.show(desk.runs()[0])
        assert (bundle["status"], bundle["exit_code"]) == ("failed", status)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV"])
def test_a_job_ended_by_a_signal_is_reported_as_that_and_reproduced(desk: Desk, name: str) -> None:
    number = signal.Signals[name].value
    job = Job(
        name="killed",
        argv=(
            "@python",
            "-c",
            "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
            + KILLED_AFTER_WRITING.format(signal=name),
        ),
        exit_code=128 + number,
        makes=("out.txt",),
    )
    check_reproduced(desk, job)
    if not desk.plain:
        assert desk.show(desk.runs()[0])["status"] == "killed"


def test_a_missing_command_is_127_as_in_a_shell(desk: Desk) -> None:
    done = desk.record("no-such-command-anywhere", "x")
    assert done.exit_code == 127
    assert b"no-such-command-anywhere" in done.stderr


def test_a_command_that_may_not_be_executed_is_126_as_in_a_shell(desk: Desk) -> None:
    desk.write("data.txt", "no program\n")
    done = desk.record("./data.txt")
    assert done.exit_code == 126
    assert b"data.txt" in done.stderr


def test_a_job_that_closes_all_descriptors_is_reproduced(desk: Desk) -> None:
    check_reproduced(
        desk, Job(name="closing", argv=("@python", "-c", CLOSES_EVERYTHING), exit_code=7, makes=("out.txt",))
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_job_started_with_closed_streams_finds_them_closed(desk: Desk, closed: str) -> None:
    look = 'import os; open("out.txt", "w").write(str([os.path.exists(f"/dev/fd/{n}") for n in range(3)]))'
    desk.lay_out(Job(name="closed", argv=()))
    words = [desk.person.python, "-c", look]
    plain = desk.execute(["sh", "-c", f'"$@" {closed}', "sh", *words])
    expected = (desk.folder / "out.txt").read_bytes()
    desk.clear()
    recorded = desk.execute(["sh", "-c", f'"$@" {closed}', "sh", desk.person.reenact, "run", "--", *words])
    assert recorded.exit_code == plain.exit_code
    assert (desk.folder / "out.txt").read_bytes() == expected
    assert len(desk.runs()) == 1


def test_a_child_that_goes_on_after_the_job_does_not_hold_its_caller(desk: Desk) -> None:
    """The caller waits for the job and for the end of its output; a daemon that gave its streams away holds neither."""
    desk.lay_out(Job(name="daemon", argv=()))
    script = "sleep 900 > /dev/null 2>&1 < /dev/null & echo $! > pid.txt; echo made"
    try:
        done = desk.record("sh", "-c", script, timeout_seconds=60)
        daemon = int((desk.folder / "pid.txt").read_text())
        assert (done.exit_code, done.stdout) == (0, b"made\n")
        assert Path(f"/proc/{daemon}/comm").read_text() == "sleep\n", "it lives on, as it would have"
        bundle = desk.show()
        assert bundle["status"] == "succeeded"
        assert "outlived" in {hazard["code"] for hazard in bundle["determinism"]["hazards"]}
    finally:
        for path in desk.folder.glob("pid.txt"):
            os.kill(int(path.read_text()), signal.SIGKILL)


def test_a_recorded_job_may_record_another_which_becomes_its_child_run(desk: Desk) -> None:
    job = Job(
        name="outer",
        argv=(
            "sh",
            "-c",
            '"$0" run -- sh -c "sort in.csv > inner.csv; exit 4"; echo $? > outer.txt',
            desk.person.reenact,
        ),
        files={"in.csv": "b\na\n"},
    )
    desk.lay_out(job)
    done = desk.record(*job.argv)
    assert done.exit_code == 0, done.stderr.decode()
    assert (desk.folder / "outer.txt").read_text() == "4\n"
    bundles = [desk.show(run_id) for run_id in desk.runs()]
    assert len(bundles) == 2
    outer = next(bundle for bundle in bundles if bundle.get("parent_run_id") is None)
    inner = next(bundle for bundle in bundles if bundle is not outer)
    assert inner["parent_run_id"] == outer["run_id"]
    assert {output["name"] for output in inner["outputs"]} == {"inner.csv"}
    assert inner["exit_code"] == 4


def test_a_run_can_be_replayed_twice_and_a_replay_can_be_replayed(desk: Desk) -> None:
    job = Job(name="again", argv=("sh", "-c", "sort in.csv > out.csv"), files={"in.csv": "b\na\n"}, makes=("out.csv",))
    effect = record(desk, job)
    if desk.plain:
        return
    desk.vandalise()
    run_id = desk.runs()[0]
    first = assert_replays(desk, effect, run_id)
    second = assert_replays(desk, effect, run_id)
    assert first["run_id"] == second["run_id"] == run_id
    assert len({run_id, first["replay_run_id"], second["replay_run_id"]}) == 3
    assert_replays(desk, effect, first["replay_run_id"])
