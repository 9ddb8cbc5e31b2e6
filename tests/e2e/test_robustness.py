"""When the world around a recording is hostile: the job's exit status stands, a clear message is given, nothing is lost."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.checks import assert_replays, check_reproduced
from tests.e2e.desk import Desk, Done
from tests.e2e.jobs import Job

EXITS_WITH_5 = ("sh", "-c", "cat in.csv; sort in.csv > out.csv; exit 5")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@contextmanager
def mounted(place: Path, size: str) -> Iterator[Path]:
    """Mount a small file system."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def assert_job_was_not_disturbed(desk: Desk, done: Done) -> None:
    """The job's output, file and exit status are its own."""
    assert done.exit_code == 5, done.stderr.decode()
    assert done.stdout == b"b\na\n"
    assert (desk.folder / "out.csv").read_bytes() == b"a\nb\n"


def assert_told(done: Done, *words: str) -> None:
    """One message of ours, that says what is wrong, and no traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    assert any(word in text for word in words), text


def test_a_store_that_cannot_be_written(desk: Desk) -> None:
    if desk.person.uid == 0:
        pytest.skip("root may write everywhere; the ordinary user's case shows it")
    desk.write("in.csv", "b\na\n")
    desk.variables["REENACT_STORE"] = "/proc/store"
    done = desk.record(*EXITS_WITH_5)
    assert_job_was_not_disturbed(desk, done)
    assert_told(done, "/proc/store")


def test_a_store_that_became_read_only_still_replays(desk: Desk) -> None:
    desk.write("in.csv", "b\na\n")
    assert_job_was_not_disturbed(desk, desk.record(*EXITS_WITH_5))
    if desk.person.uid == 0:
        # Permissions do not stop root; a read-only mount does.
        subprocess.run(["mount", "--bind", desk.store, desk.store], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", desk.store], check=True)
    else:
        for path in [desk.store, *desk.store.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
    try:
        done = desk.record(*EXITS_WITH_5)
        assert_job_was_not_disturbed(desk, done)
        assert_told(done, str(desk.store), "read-only", "ermission")
        assert len(desk.runs()) == 1
        assert desk.reenact("verify", "--all").exit_code == 0
        assert desk.reenact("plan", "latest").exit_code == 0
        answer = desk.reenact("replay", "latest", "--dry-run", "--json")
        assert (answer.exit_code, answer.json()["verdict"]) == (0, "reproduced")
    finally:
        if desk.person.uid == 0:
            subprocess.run(["umount", desk.store], check=True)
        else:
            for path in [desk.store, *desk.store.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)


@as_root
def test_a_store_on_another_file_system(desk: Desk) -> None:
    desk.write("in.csv", "b\na\n")
    desk.write("log.txt", "first\n")
    with mounted(desk.base / "elsewhere", "200m") as place:
        desk.own(place)
        desk.store = place / "store"
        desk.variables["REENACT_STORE"] = str(desk.store)
        # An update in place and a rename over an old file: their earlier bytes cannot be had by a link or a clone here.
        job = Job(
            name="across",
            argv=("sh", "-c", "echo more >> log.txt; sort in.csv > t; mv t in.csv; sed -i s/m/M/ log.txt"),
        )
        effect = desk.perform(job, recorded=True)
        desk.vandalise()
        assert_replays(desk, effect)


@as_root
@pytest.mark.parametrize("size", ["64k", "1m", "3m"])
def test_a_full_disk(my_desk: Desk, size: str) -> None:
    desk = my_desk
    desk.write("in.csv", "b\na\n")
    desk.write("big.bin", os.urandom(4_000_000))
    with mounted(desk.base / "full", size) as place:
        desk.store = place / "store"
        desk.variables["REENACT_STORE"] = str(desk.store)
        done = desk.record("sh", "-c", f"wc -c < big.bin > size.txt; {EXITS_WITH_5[2]}")
        assert_job_was_not_disturbed(desk, done)
        assert_told(done, "space", "full")
        assert desk.runs() == []
        subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
        # What the failed recording left is no obstacle.
        assert desk.record("true").exit_code == 0
        assert desk.reenact("verify", "--all").exit_code == 0


def test_a_work_folder_that_cannot_be_written(desk: Desk) -> None:
    place = desk.base / "locked"
    place.mkdir(mode=0o755)
    (place / "in.csv").write_text("b\na\n")
    if desk.person.uid == os.geteuid():
        place.chmod(0o555)
    del desk.variables["REENACT_STORE"]  # so that the store would be made in the work folder
    done = desk.record("sh", "-c", "cat in.csv; exit 5", cwd=place)
    place.chmod(0o755)
    assert (done.exit_code, done.stdout) == (5, b"b\na\n")
    if desk.person.uid != 0:
        assert_told(done, str(place))


def test_a_home_that_cannot_be_written(desk: Desk) -> None:
    desk.write("in.csv", "b\na\n")
    for variable in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        desk.variables[variable] = "/proc/nowhere"
    assert_job_was_not_disturbed(desk, desk.record(*EXITS_WITH_5))
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)


def test_a_key_that_others_can_read(desk: Desk) -> None:
    """Found out when the recorder is there already: the job runs without it, and finds no child that it did not start."""
    desk.write("in.csv", "b\na\n")
    job = ("sh", "-c", "cat in.csv; sort in.csv > out.csv; cat /proc/$$/task/$$/children > children; exit 5")
    assert_job_was_not_disturbed(desk, desk.record(*job))
    for key in desk.home.rglob("*.fingerprint"):
        key.chmod(0o644)
    done = desk.record(*job)
    assert_job_was_not_disturbed(desk, done)
    assert_told(done, "not yours alone")
    assert len((desk.folder / "children").read_text().split()) == 1  # cat
    assert len(desk.runs()) == 1


def test_no_home_and_almost_no_variables(desk: Desk) -> None:
    desk.write("in.csv", "b\na\n")
    desk.variables = {"PATH": desk.variables["PATH"], "REENACT_STORE": str(desk.store)}
    assert_job_was_not_disturbed(desk, desk.record(*EXITS_WITH_5))
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)


def test_a_clock_that_was_set_back(my_desk: Desk) -> None:
    """The newest run in the store is of the future; the next must be found as the latest all the same."""
    desk = my_desk
    desk.write("in.csv", "b\na\n")
    assert desk.record("sh", "-c", "sort in.csv > out.csv").exit_code == 0
    first = desk.runs()[0]
    future = f"0fff{first[4:]}"
    folder = desk.store / "runs" / future
    # A run of a machine whose clock is centuries ahead; it does not verify (its name is not in its bundle), and must not matter.
    folder.mkdir()
    for path in (desk.store / "runs" / first).rglob("*"):
        target = folder / path.relative_to(desk.store / "runs" / first)
        target.mkdir(parents=True, exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    assert desk.record(*EXITS_WITH_5).exit_code == 5
    assert len(desk.runs()) == 3
    assert desk.reenact("verify", first).exit_code == 0
    assert desk.reenact("verify", future).exit_code == 4
    listed = desk.reenact("runs", "--json")
    assert listed.exit_code in {0, 4}
    assert first in listed.stdout.decode()


@pytest.mark.slow
def test_a_hundred_thousand_files(my_desk: Desk) -> None:
    desk = my_desk
    for folder in range(100):
        place = desk.folder / "raw" / f"{folder:02}"
        place.mkdir(parents=True)
        for number in range(1000):
            (place / f"{number:03}.txt").write_bytes(b"%d %d\n" % (folder, number))
    script = "import os\nn = sum(int(open(os.path.join(d, f)).read().split()[1]) for d, _, fs in os.walk('raw') for f in fs)\nopen('sum.txt', 'w').write(str(n))\n"
    done = desk.record(desk.person.python, "-c", script)
    assert done.exit_code == 0
    assert (desk.folder / "sum.txt").read_text() == str(100 * sum(range(1000)))
    assert (
        sum(artifact["name"].startswith("raw/") and "read" in artifact["access"] for artifact in desk.show()["inputs"])
        == 100_000
    )
    desk.clear()
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)
    assert (desk.out / "sum.txt").read_text() == str(100 * sum(range(1000)))


@pytest.mark.slow
def test_an_input_of_five_gibibytes_in_bounded_memory(my_desk: Desk) -> None:
    desk = my_desk
    big = desk.folder / "big.bin"
    with big.open("wb") as file:
        file.truncate(5 * 2**30)
        for place in (0, 2**32 + 1, 5 * 2**30 - 3):
            file.seek(place)
            file.write(b"abc")
    script = "import os\nf = os.open('big.bin', 0)\nopen('out.txt', 'wb').write(b''.join(os.pread(f, 3, p) for p in (0, 2**32 + 1, 5 * 2**30 - 3)))\n"

    def limited() -> None:
        # Address space, not resident size: nothing else can be limited; a program that maps or reads it whole fails.
        resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))

    done = desk.record(desk.person.python, "-c", script, preexec_fn=limited)
    assert done.exit_code == 0, done.stderr.decode()
    assert [output["name"] for output in desk.show()["outputs"]] == ["out.txt"]
    assert sum(path.stat().st_blocks * 512 for path in desk.store.rglob("*")) < 2**29
    big.unlink()
    done, answer = desk.replay()
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)
    assert (desk.out / "out.txt").read_bytes() == b"abc" * 3


@pytest.mark.slow
def test_many_processes_and_threads_at_once(desk: Desk) -> None:
    script = """
import subprocess, sys, threading
def work(i):
    for k in range(20):
        with open(f"out/{i}-{k}.txt", "w") as f: f.write(str(i * k))
        with open(f"out/{i}-{k}.txt") as f: assert f.read() == str(i * k)
threads = [threading.Thread(target=work, args=(i,)) for i in range(100)]
children = [subprocess.Popen(["sh", "-c", f"for i in 1 2 3; do echo {n} >> out/child-{n}; done"]) for n in range(30)]
[t.start() for t in threads]; [t.join() for t in threads]
sys.exit(max(child.wait() for child in children))
"""
    job = Job(
        name="crowd",
        argv=("@python", "crowd.py"),
        files={"crowd.py": script},
        prepare="mkdir out",
        makes=("out/99-19.txt", "out/child-29"),
    )
    check_reproduced(desk, job)


@pytest.mark.parametrize("content", ["[store]\nlocation = 3\n", "not toml ["])
def test_settings_that_cannot_be_used_stop_before_the_job(desk: Desk, content: str) -> None:
    desk.write("reenact.toml", content)
    done = desk.record("sh", "-c", "echo ran > ran.txt")
    assert done.exit_code == 2
    assert_told(done, "reenact.toml")
    assert not (desk.folder / "ran.txt").exists()
