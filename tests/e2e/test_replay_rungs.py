"""The rungs below the world: what they reproduce, what they refuse, and that they never claim what they cannot."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import PATH, Desk
from tests.e2e.people import everybodys_python

TWICE = "def change(number):\n    return 2 * number\n"
THRICE = "def change(number):\n    return 3 * number\n"
ETL = "import tiny\nopen('out.txt', 'w').write(str(tiny.change(int(open('in.txt').read()))))\n"
DESCRIBED = {"REENACT_CAPTURE_ENVIRONMENT": "described"}


def wheel(folder: Path, code: str, version: str = "1.0") -> None:
    """Write a package of one module, ``tiny``."""
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(files[name])}\n"
        for name, digest in hashes.items()
    ]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


class Workshop:
    """A desk with uv, which gets packages from one folder and from nowhere else."""

    def __init__(self, desk: Desk, uv: str, python: str) -> None:
        self.desk, self.python = desk, python
        self.wheels = desk.base / "wheels"
        tools = desk.base / "tools"
        tools.mkdir()
        shutil.copy2(uv, tools / "uv")
        desk.variables |= {
            "PATH": f"{tools}:{PATH}:{os.path.dirname(python)}",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_NO_INDEX": "1",
            "UV_OFFLINE": "1",
            "UV_NO_CACHE": "1",
        }
        self.publish(TWICE)

    def publish(self, code: str) -> None:
        """Put the package into the folder, in place of the one there."""
        wheel(self.wheels, code)
        self.desk.own(self.wheels)

    def environment(self, place: Path) -> None:
        """Make an environment with the package; a test that needs one is skipped where uv cannot."""
        for words in (
            ["uv", "venv", "--python", self.python, str(place)],
            ["uv", "pip", "install", "--python", f"{place}/bin/python", "tiny"],
        ):
            done = self.desk.execute(words)
            if done.exit_code:
                pytest.skip(f"uv cannot make an environment here: {done.stderr.decode(errors='replace')}")

    def record(self, *argv: str, **variables: str) -> None:
        """Record the job on a new input."""
        self.desk.write("etl.py", ETL)
        self.desk.write("in.txt", "21")
        done = self.desk.record(*argv, variables=variables)
        assert done.exit_code == 0, done.stderr.decode()
        assert (self.desk.folder / "out.txt").read_text() == "42"

    def replay(self, rung: str, *options: str) -> tuple[int, Any]:
        """Replay with the job's folder emptied; it must stay so, and nothing must be left of the replay's own."""
        self.desk.clear()
        before = self.desk.ruins()
        done, answer = self.desk.replay("latest", "--rung", rung, *options)
        assert self.desk.ruins() == before
        return done.exit_code, answer


@pytest.fixture
def workshop(desk: Desk) -> Workshop:
    uv = shutil.which("uv") or shutil.which("uv", path=os.path.dirname(sys.executable))
    if uv is None:
        pytest.skip("uv is not installed")
    python = everybodys_python()
    if python is None:
        pytest.skip("no Python that every account can run")
    return Workshop(desk, uv, python)


def words(answer: Any, field: str) -> str:
    return "\n".join(answer[field])


# --- rebuilt


def test_an_environment_that_is_gone_is_built_again(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    workshop.record(f"{desk.venv}/bin/python", "etl.py")
    shutil.rmtree(desk.venv)
    exit_code, answer = workshop.replay("rebuilt")
    assert (exit_code, answer["verdict"], answer["rung"]) == (0, "reproduced", "rebuilt"), answer
    assert (desk.out / "out.txt").read_text() == "42"
    assert "package" not in words(answer, "drift")
    for open_to in ("the network is open", "files outside", "system libraries"):
        assert open_to in words(answer, "not_isolated")
    again = desk.show(answer["replay_run_id"])
    assert again["replay_of"] == answer["run_id"]
    assert again["labels"] == {"replay-rung": "rebuilt"}
    assert [(d["name"], d["version"]) for d in again["environment"]["distributions"]] == [("tiny", "1.0")]


@pytest.mark.slow
@pytest.mark.parametrize("started", ["by the environment's Python", "by another"])
def test_packages_of_another_lock_are_laid_into_the_world(workshop: Workshop, started: str) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    if started == "by another":
        workshop.record(
            "python3", "etl.py", PYTHONPATH=str(next((desk.venv / "lib").glob("python*")) / "site-packages")
        )
    else:
        workshop.record(f"{desk.venv}/bin/python", "etl.py")
    wheel(workshop.wheels, THRICE, "2.0")
    desk.own(workshop.wheels)
    lock = desk.base / "new.lock"
    lock.write_text("tiny==2.0\n")
    done, answer = desk.replay("latest", "--env", str(lock))
    assert (done.exit_code, answer["verdict"], answer["variations"]) == (1, "changed", {"environment": str(lock)}), (
        answer
    )
    assert (desk.out / "out.txt").read_text() == "63"
    again = desk.show(answer["replay_run_id"])
    assert "2.0" in [d["version"] for d in again["environment"]["distributions"] if d["name"] == "tiny"]
    lock.write_text("tiny==3.0\n")
    done, answer = desk.replay("latest", "--env", str(lock))
    assert (done.exit_code, answer["verdict"]) == (3, "unreplayable")
    assert "uv cannot rebuild" in words(answer, "missing")


def test_an_environment_in_the_jobs_own_folder_is_built_again(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.folder / ".venv")
    desk.write("job.sh", "#!/bin/sh\n.venv/bin/python etl.py && python etl.py\n")
    path = f"{desk.folder}/.venv/bin:{desk.variables['PATH']}"
    workshop.record("./job.sh", PATH=path, VIRTUAL_ENV=f"{desk.folder}/.venv")
    exit_code, answer = workshop.replay("rebuilt")
    assert (exit_code, answer["verdict"]) == (0, "reproduced"), answer


def test_other_bytes_under_the_recorded_version_are_named(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    workshop.record(f"{desk.venv}/bin/python", "etl.py")
    workshop.publish(THRICE)
    exit_code, answer = workshop.replay("rebuilt")
    assert (exit_code, answer["verdict"]) == (1, "diverged")
    assert "package file tiny.py: not the recorded bytes" in answer["drift"]
    assert (desk.out / "out.txt").read_text() == "63"


def test_a_package_that_nobody_has_any_more_is_named_and_nothing_runs(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    workshop.record(f"{desk.venv}/bin/python", "etl.py")
    shutil.rmtree(workshop.wheels)
    workshop.wheels.mkdir()
    runs = desk.runs()
    exit_code, answer = workshop.replay("rebuilt")
    assert (exit_code, answer["verdict"], answer["replay_run_id"]) == (3, "unreplayable", None)
    assert "tiny==1.0" in words(answer, "missing")
    assert desk.runs() == runs


def test_a_run_without_python_has_nothing_to_rebuild(desk: Desk) -> None:
    desk.record("sh", "-c", "echo 1 > out.txt")
    done, answer = desk.replay("latest", "--rung", "rebuilt")
    assert (done.exit_code, answer["verdict"]) == (3, "unreplayable")
    assert "executed no Python" in words(answer, "missing")


# --- here


def test_a_shell_job_runs_in_a_fresh_folder_after_its_own_is_emptied(desk: Desk) -> None:
    desk.write("raw/in.csv", "3\n1\n2\n")
    desk.write("job.sh", "#!/bin/sh\nsort raw/in.csv > out.csv\nrm raw/in.csv\nmkdir made\necho done\n")
    done = desk.record("./job.sh")
    assert done.exit_code == 0
    desk.clear()
    ruins = desk.ruins()
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"], answer["rung"]) == (0, "reproduced", "here"), answer
    judged = {output["name"]: output["verdict"] for output in answer["outputs"]}
    assert judged.keys() >= {"out.csv", "raw/in.csv", "made", "stdout", "exit-code"}
    assert (desk.out / "out.csv").read_text() == "1\n2\n3\n"
    assert desk.ruins() == ruins
    assert "programs, libraries and packages are this machine's" in words(answer, "not_isolated")


def test_streams_that_were_files_are_files_again(desk: Desk) -> None:
    desk.write("in.csv", "3\n1\n")
    log = desk.base / "elsewhere.log"
    command = [desk.person.reenact, "run", "--", "sort"]
    done = desk.execute(["sh", "-c", f'"$@" < in.csv > out.csv 2>> {log}', "sh", *command])
    assert done.exit_code == 0
    desk.clear()
    before = log.read_bytes()
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"]) == (0, "reproduced"), answer
    assert (desk.out / "out.csv").read_text() == "1\n3\n"
    assert log.read_bytes() == before


@pytest.mark.parametrize("rung", ["world", "here"])
@pytest.mark.parametrize(
    ("script", "size"),
    [("sort > out.txt", 1_000_000), ("head -c 70000 > out.txt", 300_000), ("read a; cat > out.txt", 10)],
    ids=["all of much", "some of much", "little"],
)
def test_a_pipe_of_any_length_is_given_to_the_job_again(desk: Desk, rung: str, script: str, size: int) -> None:
    data = b"".join(b"%07d\n" % (n * 7919 % 1_000_003) for n in range(size // 8 + 1))[:size] + b"\n"
    assert desk.record("sh", "-c", script, stdin=data).exit_code == 0
    made = (desk.folder / "out.txt").read_bytes()
    desk.clear()
    done, answer = desk.replay("latest", "--rung", rung)
    assert (done.exit_code, answer["verdict"]) == (0, "reproduced"), answer
    assert (desk.out / "out.txt").read_bytes() == made != b""


def test_a_rebuilt_environment_reads_the_recorded_pipe(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    code = "import sys, tiny; open('out.txt', 'w').write(str(sum(tiny.change(int(line)) for line in sys.stdin)))"
    data = b"".join(b"%d\n" % n for n in range(20_000))
    assert desk.record(f"{desk.venv}/bin/python", "-c", code, stdin=data).exit_code == 0
    shutil.rmtree(desk.venv)
    exit_code, answer = workshop.replay("rebuilt")
    assert (exit_code, answer["verdict"]) == (0, "reproduced"), answer
    assert (desk.out / "out.txt").read_text() == str(20_000 * 19_999)


def test_todays_programs_are_used_and_what_they_change_is_seen(desk: Desk) -> None:
    tool = desk.base / "toolbox" / "bin" / "convert"
    tool.parent.mkdir(parents=True)
    variables = {"PATH": f"{tool.parent}:{PATH}"}
    for verdict, script in (("reproduced", "tr a b"), ("diverged", "tr a c")):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        if verdict == "reproduced":
            desk.own(tool.parent)
            desk.write("in.txt", "banana\n")
            assert desk.record("sh", "-c", "convert < in.txt > out.txt", variables=variables).exit_code == 0
        done = desk.reenact("replay", "latest", "--rung", "here", "--json", variables=variables)
        assert done.json()["verdict"] == verdict, done.json()
    assert [o["name"] for o in done.json()["outputs"] if o["verdict"] == "different"] == ["out.txt"]


def test_a_file_read_outside_the_folder_that_the_record_does_not_have_is_named(desk: Desk) -> None:
    extra = desk.base / "extra"
    desk.write("in.txt", "1\n")
    desk.record("sh", "-c", f"cat in.txt {extra} > out.txt 2> /dev/null; true")
    extra.write_bytes(b"")
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"]) == (1, "diverged")
    assert {output["verdict"] for output in answer["outputs"]} == {"identical"}
    assert f"{extra}: read" in words(answer, "unrecorded")


def test_a_dry_run_keeps_neither_run_nor_folder(desk: Desk) -> None:
    desk.record("sh", "-c", "echo 1 > out.txt")
    runs = desk.runs()
    done, answer = desk.replay("latest", "--rung", "here", "--dry-run")
    assert (done.exit_code, answer["verdict"], answer["replay_run_id"]) == (0, "reproduced", None)
    assert desk.runs() == runs


# --- refusals


def test_everything_that_leads_out_of_the_folder_is_named_at_once_and_nothing_runs(desk: Desk) -> None:
    desk.write("in.txt", "1\n")
    desk.write("job.sh", f"cat in.txt '{desk.base}/other.txt' > {desk.folder}/out.txt\ncp in.txt $1/copy.txt\n")
    (desk.base / "other.txt").write_text("2\n")
    variables = {"TARGET": f"dir={desk.folder}"}
    done = desk.record("sh", "job.sh", str(desk.base), f"--to={desk.folder}", variables=variables)
    assert done.exit_code == 0, done.stderr.decode()
    (desk.base / "copy.txt").unlink()
    shutil.rmtree(desk.folder / "out.txt", ignore_errors=True)
    before, runs = desk.ruins(), desk.runs()
    named = (
        f"reads {desk.base}/other.txt",
        f"writes {desk.base}/copy.txt",
        "argument 3 has the recorded folder",
        "variable TARGET has the recorded folder",
        "job.sh has the recorded folder",
    )
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"]) == (3, "unreplayable")
    assert all(reason in words(answer, "missing") for reason in named), answer
    planned = desk.reenact("plan", "latest", "--rung", "here")
    assert planned.exit_code == 3
    assert all(reason in planned.stdout.decode() for reason in named)
    assert not (desk.base / "copy.txt").exists()
    assert (desk.ruins(), desk.runs()) == (before, runs)


def test_another_name_of_the_folder_leads_out_of_it_too(desk: Desk) -> None:
    alias = desk.base / "alias"
    alias.symlink_to(desk.folder.name)
    desk.write("in.txt", "1\n")
    assert desk.record("cp", "in.txt", f"{alias}/out.txt").exit_code == 0
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"]) == (3, "unreplayable")
    assert f"argument 2 has the recorded folder {alias} in it" in words(answer, "missing")


def test_a_job_that_finds_its_old_folder_by_itself_is_not_said_to_be_reproduced(desk: Desk) -> None:
    desk.write("in.txt", "1\n")
    above, _, name = str(desk.folder).rpartition("/")
    desk.write("job.sh", f'above={above}\ncp in.txt "$above/{name}/out.txt"\n')
    assert desk.record("sh", "job.sh").exit_code == 0
    done, answer = desk.replay("latest", "--rung", "here")
    assert (done.exit_code, answer["verdict"]) == (1, "diverged")
    assert f"{desk.folder}/out.txt: used in the recorded folder itself" in words(answer, "unrecorded")
    assert [o["verdict"] for o in answer["outputs"] if o["name"] == "out.txt"] == ["missing"]


# --- auto


def test_auto_takes_the_world_where_it_can(desk: Desk) -> None:
    desk.record("sh", "-c", "echo 1 > out.txt")
    done, answer = desk.replay("latest", "--rung", "auto")
    assert (done.exit_code, answer["rung"], answer["passed_over"]) == (0, "world", [])


def test_auto_says_why_it_passed_a_rung_over(desk: Desk) -> None:
    desk.write("in.txt", "1\n")
    desk.record("sh", "-c", "cat in.txt > out.txt", variables=DESCRIBED)
    desk.clear()
    done, answer = desk.replay("latest", "--rung", "auto")
    assert (done.exit_code, answer["rung"], answer["verdict"]) == (0, "here", "reproduced"), answer
    assert "world: the environment was described, not sealed" in words(answer, "passed_over")
    assert "rebuilt: the run executed no Python" in words(answer, "passed_over")
    printed = desk.reenact("replay", "latest", "--rung", "auto").stdout.decode()
    assert "higher rung not possible: world" in printed


def test_auto_rebuilds_a_described_environment(workshop: Workshop) -> None:
    desk = workshop.desk
    workshop.environment(desk.venv)
    workshop.record(f"{desk.venv}/bin/python", "etl.py", **DESCRIBED)
    shutil.rmtree(desk.venv)
    exit_code, answer = workshop.replay("auto")
    assert (exit_code, answer["rung"], answer["verdict"]) == (0, "rebuilt", "reproduced"), answer
    assert "tiny==1.0; only the versions are the same" in words(answer, "not_isolated")


def test_auto_names_every_rungs_reasons_when_none_is_possible(desk: Desk) -> None:
    (desk.base / "other.txt").write_text("2\n")
    desk.record("cat", f"{desk.base}/other.txt", variables=DESCRIBED)
    done, answer = desk.replay("latest", "--rung", "auto")
    assert (done.exit_code, answer["verdict"], answer["rung"]) == (3, "unreplayable", None)
    for rung in ("world", "rebuilt", "here"):
        assert f"{rung}: " in words(answer, "missing")
