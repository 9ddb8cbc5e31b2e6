"""The whole program on an encrypted store: everything works for its recipients, and its files tell others nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.test_kill import children, name_of, wait_until_alone

pytest.importorskip("pyrage")

SECRET = "the measured customers of march"
JOB = f"""
import sys
lines = open("in.csv").read().splitlines()
with open("out.csv", "w") as out:
    out.writelines(line.upper() + "\\n" for line in lines)
with open("in.csv", "r+") as again:
    again.write("overwritten")
print("{SECRET}", len(lines))
"""
TABLE = "".join(f"{n},{SECRET},{n * 7919 % 10007}\n" for n in range(12_000))


def made(desk: Desk) -> None:
    desk.write("job.py", JOB)
    desk.write("in.csv", TABLE)
    done = desk.execute([desk.person.reenact, "init", "--encrypt"])
    assert done.exit_code == 0, done.stderr.decode()


def digests_in(document: object) -> set[str]:
    return set(re.findall(r"\b[0-9a-f]{64}\b", json.dumps(document)))


def assert_tells_nothing(folder: Path, digests: set[str]) -> None:
    """Neither names nor bytes below a folder hold a digest, a part of one, or what the job read and wrote."""
    seen = 0
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder)).replace("/", "")
        data = path.read_bytes() if path.is_file() else b""
        lower = data.lower()
        assert SECRET.encode() not in lower, path
        assert b"job.py" not in data, path
        for digest in digests:
            assert digest[:16] not in name, path
            assert digest[2:18] not in name, path
            assert digest[:16].encode() not in lower, path
            assert bytes.fromhex(digest)[:8] not in data, path
        seen += path.is_file()
    assert seen > 10


def test_everything_works_for_its_recipients_and_nothing_for_others(desk: Desk) -> None:
    made(desk)
    done = desk.record(desk.person.python, "job.py")
    assert (done.exit_code, done.stdout.decode()) == (0, f"{SECRET} 12000\n"), done.stderr.decode()
    assert b"recorded" in done.stderr
    bundle = desk.show()
    digests = digests_in(bundle) | {hashlib.sha256(TABLE.encode()).hexdigest()}
    assert len(digests) > 5
    verified = desk.reenact("verify", "--all", "--deep")
    assert verified.exit_code == 0, verified.stdout.decode()
    restored = desk.reenact("restore", "latest", "--inputs", "--to", str(desk.out))
    assert restored.exit_code == 0, restored.stderr.decode()
    assert (desk.out / "in.csv").read_text() == TABLE
    desk.vandalise()
    done, answer = desk.replay()
    assert (done.exit_code, answer["verdict"]) == (0, "reproduced"), (answer, done.stderr.decode())
    assert (desk.out / "out.csv").read_text() == TABLE.upper()
    assert_tells_nothing(desk.store, digests | digests_in(desk.show()))
    others = {"HOME": str(desk.out), "XDG_CONFIG_HOME": str(desk.out), "XDG_CACHE_HOME": str(desk.out / "c")}
    for words in (["show", "latest"], ["verify", "--all"], ["recipients", "list"]):
        refused = desk.reenact(*words, variables=others)
        assert (refused.exit_code, refused.stdout) == (4, b""), words
        assert b"store-locked" in refused.stderr
        assert b"Traceback" not in refused.stderr
    job = desk.record("sh", "-c", "echo on; exit 3", variables=others, cwd=desk.base)
    assert (job.exit_code, job.stdout) == (3, b"on\n")
    assert b"not recorded" in job.stderr
    assert not (desk.out / ".local").exists()  # no journal that nobody would ever finish


@pytest.mark.slow
def test_a_recording_that_is_killed_leaves_nothing_readable_and_is_finished_later(my_desk: Desk) -> None:
    desk = my_desk
    made(desk)
    script = "import runpy, time; runpy.run_path('job.py'); print('done', flush=True); time.sleep(60)"
    with desk.start(
        [desk.person.reenact, "run", "--", desk.person.python, "-uc", script], start_new_session=True
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() != b"done\n":
            pass
        recorder = next(pid for pid in children(process.pid) if name_of(pid).startswith("reenact-record"))
        time.sleep(0.5)
        os.kill(recorder, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGKILL)
    wait_until_alone(desk)
    assert not (desk.store / "journals").exists()
    assert_tells_nothing_but_little(desk.store)
    verified = desk.reenact("verify", "--all")
    assert verified.exit_code == 0, verified.stdout.decode() + verified.stderr.decode()
    assert desk.show()["status"] == "incomplete"
    restored = desk.reenact("restore", "latest", "in.csv", "--inputs", "--to", str(desk.out))
    assert restored.exit_code == 0, restored.stderr.decode()
    assert (desk.out / "in.csv").read_text() == TABLE
    assert_tells_nothing(desk.store, digests_in(desk.show()))


def assert_tells_nothing_but_little(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes().lower(), path


@pytest.mark.slow
def test_a_recorder_without_a_home_keeps_its_keys_out_of_the_store(my_desk: Desk) -> None:
    """A service account with an identity that it is given by a file."""
    desk = my_desk
    made(desk)
    identity = desk.base / "identity"
    shutil.copy(desk.home / ".config/reenact/keys/identity.txt", identity)
    homeless = {"HOME": "", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "REENACT_IDENTITY": str(identity)}
    temporary = desk.base / "tmp"
    temporary.mkdir()
    done = desk.record("sh", "-c", "cat in.csv | wc -l", variables={**homeless, "TMPDIR": str(temporary)})
    assert b"recorded" in done.stderr, done.stderr.decode()
    assert not (desk.store / "private").exists()
    assert desk.reenact("verify", "--all").exit_code == 0


@pytest.mark.slow
def test_kill_at_any_instant_while_values_are_encrypted_anew(my_desk: Desk) -> None:
    """Nothing is lost, readers never fail, and a rerun finishes what was begun."""
    desk = my_desk
    made(desk)
    for extra in range(3):
        desk.write("in.csv", TABLE + f"{extra}\n")
        assert desk.record(desk.person.python, "job.py").exit_code == 0
    kills = rounds = 0
    patience = 0.4
    while kills < 15:
        rounds += 1
        assert rounds < 60
        assert desk.reenact("recipients", "rotate").exit_code == 0
        with desk.start([desk.person.reenact, "recipients", "reencrypt"], cwd=desk.base) as process:
            end = time.monotonic() + patience * (0.4 + 0.05 * (rounds % 12))
            while time.monotonic() < end and process.poll() is None:
                time.sleep(0.005)
            if process.poll() is None:
                process.kill()
                kills += 1
            else:
                patience = max(patience * 0.8, 0.05)  # it is quicker here than was thought
            process.communicate()
        if rounds % 5 == 0:
            verified = desk.reenact("verify", "--all", "--deep")
            assert verified.exit_code == 0, (rounds, verified.stdout.decode(), verified.stderr.decode())
    last = desk.reenact("recipients", "reencrypt", "--json")
    assert last.exit_code == 0
    assert desk.reenact("recipients", "reencrypt", "--json").json()["renewed"] == 0
    verified = desk.reenact("verify", "--all", "--deep")
    assert verified.exit_code == 0, verified.stdout.decode()
