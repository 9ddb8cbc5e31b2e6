"""The whole program on a store in a bucket of a real server, and two recorders at once on one store."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, Done
from tests.e2e.test_kill import find, wait_until_alone
from tests.servers.gateway import Bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RECORDINGS = 50
_numbers = itertools.count()

JOB = """\
import pathlib
rows = pathlib.Path("in.csv").read_text().split()
pathlib.Path("out.txt").write_text(str(sum(map(int, rows))) + "\\n")
pathlib.Path("copy.csv").write_text("".join(f"{row}\\n" for row in rows))
"""
ROWS = "".join(f"{number}\n" for number in range(200_000))


def use(desk: Desk, bucket: Bucket) -> str:
    """Let a desk's store be a fresh place in the bucket; give its URL."""
    url = bucket.url(f"e2e-{os.getpid()}-{next(_numbers)}/store")
    desk.variables.update(bucket.environment)
    desk.variables["REENACT_STORE"] = url
    desk.variables["XDG_STATE_HOME"] = str(desk.home / ".local" / "state")
    return url


def good(done: Done) -> Done:
    assert done.exit_code == 0, (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return done


def local_files(desk: Desk) -> list[Path]:
    return [path for path in desk.home.rglob("*") if path.is_file()]


def test_every_verb(desk: Desk, bucket: Bucket) -> None:
    url = use(desk, bucket)
    desk.write("in.csv", ROWS)
    desk.write("job.py", JOB)
    recorded = good(desk.record(desk.person.python, "job.py"))
    assert b"replayable: exact" in recorded.stderr
    # A little is changed, so that the second file is kept as a delta against the first.
    desk.write("in.csv", ROWS.replace("77777\n", "77778\n"))
    good(desk.record(desk.person.python, "job.py", options=("--job", "job", "--label", "kind=changed")))
    assert len(good(desk.reenact("runs", "--json")).json()) == 2
    shown = desk.show("latest")
    assert shown["labels"] == {"kind": "changed"}
    good(desk.reenact("plan", "latest", "--json"))
    for reference in ("latest", "job~1"):
        good(desk.reenact("restore", reference, "--to", str(desk.out)))
        expected = "77778" if reference == "latest" else "77777"
        assert expected in (desk.out / "copy.csv").read_text().split()
        (desk.out / "copy.csv").unlink()
        (desk.out / "out.txt").unlink()
    desk.vandalise()
    for reference in ("latest", "job~1"):
        done, answer = desk.replay(reference)
        good(done)
        assert answer["verdict"] == "reproduced"
    good(desk.reenact("replay", "latest", "--dry-run"))
    verified = good(desk.reenact("verify", "--all", "--json")).json()
    assert len(verified["runs"] if isinstance(verified, dict) else verified) == 4
    assert not desk.store.exists()
    assert not list(desk.folder.rglob(".reenact"))
    # Nothing of the job is left on this host but what was kept of the store for reading.
    assert [path for path in local_files(desk) if "journals" in path.parts or "staging" in path.parts] == []
    other_home = desk.base / "other"
    other_home.mkdir()
    desk.own(other_home)
    elsewhere = {name: str(other_home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    good(desk.reenact("verify", "--all", variables=elsewhere))
    done = desk.reenact("replay", "latest", "--dry-run", "--json", variables=elsewhere)
    assert good(done).json()["verdict"] == "reproduced"
    assert url.startswith("s3://")


def test_read_only(my_desk: Desk, bucket: Bucket) -> None:
    desk = my_desk
    use(desk, bucket)
    desk.write("in.csv", ROWS)
    desk.write("job.py", JOB)
    good(desk.record(desk.person.python, "job.py"))
    desk.variables["REENACT_STORAGE_READ_ONLY"] = "true"
    refused = good(desk.record("sh", "-c", "echo ran"))
    assert refused.stdout == b"ran\n"
    assert b"not recorded" in refused.stderr
    assert b"reading only" in refused.stderr
    good(desk.reenact("verify", "--all"))
    good(desk.reenact("replay", "latest", "--dry-run"))
    kept = desk.reenact("replay", "latest")
    assert kept.exit_code == 1
    assert b"reading only" in kept.stderr
    assert len(good(desk.reenact("runs", "--json")).json()) == 1


@pytest.mark.parametrize("victim", ["reenact-super", "reenact-record", "main"])
def test_a_recording_that_was_killed_is_recovered(my_desk: Desk, bucket: Bucket, victim: str) -> None:
    desk = my_desk
    use(desk, bucket)
    desk.write("in.csv", "".join(f"{number * 7919 % 10007}\n" for number in range(3000)))
    good(desk.record("true"))
    script = (
        "sort in.csv > out.csv; head -c 600000 /dev/urandom > big.bin; echo ready; read word; echo $word > after.txt"
    )
    with desk.start([desk.person.reenact, "run", "--", "sh", "-c", script], start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        target = find(process.pid, victim)
        assert target is not None
        time.sleep(1)
        os.kill(target, signal.SIGKILL)
        process.communicate(b"go on\n", timeout=60)
    wait_until_alone(desk)
    assert (desk.folder / "after.txt").read_text() == "go on\n"
    assert len(good(desk.reenact("runs", "--json")).json()) == 2
    assert desk.show()["status"] == ("succeeded" if victim == "main" else "incomplete")
    good(desk.reenact("verify", "--all"))
    assert [path for path in local_files(desk) if "journals" in path.parts or "staging" in path.parts] == []


def test_a_server_that_is_down_does_not_keep_the_job(my_desk: Desk, bucket: Bucket) -> None:
    desk = my_desk
    use(desk, bucket)
    desk.variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    # Not for the minute that is usual: the job waits.
    done = good(desk.record("sh", "-c", "echo ran", timeout_seconds=30))
    assert done.stdout == b"ran\n"
    assert b"not recorded" in done.stderr
    assert b"does not answer" in done.stderr
    # The same where the store is known, so that the job begins before it is asked.
    desk.variables["REENACT_STORAGE_RETRY_SECONDS"] = "1"
    desk.variables["AWS_ENDPOINT_URL"] = bucket.endpoint
    good(desk.record("true"))
    desk.variables["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    done = good(desk.record("sh", "-c", "echo ran"))
    assert done.stdout == b"ran\n"
    assert b"does not answer" in done.stderr
    asked = desk.reenact("runs")
    assert asked.exit_code == 1
    assert b"AWS_ENDPOINT_URL" in asked.stderr
    assert bucket.secret.encode() not in asked.stderr
    # What was begun is finished when the server is back.
    desk.variables["AWS_ENDPOINT_URL"] = bucket.endpoint
    assert len(good(desk.reenact("runs", "--json")).json()) == 2
    good(desk.reenact("verify", "--all"))


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_two_recorders_at_once_lose_nothing(my_desk: Desk, request: pytest.FixtureRequest, kind: str) -> None:
    """The same job, fifty times each: all runs are there, whole, and each is in the log once."""
    desk = my_desk
    if kind == "bucket":
        use(desk, request.getfixturevalue("bucket"))
    loop = f"""\
for i in $(seq {RECORDINGS}); do
  "$0" run --job same -- sh -c 'sort in.csv > "out-$1.csv"; echo "$1 $2" >> "out-$1.csv"' sh "$1" "$i" || exit 1
done
"""
    desk.write("in.csv", "".join(f"{number * 7919 % 10007}\n" for number in range(3000)))
    both: list[subprocess.Popen[bytes]] = [
        desk.start(["sh", "-c", loop, desk.person.reenact, name], start_new_session=True) for name in ("a", "b")
    ]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert err.count("● recorded".encode()) == RECORDINGS, err
    runs: list[dict[str, Any]] = good(desk.reenact("runs", "--json", "--limit", "1000")).json()
    assert len({run["run_id"] for run in runs}) == 2 * RECORDINGS
    good(desk.reenact("verify", "--all"))
    logged = Counter(json.loads(entry)["run_id"] for entry in _log(desk) if json.loads(entry)["kind"] == "run")
    assert logged == {run["run_id"]: 1 for run in runs}


def _log(desk: Desk) -> list[bytes]:
    """Read the log's entries with this version's own reader, as the desk's person."""
    script = (
        "import sys, reenact.seal.log as log, reenact.store.opening as opening\n"
        "store = opening.open_store(sys.argv[1], create=False)\n"
        "for index in range(log.Log(store.backend).size()):\n"
        "    print(store.backend.get(log.entry_key(index)).decode())\n"
    )
    python = [str(Path(desk.person.reenact).with_name("python")), "-c", script, desk.variables["REENACT_STORE"]]
    return good(desk.execute(python)).stdout.splitlines()
