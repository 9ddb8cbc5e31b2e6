"""Real jobs recorded by each of the lower rungs, by the command line: what they did, and that they never noticed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import reenact
from reenact.capture.rungs.strace import StraceRung

pytestmark = pytest.mark.slow

LOWER = ["strace", "python", "declared"]
GAPS = {"strace": "strace-late", "python": "python-only", "declared": "declared-only"}
OLD = 1_600_000_000
TIMEOUT_SECONDS = 60
SHELL_JOB = """
set -e
awk -F, '{s += $2} END {print s}' in.csv > sum.tmp
mv sum.tmp sum.txt
sed -i s/a/z/ changed.csv
mkdir -p parts/of
sort -r in.csv > parts/of/sorted.csv
mv parts pieces
echo scratch > scratch; rm scratch
"""
PYTHON_JOB = """
import csv, json, os
with open("in.csv") as file:
    rows = list(csv.reader(file))
with open("out.tmp", "w") as file:
    json.dump(rows, file)
os.rename("out.tmp", "out.json")
os.makedirs("parts/of")
with open("parts/of/\N{LATIN SMALL LETTER E WITH ACUTE}.txt", "w") as file:
    file.write("x")
with open("changed.csv", "a") as file:
    file.write("more")
os.remove("gone.txt")
open("scratch", "w").close()
os.unlink("scratch")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A folder with a job, and a store of its own."""

    folder: Path
    variables: dict[str, str]

    def call(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run reenact."""
        command = [sys.executable, "-m", "reenact.cli.main", *words]
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            command,
            capture_output=True,
            cwd=self.folder,
            env=self.variables,
            timeout=TIMEOUT_SECONDS,
            check=False,
            **options,
        )

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start reenact."""
        command = [sys.executable, "-m", "reenact.cli.main", *words]
        return subprocess.Popen(command, cwd=self.folder, env=self.variables, **options)

    def bundle(self) -> dict[str, Any]:
        """Give the latest run's bundle."""
        shown = self.call("show", "latest", "--json")
        assert shown.stdout, shown.stderr
        found = json.loads(shown.stdout)["bundle"]
        assert isinstance(found, dict)
        return found

    def declare(self, inputs: list[str], outputs: list[str]) -> None:
        """Write settings for the rung `declared`."""
        text = f"[declared]\ninputs = {json.dumps(inputs)}\noutputs = {json.dumps(outputs)}\n"
        (self.folder / "reenact.toml").write_text(text)


def named(artifacts: list[dict[str, Any]], *access: str) -> set[str]:
    """Give the names of the artifacts that were used in one of these ways, of those in the job's folder."""
    return {a["name"] for a in artifacts if set(access) & set(a["access"]) and not a["name"].startswith("/")}


