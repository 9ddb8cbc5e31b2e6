"""`reenact audit` as a person runs it: after a real recording, on a store that can only be read, killed, and as a service."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.desk import Desk

JOB = "import csv; open('out.csv', 'w').write(str(sum(int(r[0]) for r in csv.reader(open('in.csv')))))\n"


def record(desk: Desk) -> None:
    desk.write("in.csv", "1\n2\n3\n")
    desk.write("etl.py", JOB)
    desk.age()
    done = desk.record(desk.person.python, "etl.py", options=("--job", "load"))
    assert done.exit_code == 0, done.stderr.decode()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about within 30 seconds")


def close(folder: Path) -> None:
    """Let nobody but root write below a folder; give it to root where the tests run as root."""
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            os.chown(os.path.join(parent, name), os.geteuid(), os.getegid())
            os.chmod(os.path.join(parent, name), 0o444)
        os.chown(parent, os.geteuid(), os.getegid())
        os.chmod(parent, 0o555)


def open_again(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o755)


def test_a_recording_has_not_drifted_until_something_changes(my_desk: Desk) -> None:
    desk = my_desk
    record(desk)
    done = desk.reenact("audit", "--all", "--json")
    document = done.json()
    assert (done.exit_code, document["report"]["findings"], document["report"]["jobs"]) == (0, [], 1)
    assert document["entry"] == document["report"]["log_size"]
    desk.write("in.csv", "1\n2\n4\n")
    done = desk.reenact("audit", "latest", "--json")
    (finding,) = done.json()["report"]["findings"]
    assert (done.exit_code, finding["code"], finding["subject"]) == (1, "drift-input", "in.csv")
    again = desk.reenact("verify", "--all")
    assert again.exit_code == 0, again.stdout.decode()


def test_a_store_that_can_only_be_read(desk: Desk) -> None:
    record(desk)
    close(desk.store)
    try:
        done = desk.reenact("audit", "--all", "--json", variables={"REENACT_STORAGE_READ_ONLY": "1"})
        document = done.json()
        assert (done.exit_code, document["report"]["findings"], document["entry"]) == (0, [], None)
        if desk.person.uid != 0:
            done = desk.reenact("audit", "--all")
            assert done.exit_code == 0
            assert b"the report is not sealed: cannot" in done.stdout
    finally:
        open_again(desk.store)


@pytest.mark.slow
def test_one_that_is_killed_is_gone_on_with(my_desk: Desk) -> None:
    for number in range(24):
        (my_desk.folder / f"part-{number}.bin").write_bytes(os.urandom(1 << 19))
    done = my_desk.record("sh", "-c", "cat part-*.bin | wc -c > out.txt", options=("--job", "parts"))
    assert done.exit_code == 0, done.stderr.decode()
    damaged = max((my_desk.store / "objects").rglob("*"))
    damaged.chmod(0o644)
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    words = [my_desk.person.reenact, "audit", "--all", "--no-seal", "--drift", "never", "--json"]
    notes = my_desk.store / "cache" / "audit.jsonl"
    with my_desk.start([*words, "--max-rate", "2MB"], cwd=my_desk.base) as process:
        until(lambda: notes.exists() and notes.read_bytes().count(b"\n") > 2)
        process.kill()
        process.wait()
    before = notes.read_bytes().count(b"\n") - 1
    done = my_desk.execute(words, cwd=my_desk.base)
    report = done.json()["report"]
    assert (done.exit_code, report["resumed"]) == (4, True)
    assert [f["code"] for f in report["findings"]] == ["object-damaged"]
    assert report["stored_bytes"] <= (report["values"] - before + 2) * ((1 << 19) + 4096) + (1 << 20)
    assert not notes.exists()


@pytest.mark.slow
def test_a_service_goes_on_and_ends_when_it_is_told(my_desk: Desk) -> None:
    record(my_desk)
    metrics = my_desk.base / "reenact.prom"
    got = my_desk.base / "got.json"
    hook = my_desk.write("hook.sh", f"#!/bin/sh\ncat > {got}.new && mv {got}.new {got}\n")
    words = [
        my_desk.person.reenact,
        "audit",
        "--all",
        "--every",
        "1s",
        "--metrics",
        str(metrics),
        "--on-finding",
        str(hook),
    ]
    with my_desk.start(words, cwd=my_desk.base) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        assert b"no findings" in first
        assert b"no findings" in second
        my_desk.write("in.csv", "9\n")
        until(got.exists)
        while b"1 finding: 1 minor" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(timeout=30) == 0
    assert json.loads(got.read_bytes())["audit"]["report"]["findings"][0]["code"] == "drift-input"
    assert "reenact_audit_findings_by_code" in metrics.read_text()
    done = my_desk.reenact("verify", "--all")
    assert done.exit_code == 0, done.stdout.decode()
