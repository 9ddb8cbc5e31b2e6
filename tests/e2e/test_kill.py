"""kill -9 at random instants: of the job, or of any process of ours. The store verifies, the job is unharmed, the run is recovered."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.desk import Desk

pytestmark = pytest.mark.slow

KILLS: Final = 52
"""Of each victim: 208 in all."""
TURNS_A_LOOK: Final = 4
"""The store is looked at after so many."""
LOOK_SECONDS: Final = 0.005
KILLS_AT_START: Final = 15
VICTIMS: Final = ("job", "reenact-super", "reenact-record", "main")
# Reads, writes, renames, appends and starts processes, so that any instant hits something.
WORK = """\
for i in 1 2 3; do
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """How a recording ended of which a process was to be killed at some instant."""

    hit: bool
    """It was; else it had ended before."""
    exit_code: int
    """As Popen gives it."""
    stdout: bytes
    stderr: bytes


def lifetime(desk: Desk, victim: str) -> float:
    """Record the work in peace; give the seconds for which a process of it was there."""
    with desk.start([desk.person.reenact, "run", "--", "sh", "-c", WORK], start_new_session=True) as process:
        seen = [time.monotonic()]
        while process.poll() is None:
            if find(process.pid, victim) is not None:
                seen.append(time.monotonic())
            time.sleep(LOOK_SECONDS)
        process.communicate()
    assert process.returncode == 0
    return seen[-1] - seen[1]


def fell(desk: Desk, victim: str, seconds: float) -> Fall:
    """Record the work, and kill a process of it that many seconds after it has appeared."""
    with desk.start([desk.person.reenact, "run", "--", "sh", "-c", WORK], start_new_session=True) as process:
        while find(process.pid, victim) is None and process.poll() is None:
            time.sleep(LOOK_SECONDS)
        time.sleep(seconds)
        target = find(process.pid, victim) if process.poll() is None else None
        if target is not None:
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                target = None
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"hangs after a kill of {victim} after {seconds} seconds")
    return Fall(hit=target is not None, exit_code=process.returncode, stdout=out, stderr=err)


@pytest.mark.parametrize("victim", VICTIMS)
def test_kill_at_any_instant(my_desk: Desk, seed: int, victim: str) -> None:
    desk = my_desk
    chance = random.Random(f"{seed} {victim}")
    desk.write("in.csv", INPUT)
    plain = desk.execute(["sh", "-c", WORK])
    effect = everything(desk.folder)
    lay_anew(desk)
    assert desk.record("sh", "-c", WORK).exit_code == 0  # into an empty store, which takes longer than later ones
    lay_anew(desk)
    life = lifetime(desk, victim)
    hits = turns = 0
    while hits < KILLS:
        turns += 1
        where = f"turn {turns}, {victim}, seed {seed}"
        assert turns < 5 * KILLS, f"the instants miss: {where}"
        lay_anew(desk)
        fall = fell(desk, victim, chance.uniform(0, life))
        hits += fall.hit
        if not fall.hit or victim != "job":
            assert_job_ended_by_itself(desk, effect, where, may_not_have_begun=fall.hit and victim == "main")
        if not fall.hit or victim not in ("job", "main"):
            assert (fall.exit_code, fall.stdout) == (0, plain.stdout), (where, fall.stderr)
        if turns % TURNS_A_LOOK == 0 or hits == KILLS:
            assert_whole(desk, where)
    assert len(desk.runs()) <= turns + 2


def assert_whole(desk: Desk, where: str) -> None:
    """The next command recovers what was cut off, and the store verifies."""
    wait_until_alone(desk)
    verified = desk.reenact("verify", "--all")
    assert verified.exit_code == 0, (where, verified.stdout.decode(), verified.stderr.decode())
    left = os.listdir(desk.store / "journals")
    assert left == [], (where, left)


def test_a_recorder_killed_at_its_very_start(my_desk: Desk) -> None:
    """Before the job has become its command."""
    desk, victim = my_desk, "reenact-record"
    desk.write("in.csv", INPUT)
    for _ in range(KILLS_AT_START):
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
