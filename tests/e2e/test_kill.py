"""kill -9 at random instants: of the job, or of any process of ours. The store verifies, the job is unharmed, the run is recovered."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.desk import Desk

pytestmark = pytest.mark.slow

ROUNDS: Final = 220
ROUNDS_AT_START: Final = 15
VICTIMS: Final = ("job", "reenact-super", "reenact-record", "main")
# Reads, writes, renames, appends and starts processes for about a third of a second, so that any instant hits something.
WORK = """\
for i in 1 2 3 4 5 6 7 8; do
  sort in.csv > part-$i.tmp && mv part-$i.tmp part-$i.csv
  wc -l < part-$i.csv >> counts.txt
  head -c 300000 /dev/zero | tr '\\0' $i > big-$i.bin
done
cat part-*.csv | md5sum > sum.txt
echo done
"""
INPUT = "".join(f"{(i * 7919) % 10007}\n" for i in range(3000))


def children(pid: int) -> Iterator[int]:
    """Give the processes below one."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for task in tasks:
        try:
            found = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        except OSError:
            continue
        for child in found:
            yield int(child)
            yield from children(int(child))


def name_of(pid: int) -> str:
    """Give the name a process bears, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def folder_of(pid: str) -> str:
    """Give the current folder of a process, empty when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def find(main: int, victim: str) -> int | None:
    """Find the process to kill, if it is there now."""
    if victim == "main":
        return main
    named = [(pid, name_of(pid)) for pid in children(main)]
    if victim == "job":
        return next((pid for pid, name in named if name == "sh"), None)
    return next((pid for pid, name in named if name == victim[:15]), None)


def everything(folder: Path) -> dict[str, bytes]:
    """Read what the job made."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def seed() -> int:
    """Choose the instants; named in every failure so that it can be tried again."""
    return int(os.environ.get("REENACT_TEST_SEED", random.SystemRandom().randrange(2**32)))


def test_kill_at_any_instant(my_desk: Desk, seed: int) -> None:
    desk = my_desk
    chance = random.Random(seed)
    desk.write("in.csv", INPUT)
    plain = desk.execute(["sh", "-c", WORK])
    effect = everything(desk.folder)
    begun = time.monotonic()
    lay_anew(desk)
    assert desk.record("sh", "-c", WORK).exit_code == 0
    usual = time.monotonic() - begun
    hit = dict.fromkeys(VICTIMS, 0)
    for turn in range(ROUNDS):
        victim = VICTIMS[turn % len(VICTIMS)]
        where = f"turn {turn}, {victim}, seed {seed}"
        lay_anew(desk)
        with desk.start([desk.person.reenact, "run", "--", "sh", "-c", WORK], start_new_session=True) as process:
            time.sleep(chance.uniform(0, usual * 1.1))
            target = find(process.pid, victim) if process.poll() is None else None
            if target is not None:
                try:
                    os.kill(target, signal.SIGKILL)
                    hit[victim] += 1
                except ProcessLookupError:
                    target = None
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail(f"hangs after a kill: {where}")
        if victim != "job" or target is None:
            assert_job_ended_by_itself(desk, effect, where, may_not_have_begun=victim == "main" and target is not None)
            if victim != "main" or target is None:
                assert (process.returncode, out) == (0, plain.stdout), (where, err)
        verified = desk.reenact("verify", "--all")
        assert verified.exit_code == 0, (where, verified.stdout.decode(), verified.stderr.decode())
    assert all(count > ROUNDS // len(VICTIMS) // 4 for count in hit.values()), hit


def test_a_recorder_killed_at_its_very_start(my_desk: Desk) -> None:
    """Before the job has become its command."""
    desk, victim = my_desk, "reenact-record"
    desk.write("in.csv", INPUT)
    for _ in range(ROUNDS_AT_START):
        with desk.start(
            [desk.person.reenact, "run", "--", "sh", "-c", "cat in.csv"], start_new_session=True
        ) as process:
            while (target := find(process.pid, victim)) is None:
                assert process.poll() is None
            os.kill(target, signal.SIGKILL)
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail("hangs")
        assert (process.returncode, out) == (0, INPUT.encode()), err
        assert desk.reenact("verify", "--all").exit_code == 0


def wait_until_alone(desk: Desk) -> None:
    """Wait for all processes in the job's folder to end: the job, the orphans of a killed one, and ours."""
    end = time.monotonic() + 60
    while at_work := [pid for pid in os.listdir("/proc") if pid.isdecimal() and folder_of(pid) == str(desk.folder)]:
        assert time.monotonic() < end, f"still at work: {[(pid, name_of(int(pid))) for pid in at_work]}"
        time.sleep(0.02)


def lay_anew(desk: Desk) -> None:
    """Lay the job's folder anew."""
    wait_until_alone(desk)
    desk.clear()
    desk.write("in.csv", INPUT)


def assert_job_ended_by_itself(desk: Desk, effect: dict[str, bytes], where: str, *, may_not_have_begun: bool) -> None:
    """Wait for a job whose caller may be gone; what it leaves must be complete and correct."""
    wait_until_alone(desk)
    found = everything(desk.folder)
    assert found == effect or (may_not_have_begun and set(found) == {"in.csv"}), where


@pytest.mark.parametrize("victim", ["reenact-super", "reenact-record", "main"])
def test_a_run_whose_recording_was_killed_is_recovered_by_the_next_command(desk: Desk, victim: str) -> None:
    desk.write("in.csv", INPUT)
    script = "sort in.csv > out.csv; echo ready; read word; echo $word > after.txt"
    with desk.start([desk.person.reenact, "run", "--", "sh", "-c", script], start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        target = find(process.pid, victim)
        assert target is not None, [(pid, name_of(pid)) for pid in children(process.pid)]
        time.sleep(1)  # what was seen a second ago must survive; the very last may be lost with the process
        os.kill(target, signal.SIGKILL)
        process.communicate(b"go on\n", timeout=60)
    wait_until_alone(desk)
    assert (desk.folder / "after.txt").read_text() == "go on\n", "the job must end as if nobody watched"
    assert desk.reenact("runs").exit_code == 0
    assert len(desk.runs()) == 1
    bundle = desk.show()
    if victim == "main":
        # Those who observe and record went on without it: the run is whole.
        assert (bundle["status"], bundle["exit_code"]) == ("succeeded", 0)
    else:
        assert bundle["status"] == "incomplete"
    assert "out.csv" in {artifact["name"] for artifact in bundle["outputs"]}
    assert bundle["input_checksums"].keys() >= {"in.csv"}
    assert desk.reenact("verify", "--all").exit_code == 0
