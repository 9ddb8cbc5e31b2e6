"""Replays with one thing changed: what was changed is in force, nothing else is, and the record stays as it was."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.desk import Desk, Done
from tests.e2e.trees import tree

SCRIPT = """\
. ./lib.sh
limit=2
cat data/*.csv | awk -F, -v t="$limit" -v d="$2" -v w="${WHO:-nobody}" '$2 >= t { print $1, d, w }' > out.txt
fixed > same.txt
"""


def recorded(desk: Desk, *options: str) -> None:
    desk.write("job.sh", SCRIPT)
    desk.write("lib.sh", "fixed() { echo fixed; }\n")
    desk.write("data/a.csv", "ant,1\nbee,2\n")
    desk.write("data/b.csv", "cat,3\n")
    desk.age()
    done = desk.record(
        "sh", "job.sh", "--day", "1", options=("--job", "etl", "-p", "day=1", *options), variables={"WHO": "me"}
    )
    assert done.exit_code == 0, done.stderr


def what_if(desk: Desk, *options: str) -> tuple[Done, Any, str]:
    """Replay with a change; give also the output it made."""
    done, answer = desk.replay("etl", *options)
    made = desk.out / "out.txt"
    return done, answer, made.read_text() if made.exists() else ""


def levels(answer: Any) -> dict[str, str]:
    return {output["name"]: output["verdict"] for output in answer["outputs"]}


def test_other_code_of_a_folder_and_nothing_else_is_touched(my_desk: Desk) -> None:
    recorded(my_desk)
    other = my_desk.base / "other"
    shutil.copytree(my_desk.folder, other)
    (other / "job.sh").write_text(SCRIPT.replace("limit=2", "limit=3"))
    (other / "data" / "a.csv").write_text("dog,9\n")  # data, so it stays as recorded
    (other / "data" / "new.csv").write_text("eel,9\n")
    (my_desk.folder / "out.txt").unlink()
    before = (tree(my_desk.folder), tree(other), my_desk.reenact("show", "etl", "--json").json()["bundle"])
    done, answer, made = what_if(my_desk, "--code", str(other), "--junit", str(my_desk.base / "report.xml"))
    assert made == "cat 1 me\n"
    assert (done.exit_code, answer["verdict"], answer["variations"]) == (1, "changed", {"code": str(other)})
    outputs = {name: level for name, level in levels(answer).items() if name.endswith(".txt")}
    assert outputs == {"out.txt": "different", "same.txt": "identical"}
    assert answer["summary"].startswith(f"with code from {other}: 1 of 2 outputs unchanged, out.txt differs")
    assert any("data stays as recorded" in note and "data/a.csv" in note for note in answer["notes"])
    assert any("data/new.csv" in note for note in answer["notes"])
    shown = my_desk.reenact("show", "etl", "--json").json()
    assert before == (tree(my_desk.folder), tree(other), shown["bundle"])
    assert [v["variations"] for v in shown["verdicts"]] == [{"code": str(other)}]
    verified = my_desk.reenact("verify", "--all")
    assert verified.exit_code == 0, verified.stdout
    assert not list((my_desk.store / "writers").glob("*"))
    assert my_desk.reenact("runs", "--json").json()[-1]["verdict"] is None
    assert len(ET.parse(my_desk.base / "report.xml").findall(".//failure")) == 1
    # The record itself is replayed as ever.
    assert my_desk.replay("etl")[1]["verdict"] == "reproduced"


CHANGES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "another-input": (("--input", "data/a.csv={base}/given.csv"), "fox 1 me\ncat 1 me\n", "changed"),
    "parameter": (("-p", "day=7"), "bee 7 me\ncat 7 me\n", "changed"),
    "irrelevant-variable": (("--var", "OTHER=x"), "bee 1 me\ncat 1 me\n", "unchanged"),
}
MORE_CHANGES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "further-input": (("--input", "data/c.csv={base}/given.csv"), "bee 1 me\ncat 1 me\nfox 1 me\n", "changed"),
    "folder": (("--input", "data={base}/folder"), "gnu 1 me\n", "changed"),
    "variable": (("--var", "WHO=you"), "bee 1 you\ncat 1 you\n", "changed"),
    "no-variable": (("--unset", "WHO"), "bee 1 nobody\ncat 1 nobody\n", "changed"),
    "command": (("--command", "sh job.sh --day '2 3'"), "bee 2 3 me\ncat 2 3 me\n", "changed"),
    "two-things": (("--var", "WHO=you", "-p", "day=7"), "bee 7 you\ncat 7 you\n", "changed"),
}


def check(desk: Desk, changes: dict[str, tuple[tuple[str, ...], str, str]]) -> None:
    recorded(desk)
    (desk.base / "given.csv").write_text("fox,5\n")
    (desk.base / "folder" / "deep").mkdir(parents=True)
    (desk.base / "folder" / "z.csv").write_text("gnu,5\n")
    (desk.base / "folder" / "deep" / "x.csv").write_text("not listed\n")
    for name, (options, made, verdict) in changes.items():
        words = [word.format(base=desk.base) for word in options]
        done, answer, got = what_if(desk, *words, "--dry-run")
        assert (got, answer["verdict"]) == (made, verdict), (name, answer)
        assert done.exit_code == {"changed": 1, "unchanged": 0}[verdict]
    assert len(desk.runs()) == 1


def test_one_thing_is_changed(my_desk: Desk) -> None:
    check(my_desk, CHANGES)


@pytest.mark.slow
def test_one_thing_of_another_kind_is_changed(my_desk: Desk) -> None:
    check(my_desk, MORE_CHANGES)


REFUSED = (
    (("--input", "nothing.csv=/etc/hostname"), "read no input"),
    (("--input", "data/a.csv=/nowhere"), "not there"),
    (("-p", "month=1"), "no parameter"),
    (("--code", "v9"), "outside of any git repository"),
    (("--env", "nowhere"), "no environment"),
    (("--command", "'"), "No closing quotation"),
    (("--var", "A=1", "--rung", "here"), "closed world only"),
)


def test_what_cannot_be_changed_is_refused(my_desk: Desk) -> None:
    recorded(my_desk)
    for options, said in REFUSED:
        done = my_desk.reenact("replay", "etl", *options)
        assert (done.exit_code, said in done.stderr.decode()) == (2, True), (options, done.stderr)


def test_what_is_neither_recorded_nor_given_makes_it_unsure(my_desk: Desk) -> None:
    recorded(my_desk)
    my_desk.write("job.sh", SCRIPT + "cat notes.txt >> out.txt; tac out.txt > back.txt\n")
    my_desk.write("notes.txt", "not code\n")
    done, answer, _ = what_if(my_desk, "--code", str(my_desk.folder))
    assert (done.exit_code, answer["verdict"]) == (3, "unsure")
    assert any("notes.txt" in line for line in answer["unrecorded"])
    assert any("127" in line for line in answer["unrecorded"])
    my_desk.write("job.sh", SCRIPT + "cat notes.txt >> out.txt\n")
    folder = my_desk.folder
    _, answer, made = what_if(my_desk, "--code", str(folder), "--input", f"notes.txt={folder}/notes.txt", "--dry-run")
    assert (answer["verdict"], made) == ("changed", "bee 1 me\ncat 1 me\nnot code\n"), answer


def test_code_of_a_revision_with_modules_that_came_and_went(my_desk: Desk) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        done = my_desk.execute(["git", *identity, *words])
        assert done.exit_code == 0, done.stderr

    my_desk.write("etl.py", "import old\nopen('out.txt', 'w').write(old.text() + open('conf.ini').read())\n")
    my_desk.write("old.py", "def text(): return 'old '\n")
    my_desk.write("conf.ini", "one\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    done = my_desk.record(my_desk.person.python, "etl.py", options=("--job", "etl"))
    assert done.exit_code == 0, done.stderr
    git("rm", "-q", "old.py")
    my_desk.write("new/__init__.py", "from new import part\ndef text(): return part.TEXT\n")
    my_desk.write("new/part.py", "TEXT = 'new '\n")
    my_desk.write("conf.ini", "two\n")
    my_desk.write("etl.py", "import new as old\nopen('out.txt', 'w').write(old.text() + open('conf.ini').read())\n")
    git("add", ".")
    git("commit", "-q", "-m", "two")
    git("checkout", "-q", "HEAD~1")
    _, answer, made = what_if(my_desk, "--code", "master" if branch(my_desk) == "master" else "main")
    assert (answer["verdict"], made, answer["unrecorded"]) == ("changed", "new two\n", [])
    _, answer, made = what_if(my_desk, "--code", "HEAD")
    assert (answer["verdict"], made) == ("unchanged", "old one\n")
    assert any("the recorded code" in note for note in answer["notes"])


def branch(desk: Desk) -> str:
    listed = subprocess.run(["git", "branch", "--list", "master"], cwd=desk.folder, capture_output=True, check=True)
    return "master" if listed.stdout.strip() else "main"


@pytest.mark.slow
def test_another_environment_takes_the_place_of_the_recorded_one(my_desk: Desk) -> None:
    def package(place: Path, version: str) -> None:
        site = next((place / "lib").glob("python*")) / "site-packages"
        for old in site.glob("tiny*"):
            shutil.rmtree(old)
        (site / "tiny").mkdir()
        (site / "tiny" / "__init__.py").write_text(f"version = {version!r}\n")
        info = site / f"tiny-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        (info / "RECORD").write_text("tiny/__init__.py,,\n")

    for name, version in (("venv", "1"), ("newer", "2")):
        made = my_desk.execute([my_desk.person.python, "-m", "venv", "--without-pip", str(my_desk.base / name)])
        assert made.exit_code == 0, made.stderr
        package(my_desk.base / name, version)
    my_desk.write("etl.py", "import tiny\nopen('out.txt', 'w').write(tiny.version)\n")
    done = my_desk.record(str(my_desk.venv / "bin/python"), "etl.py", options=("--job", "etl"))
    assert done.exit_code == 0, done.stderr
    _, answer, made_text = what_if(my_desk, "--env", str(my_desk.base / "newer"))
    assert (answer["verdict"], made_text) == ("changed", "2"), answer
    shown = my_desk.show(answer["replay_run_id"])
    assert [d["version"] for d in shown["environment"]["distributions"] if d["name"] == "tiny"] == ["2"]
    package(my_desk.venv, "3")
    _, answer, made_text = what_if(my_desk, "--env", "current")
    assert (answer["verdict"], made_text) == ("changed", "3"), answer
    # The record is as it was.
    assert my_desk.replay("etl")[1]["verdict"] == "reproduced"


@pytest.mark.slow
def test_a_secret_that_is_given_reaches_the_job_and_nothing_else(my_desk: Desk) -> None:
    my_desk.write("job.sh", 'printf %s "${API_TOKEN:-none}" | wc -c > out.txt; echo "token $API_TOKEN"\n')
    assert my_desk.record("sh", "job.sh", options=("--job", "etl")).exit_code == 0
    secret = "s3cr3t-value-of-thirty-characters"
    done, answer, made = what_if(my_desk, "--var", f"API_TOKEN={secret}")
    assert made.strip() == str(len(secret))
    assert answer["variations"]["variable API_TOKEN"].startswith("a secret, ")
    assert secret not in done.stdout.decode()
    restored = my_desk.base / "restored"
    my_desk.reenact("restore", answer["replay_run_id"], "--to", str(restored))
    everything = my_desk.reenact("show", answer["replay_run_id"], "--json").stdout.decode()
    assert secret not in everything
    assert "API_TOKEN" in everything
    found = my_desk.execute(["grep", "-rlF", secret, str(my_desk.store)])
    assert found.stdout == b"", found.stdout


@pytest.mark.slow
def test_code_beside_the_jobs_own_folder_is_taken_from_the_same_clone(my_desk: Desk) -> None:
    my_desk.write("lib/u.sh", "f() { echo one; }\n")
    my_desk.write("jobs/etl/job.sh", ". ../../lib/u.sh; f > out.txt\n")
    my_desk.write("jobs/etl/reenact.toml", 'job = "etl"\n')
    script = "git init -q; git add .; git -c user.name=a -c user.email=a@example.com commit -q -m one; git clone -q . ../clone"
    assert my_desk.execute(["sh", "-ec", script]).exit_code == 0
    assert my_desk.record("sh", "job.sh", cwd=my_desk.folder / "jobs/etl").exit_code == 0
    (my_desk.base / "clone/lib/u.sh").write_text("f() { echo two; }\n")
    _, answer, made = what_if(my_desk, "--code", str(my_desk.base / "clone/jobs/etl"))
    assert (answer["verdict"], made) == ("changed", "two\n"), answer