def gaps(bundle: dict[str, Any]) -> set[str]:
    return {gap["code"] for gap in bundle["capture"]["gaps"]}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "job"
    folder.mkdir()
    for name, text in {"in.csv": "a,1\nb,2\n", "changed.csv": "a\n", "gone.txt": "x"}.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (OLD, OLD))
    (folder / "job.sh").write_text(SHELL_JOB)
    (folder / "job.py").write_text(PYTHON_JOB)
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(
            [os.path.dirname(os.path.dirname(reenact.__file__)), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
        "REENACT_STORE": str(tmp_path / "store"),
    }
    return Desk(folder=folder, variables=variables)


@pytest.fixture(params=LOWER)
def rung(request: pytest.FixtureRequest, desk: Desk) -> str:
    """Each rung in turn, everything in place for it."""
    name = str(request.param)
    if name == "strace" and (reason := StraceRung().available()):
        pytest.skip(reason)
    desk.declare(["*.csv"], ["*.json", "sum.txt", "parts/**", "changed.csv", "gone.txt"])
    return name


@pytest.fixture
def strace() -> None:
    if reason := StraceRung().available():
        pytest.skip(reason)


# --- what was done


@pytest.mark.usefixtures("strace")
def test_strace_sees_what_a_shell_script_and_its_tools_do(desk: Desk) -> None:
    done = desk.call("run", "--rung", "strace", "--", "sh", "job.sh")
    assert done.returncode == 0, done.stderr
    bundle = desk.bundle()
    assert bundle["capture"]["method"] == "strace"
    assert named(bundle["inputs"], "read") == {"in.csv", "job.sh", "changed.csv"}
    created = named(bundle["outputs"], "created")
    assert created == {"sum.txt", "pieces", "pieces/of", "pieces/of/sorted.csv"}
    assert named(bundle["outputs"], "updated") == {"changed.csv"}
    programs = [step["argv"][0] for step in bundle["transformation_map"]]
    assert {"sh", "awk", "mv", "sed", "sort"} <= set(programs)
    assert "strace" not in programs
    assert (
        bundle["input_checksums"]["in.csv"]
        == next(a for a in bundle["inputs"] if a["name"] == "in.csv")["pointer"]["digest"]
    )


@pytest.mark.parametrize("name", ["strace", "python"])
def test_what_a_python_script_does_is_seen(desk: Desk, name: str) -> None:
    if name == "strace" and (reason := StraceRung().available()):
        pytest.skip(reason)
    done = desk.call("run", "--rung", name, "--", sys.executable, "job.py")
    assert done.returncode == 0, done.stderr
    bundle = desk.bundle()
    assert bundle["capture"]["method"] == name
    assert GAPS[name] in gaps(bundle)
    assert GAPS[name] in {hazard["code"] for hazard in bundle["determinism"]["hazards"]}
    assert {"in.csv", "job.py"} <= named(bundle["inputs"], "read")
    assert named(bundle["outputs"], "created") == {"out.json", "parts", "parts/of", "parts/of/é.txt"}
    assert named(bundle["outputs"], "appended", "updated") == {"changed.csv"}
    assert named(bundle["outputs"], "deleted") == {"gone.txt"}
    assert any(step["outputs"] and "out.json" in step["outputs"] for step in bundle["transformation_map"])


def test_the_audit_hook_keeps_what_is_overwritten(desk: Desk) -> None:
    desk.call("run", "--rung", "python", "--", sys.executable, "-c", "open('changed.csv', 'r+').write('b')")
    found = next(a for a in desk.bundle()["inputs"] if a["name"] == "changed.csv")
    assert found["pointer"]["size_bytes"] == 2


@pytest.mark.usefixtures("strace")
def test_strace_never_takes_new_bytes_for_old_ones(desk: Desk) -> None:
    done = desk.call("run", "--rung", "strace", "--", "sh", "-c", "echo more >> changed.csv")
    assert b"input-lost" in done.stderr
    found = next(a for a in desk.bundle()["inputs"] if a["name"] == "changed.csv")
    assert found["pointer"] is None


def test_declared_inputs_and_outputs_are_what_the_settings_name(desk: Desk) -> None:
    desk.declare(["*.csv"], ["*.json", "parts/**", "changed.csv", "gone.txt"])
    done = desk.call("run", "--rung", "declared", "--", sys.executable, "job.py")
    assert done.returncode == 0, done.stderr
    bundle = desk.bundle()
    assert bundle["capture"]["method"] == "declared"
    assert named(bundle["inputs"], "read") == {"in.csv", "changed.csv"}
    assert named(bundle["outputs"], "created") == {"out.json", "parts", "parts/of", "parts/of/é.txt"}
    assert named(bundle["outputs"], "updated") == {"changed.csv"}
    assert named(bundle["outputs"], "deleted") == {"gone.txt"}
    before = next(a for a in bundle["inputs"] if a["name"] == "changed.csv")
    assert before["pointer"]["size_bytes"] == 2


def test_every_lower_rung_says_what_it_is_and_what_it_misses(desk: Desk, rung: str) -> None:
    done = desk.call("run", "--rung", rung, "--", sys.executable, "-c", "open('in.csv').read()")
    assert GAPS[rung].encode() in done.stderr
    bundle = desk.bundle()
    assert bundle["capture"]["method"] == rung
    assert GAPS[rung] in gaps(bundle)
    assert "exact" not in done.stderr.decode().replace("not certain", "")


@pytest.mark.usefixtures("strace")
def test_what_strace_saw_can_be_replayed(desk: Desk) -> None:
    (desk.folder / "sum.py").write_text(
        "print(sum(int(line.split(',')[1]) for line in open('in.csv')), file=open('n', 'w'))"
    )
    desk.call("run", "--rung", "strace", "--", sys.executable, "sum.py")
    (desk.folder / "in.csv").write_text("a,100\n")
    done = desk.call("replay", "latest", "--json")
    assert json.loads(done.stdout)["verdict"] == "reproduced", done.stdout


# --- what the job notices: nothing


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -SEGV $$", -signal.SIGSEGV), ("kill -9 $$", -9)])
def test_exit_status_and_signals_are_the_jobs_own(desk: Desk, rung: str, script: str, status: int) -> None:
    assert desk.call("run", "--rung", rung, "--", "sh", "-c", script).returncode == status


def test_a_command_that_cannot_be_started_says_so_as_ever(desk: Desk, rung: str) -> None:
    missing = desk.call("run", "--rung", rung, "--", "no-such-command")
    assert (missing.returncode, b"command not found" in missing.stderr) == (127, True)
    assert desk.call("run", "--rung", rung, "--", "./in.csv").returncode == 126
    (desk.folder / "in.csv").chmod(0o755)
    assert desk.call("run", "--rung", rung, "--", "./in.csv").returncode == 126


def test_pipes_go_through(desk: Desk, rung: str) -> None:
    done = desk.call("run", "--rung", rung, "--", "sh", "-c", "cat; echo err >&2", stdin=None, input=b"in\n")
    assert done.stdout == b"in\n"
    assert done.stderr.startswith(b"err\n")


def test_a_signal_to_reenact_reaches_the_job(desk: Desk, rung: str) -> None:
    script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    job = desk.start("run", "--rung", rung, "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert job.stdout is not None
    assert job.stdout.readline() == b"ready\n"
    job.terminate()
    rest, _ = job.communicate(timeout=TIMEOUT_SECONDS)
    assert (rest, job.returncode) == (b"told\n", 9)


def test_ctrl_c_at_a_terminal_reaches_the_job_alone(desk: Desk, rung: str) -> None:
    process, terminal = pty.fork()
    if not process:
        script = "trap 'echo interrupted; exit 3' INT; test -t 0 && echo ready; while :; do sleep 0.05; done"
        os.chdir(desk.folder)
        command = [sys.executable, "-m", "reenact.cli.main", "run", "--rung", rung, "--", "sh", "-c", script]
        os.execve(sys.executable, command, desk.variables)
    seen = b""
    for chunk in _chunks(terminal):
        if b"ready" in chunk:
            os.write(terminal, b"\x03")
        seen += chunk
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert b"interrupted" in seen
    assert b"recorded" in seen, "the observer must not be interrupted"
    assert os.waitstatus_to_exitcode(status) == 3


def _chunks(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 1 << 12)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


@pytest.mark.usefixtures("strace")
def test_what_outlives_the_job_goes_on_undisturbed(desk: Desk) -> None:
    script = "(until test -e go; do sleep 0.05; done; cat in.csv > late.txt) > /dev/null 2>&1 & echo started"
    done = desk.call("run", "--rung", "strace", "--", "sh", "-c", script)
    assert done.stdout == b"started\n"
    assert "outlived" in gaps(desk.bundle())
    (desk.folder / "go").touch()
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        if (desk.folder / "late.txt").exists() and (desk.folder / "late.txt").read_text() == "a,1\nb,2\n":
            return
        time.sleep(0.05)
    pytest.fail("what outlived the job did not do its work")


def test_a_python_job_cannot_tell_that_it_is_hooked(desk: Desk) -> None:
    code = (
        "import os, sys;"
        "print(os.environ.get('PYTHONPATH'), sys.path, 'sitecustomize' in sys.modules, os.open('in.csv', 0),"
        " sorted(os.environ), [name for name in sys.modules if 'reenact' in name])"
    )
    plain = subprocess.run(
        [sys.executable, "-c", code], cwd=desk.folder, env=desk.variables, capture_output=True, check=True
    ).stdout
    assert desk.call("run", "--rung", "python", "--", sys.executable, "-c", code).stdout == plain


def test_the_jobs_own_sitecustomize_is_loaded(desk: Desk) -> None:
    own = desk.folder / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins; builtins.mine = __name__")
    desk.variables["PYTHONPATH"] = f"{own}:{desk.variables['PYTHONPATH']}"
    done = desk.call("run", "--rung", "python", "--", sys.executable, "-c", "print(mine)")
    assert done.stdout == b"sitecustomize\n"


def test_a_job_that_closes_our_connection_keeps_its_files_clean(desk: Desk) -> None:
    code = "import os; os.closerange(3, 1000); f = [open(f'f{i}', 'w') for i in range(300)]; [x.write('1') for x in f]"
    done = desk.call("run", "--rung", "python", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert {(desk.folder / f"f{i}").read_text() for i in range(300)} == {"1"}
    assert "python-blinded" in gaps(desk.bundle())


def test_forked_processes_and_threads_are_seen(desk: Desk) -> None:
    code = (
        "import os, threading\n"
        "t = threading.Thread(target=lambda: open('thread', 'w').close()); t.start(); t.join()\n"
        "p = os.fork()\n"
        "if not p:\n    open('child', 'w').close(); os._exit(0)\n"
        "os.waitpid(p, 0)\n"
    )
    (desk.folder / "many.py").write_text(code)
    desk.call("run", "--rung", "python", "--", sys.executable, "many.py")
    bundle = desk.bundle()
    assert named(bundle["outputs"], "created") == {"thread", "child"}
    assert {step["id"] for step in bundle["transformation_map"] if "child" in step["outputs"]} == {"1.1"}


# --- secrets


@pytest.mark.parametrize("name", ["strace", "python"])
def test_a_secret_in_a_command_line_never_reaches_the_store(desk: Desk, name: str) -> None:
    if name == "strace" and (reason := StraceRung().available()):
        pytest.skip(reason)
    secret = "hunter2-correct-horse"
    desk.variables["API_TOKEN"] = secret
    code = "import subprocess, sys; subprocess.run(['true', '--token', sys.argv[1]])"
    done = desk.call("run", "--rung", name, "--", sys.executable, "-c", code, secret)
    assert done.returncode == 0, done.stderr
    store = Path(desk.variables["REENACT_STORE"])
    holding = [path for path in store.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert holding == []
    assert secret not in json.dumps(desk.bundle())


# --- refusals


def test_a_forced_rung_that_cannot_be_used_stops_before_the_job(desk: Desk) -> None:
    done = desk.call("run", "--rung", "declared", "--", "touch", "started")
    assert done.returncode == 2
    assert b"nothing is declared" in done.stderr
    assert not (desk.folder / "started").exists()
