"""A replay that is not the same says so, and names what differs.

A job that must differ asks whether a server of this test answers: it does while the job is recorded, and no world has a network.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.desk import Desk

ASKS = """\
import os, socket, subprocess, sys
with socket.socket() as connection:
    recording = connection.connect_ex(("127.0.0.1", {port})) == 0
"""

READS = {
    "opens-a-file": ("open('in.csv' if recording else 'other.csv').read()", "other.csv"),
    # In a folder that was listed it would be known to be absent, and no news.
    "tries-a-file": ("open('in.csv' if recording else 'a/nowhere.csv')", "a/nowhere.csv"),
    "opens-what-it-had-only-asked-about": ("os.stat('other.csv'); recording or open('other.csv').read()", "other.csv"),
    "lists-a-folder": ("os.listdir('a' if recording else 'b')", "b"),
    "runs-a-program": ("subprocess.run(['./one' if recording else './two'])", "two"),
}

OUTPUTS = {
    "one-byte": (
        "open('out.txt', 'w').write('equal but for the la' + ('s' if recording else 'z') + 't')",
        "out.txt",
        "different",
    ),
    "mode": ("open('out.txt', 'w'); os.chmod('out.txt', 0o600 if recording else 0o644)", "out.txt", "different"),
    "link-target": ("os.symlink('a' if recording else 'b', 'link')", "link", "different"),
    "type": ("os.mkdir('out') if recording else open('out', 'w')", "out", "different"),
    "missing": ("recording and open('out.txt', 'w')", "out.txt", "missing"),
    "extra": ("recording or open('out.txt', 'w')", "out.txt", "extra"),
    "not-deleted": ("recording and os.remove('in.csv')", "in.csv", None),
    "exit-code": ("sys.exit(0 if recording else 3)", "exit-code", "different"),
    "stdout": ("print(recording)", "stdout", "different"),
}


@pytest.fixture
def asks() -> Iterator[str]:
    """Listen, and give the beginning of a script that asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ASKS.format(port=server.getsockname()[1])


def divergence(desk: Desk, script: str) -> Any:
    """Record and replay a job that cannot repeat itself."""
    for name, content in {
        "in.csv": "1\n",
        "other.csv": "2\n",
        "a/x": "",
        "b/y": "",
        "one": "#!/bin/sh\n",
        "two": "#!/bin/sh\n",
    }.items():
        desk.write(name, content)
    recorded = desk.record(desk.person.python, "-c", script)
    assert recorded.exit_code == 0, recorded.stderr.decode()
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("diverged", 1), answer
    return answer


def test_one_differing_byte_is_named_beside_what_is_identical(desk: Desk) -> None:
    script = 'import time; open("time.txt", "w").write(f"at {time.time_ns()}"); open("same.txt", "w").write("same")'
    answer = divergence(desk, script)
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["same.txt"]["verdict"] == "identical"
    assert outputs["time.txt"]["verdict"] == "different"
    assert outputs["time.txt"]["recorded"] != outputs["time.txt"]["got"]
    assert outputs["time.txt"]["differences"]


@pytest.mark.parametrize("case", OUTPUTS)
def test_each_way_an_output_can_differ_is_named(my_desk: Desk, asks: str, case: str) -> None:
    script, name, level = OUTPUTS[case]
    answer = divergence(my_desk, asks + script)
    differing = {output["name"]: output["verdict"] for output in answer["outputs"] if output["verdict"] != "identical"}
    assert set(differing) == {name}
    assert level is None or differing[name] == level


def test_standard_error_that_differs_is_named_but_does_not_decide(my_desk: Desk) -> None:
    recorded = my_desk.record("bash", "-c", "echo same > out.txt; date +%s%N >&2")
    assert recorded.exit_code == 0
    done, answer = my_desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0), answer
    [stream] = [output for output in answer["outputs"] if output["name"] == "stderr"]
    assert stream["verdict"] == "different"
    assert stream["differences"]
    assert stream["decides"] is False


@pytest.mark.parametrize("case", READS)
def test_reading_what_was_not_recorded_is_named_though_all_outputs_are_equal(desk: Desk, asks: str, case: str) -> None:
    script, path = READS[case]
    tolerant = "".join(f"    {line}\n" for line in script.splitlines())
    answer = divergence(desk, f"{asks}try:\n{tolerant}except OSError:\n    pass\nopen('out.txt', 'w').write('same')\n")
    assert {output["name"]: output["verdict"] for output in answer["outputs"]}["out.txt"] == "identical"
    assert str(desk.folder / path) in json.dumps(answer), answer
    told = desk.reenact("replay", desk.runs()[0])
    assert told.exit_code == 1
    assert path in (told.stdout + told.stderr).decode()


def test_the_host_is_not_reached_and_that_is_no_divergence_when_the_job_copes(desk: Desk) -> None:
    """A replay has no network: a job that got no answer when it was recorded gets none again."""
    script = """
import socket
found = []
for family, address in ((socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_INET, ("127.0.0.1", 1))):
    with socket.socket(family) as connection:
        connection.settimeout(0.2)
        found.append(connection.connect_ex(address) != 0)
open("out.txt", "w").write(str(found))
"""
    assert desk.record(desk.person.python, "-c", script).exit_code == 0
    assert (desk.folder / "out.txt").read_text() == "[True, True]"
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)
    assert any("network" in str(hazard) for hazard in answer["hazards"])
    assert {call["endpoint"] for call in desk.show(desk.runs()[0])["externals"]} == {"192.0.2.1:9", "127.0.0.1:1"}
