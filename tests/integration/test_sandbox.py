"""What a process in the closed world can see, do and become; as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from reenact.errors import SandboxError
from reenact.replay.conditions import Conditions, conditions_of
from reenact.replay.mounts import View
from reenact.replay.probe import probe, ways
from tests.worlds import Record, entry, run_in, start_in


@pytest.fixture(params=ways())
def record(request: pytest.FixtureRequest) -> Record:
    """Give a record with a shell in it, for each way of making a world that this user has."""
    made = Record()
    made.modes = [request.param]
    made.program("sh")
    return made


def shell(record: Record, folder: Path, script: str, **more: object) -> str:
    ended = record.run(folder, record_shell(record), "-c", script, **more)
    assert ended.status == 0, ended
    return ended.stdout


def record_shell(record: Record) -> str:
    return record.program("sh")


def test_only_what_was_recorded_is_there(record: Record, tmp_path: Path) -> None:
    record.program("ls")
    record.input("a.csv", b"1,2\n")
    assert shell(record, tmp_path, "ls /data/job; ls /").split() == [
        "a.csv",
        *sorted({"data", "dev", "proc", "tmp"} | top(record)),
    ]


def top(record: Record) -> set[str]:
    return {path.split("/")[1] for path in record.environment}


def test_inputs_are_at_their_paths_with_their_bytes_and_times(record: Record, tmp_path: Path) -> None:
    record.program("cat")
    record.program("stat")
    record.input("deep/er/a.csv", b"1,2\n", mode=0o640)
    out = shell(
        record, tmp_path, "cat /data/job/deep/er/a.csv; stat -c '%a %s %y' deep/er/a.csv; pwd", variables={"TZ": "UTC0"}
    )
    assert out == "1,2\n640 4 2023-11-14 22:13:20.123456789 +0000\n/data/job\n"


def test_writes_reach_nothing_outside_the_upper_layer(record: Record, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    record.input(str(outside), b"recorded", "updated")
    record.output("result", b"")
    ended = record.run(tmp_path, record_shell(record), "-c", f"echo more >> {outside}; echo out > result")
    assert (ended.status, ended.stderr) == (0, "")
    assert outside.read_text() == "untouched"
    assert ended.changed[str(outside)] == "recordedmore\n"
    assert ended.changed["/data/job/result"] == "out\n"


def test_a_second_world_does_not_see_what_the_first_wrote(record: Record, tmp_path: Path) -> None:
    record.input("a", b"1", "updated")
    record.output("b", b"2")
    assert shell(record, tmp_path, "echo x > a; echo y > b") == ""
    assert shell(record, tmp_path, 'read line < a; echo "$line"; test -e b || echo fresh') == "1\nfresh\n"


def test_there_is_no_network_but_loopback(record: Record, tmp_path: Path) -> None:
    record.program("cat")
    devices = shell(record, tmp_path, "cat /proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_process_ids_and_names_are_the_worlds_own(record: Record, tmp_path: Path) -> None:
    record.program("uname")
    record.launch["hostname"] = "recorder.example"
    assert shell(record, tmp_path, "echo $$ $PPID; uname -n") == "2 1\nrecorder.example\n"


def test_devices_work(record: Record, tmp_path: Path) -> None:
    record.program("head")
    record.program("wc")
    script = (
        "echo gone > /dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; "
        "echo shared > /dev/shm/x; read line < /dev/shm/x; echo $line; echo by descriptor >> /dev/stdout; test -c /dev/ptmx"
    )
    assert shell(record, tmp_path, script) == "3\n5\nshared\nby descriptor\n"


def test_shared_memory_files_of_the_record_are_there(record: Record, tmp_path: Path) -> None:
    record.input("/dev/shm/table", b"rows")
    record.output("/dev/shm/result", b"")
    ended = record.run(tmp_path, record_shell(record), "-c", "read x < /dev/shm/table; echo $x > /dev/shm/result")
    assert ended.changed["/dev/shm/result"] == "rows\n"


def test_temporary_folder_is_writable(record: Record, tmp_path: Path) -> None:
    assert shell(record, tmp_path, "echo x > /tmp/scratch; test -k /tmp && echo sticky") == "sticky\n"


def test_a_changed_folder_can_be_renamed(record: Record, tmp_path: Path) -> None:
    """A folder of an overlay's lower layer cannot: the program would see EXDEV, as it did not when it was recorded."""
    record.program("mv")
    record.input("old", None, "deleted", kind="directory", mode=0o755)
    record.input("old/a", b"a", "deleted")
    record.input("old/sub", None, "deleted", kind="directory", mode=0o755)
    record.input("script.pl", b"rename 'old', 'new' or die $!")
    record.program("perl")
    assert shell(record, tmp_path, "perl script.pl; read x < new/a; echo $x; test -e old || echo gone") == "a\ngone\n"


def test_a_renamed_folder_of_the_environment_is_gone_from_its_old_place(record: Record, tmp_path: Path) -> None:
    record.program("perl")
    record.environment["/opt/tool"] = entry("/opt/tool", "directory")
    record.environment["/opt/tool/kept"] = entry("/opt/tool/kept", need="content", digest=record.objects.add(b"k"))
    record.input("/opt/tool", None, "deleted", kind="directory")
    record.input("script.pl", b"rename '/opt/tool', '/opt/moved' or die $!")
    assert shell(
        record, tmp_path, "perl script.pl; read x < /opt/moved/kept; echo $x; test -e /opt/tool || echo gone"
    ) == ("k\ngone\n")


def test_hard_links_stay_one_file_when_one_name_is_changed(record: Record, tmp_path: Path) -> None:
    record.input("a", b"before", "updated", link="/data/job/a")
    record.input("b", b"before", link="/data/job/a")
    assert shell(record, tmp_path, "echo after > a; read x < b; echo $x") == "after\n"


def test_the_recorded_conditions_are_taken(record: Record, tmp_path: Path) -> None:
    record.launch |= {"umask": 0o027, "limits": {"nofile": (64, 128), "RLIMIT_CORE": (0, 0), "nonsense": (1, 1)}}
    out = shell(record, tmp_path, "umask; ulimit -Sn; ulimit -Hn; ulimit -c")
    assert out == "0027\n64\n128\n0\n"


def test_the_recorded_user_is_seen(record: Record, tmp_path: Path) -> None:
    record.program("id")
    record.launch |= {"uid": 4242, "gid": 4343, "groups": ()}
    record.output("mine", b"")
    assert shell(record, tmp_path, "id -u; id -g; echo x > mine") == "4242\n4343\n"


def test_an_ordinary_user_can_change_no_more_than_when_recorded(record: Record, tmp_path: Path) -> None:
    """In a user namespace root's folders belong to the user; the job must neither write there nor see other modes."""
    record.program("stat")
    record.launch |= {"uid": 4242, "gid": 4343}
    record.output("mine", b"")
    usr = os.stat("/usr").st_mode & 0o7777
    script = (
        "echo x > mine; echo x > /usr/stray || echo refused; stat -c %a /usr; (echo x >> /usr/bin/sh) || echo refused"
    )
    assert shell(record, tmp_path, script) == f"refused\n{usr:o}\nrefused\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take other groups")
def test_root_takes_the_recorded_groups_and_loses_its_powers(tmp_path: Path) -> None:
    record = Record()
    record.program("id")
    record.launch |= {"uid": 4242, "gid": 4343, "groups": (4343, 4444)}
    record.input("secret", b"x", uid=0, gid=0, mode=0o600)
    out = shell(record, tmp_path, "id -G; read x < secret 2>/dev/null || echo denied")
    assert out == "4343 4444\ndenied\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user cannot write there anyway")
def test_root_cannot_change_the_machines_kernel_settings(tmp_path: Path) -> None:
    before = Path("/proc/sys/vm/swappiness").read_text()
    record = Record()
    ended = record.run(tmp_path, record_shell(record), "-c", "echo 1 > /proc/sys/vm/swappiness")
    assert ended.status != 0
    assert Path("/proc/sys/vm/swappiness").read_text() == before


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_the_exit_status_passes(record: Record, tmp_path: Path, code: int) -> None:
    assert record.run(tmp_path, record_shell(record), "-c", f"exit {code}").status == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT", "SIGABRT", "SIGSEGV", "SIGPIPE"])
def test_an_end_by_signal_passes(record: Record, tmp_path: Path, name: str) -> None:
    ended = record.run(tmp_path, record_shell(record), "-c", f"kill -{name[3:]} $$; exit 99")
    assert ended.status == -signal.Signals[name].value


def test_what_outlives_the_main_process_may_finish(record: Record, tmp_path: Path) -> None:
    record.program("sleep")
    record.output("late", b"")
    ended = record.run(tmp_path, record_shell(record), "-c", "(sleep 0.2; echo done > late) & exit 3")
    assert (ended.status, ended.changed["/data/job/late"]) == (3, "done\n")


def test_what_never_ends_is_killed_after_the_limit(record: Record, tmp_path: Path) -> None:
    record.program("sleep")
    with record.open(tmp_path) as world:
        conditions = conditions_of(record.bundle().launch)
        ended = run_in(
            world.view, conditions, record_shell(record), "-c", "sleep 1000 & exit 4", variables={}, linger_seconds=0.1
        )
    assert ended.status == 4


@pytest.fixture
def start(record: Record, tmp_path: Path) -> Iterator[Callable[..., tuple[int, IO[bytes]]]]:
    """Give a function that starts a script in a world; it returns the attendant's id and the job's output."""
    program = record_shell(record)
    record.program("sleep")
    with record.open(tmp_path) as world, contextlib.ExitStack() as stack:

        def start(script: str, **more: float) -> tuple[int, IO[bytes]]:
            read_end, write_end = os.pipe()
            output = stack.enter_context(open(read_end, "rb"))
            conditions = conditions_of(record.bundle().launch)
            try:
                child = start_in(
                    world.view, conditions, program, "-c", script, variables={}, out=write_end, err=2, **more
                )
            finally:
                os.close(write_end)
            return child, output

        yield start


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_reader_of_the_jobs_output_sees_its_end(start: Callable[..., tuple[int, IO[bytes]]]) -> None:
    """Neither the attendant nor pid 1 may hold the job's pipe, or a process that lingers would keep the reader waiting."""
    child, output = start("echo out; sleep 1000 >&- 2>&- & exit 0", linger_seconds=600)
    assert output.read() == b"out\n"
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL


def test_signals_sent_to_the_attendant_reach_the_job(start: Callable[..., tuple[int, IO[bytes]]]) -> None:
    child, output = start('trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.05; done')
    assert output.readline() == b"ready\n"
    os.kill(child, signal.SIGTERM)
    assert output.read() == b"caught\n"
    assert status_of(child) == 5


def test_everything_dies_with_the_attendant(start: Callable[..., tuple[int, IO[bytes]]]) -> None:
    child, output = start("sleep 1000")
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL
    assert output.read() == b""  # the job's end of it is closed: it is dead


def test_a_missing_working_folder_is_named(record: Record, tmp_path: Path) -> None:
    with record.open(tmp_path) as world:
        conditions = replace(conditions_of(record.bundle().launch), cwd="/not/recorded")
        with pytest.raises(SandboxError, match="/not/recorded"):
            run_in(world.view, conditions, "/bin/true", variables={})


def test_a_refused_mount_is_named(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "mount"):
        (tmp_path / name).mkdir()
    view = View(
        lowers=(str(tmp_path / "lower"),),
        upper=str(tmp_path / "upper"),
        work="/proc",
        mount_point=str(tmp_path / "mount"),
        user_namespace=ways()[0] == "user",
    )
    conditions = Conditions(
        uid=os.geteuid(), gid=os.getegid(), groups=(), cwd="/", umask=0, hostname="x", limits={}, affinity=()
    )
    with pytest.raises(SandboxError, match="mount overlay on"):
        run_in(view, conditions, "/bin/true", variables={})


def test_probe_finds_a_way_here(tmp_path: Path) -> None:
    found = probe(tmp_path)
    assert found.require() == (ways()[0], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_probe_goes_to_memory_when_the_folder_cannot_carry_an_upper_layer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = probe(tmp_path / "file")
    assert found.scratch == Path("/dev/shm")
    assert "file" in found.reasons[0]


def test_what_a_killed_replay_leaves_behind_is_deleted_by_a_later_one(record: Record, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with record.open(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL
    (left,) = tmp_path.glob(".tmp-*")
    os.utime(left, ns=(1, 1))
    with record.open(tmp_path):
        (present,) = tmp_path.glob(".tmp-*")
        assert present != left
    assert list(tmp_path.glob(".tmp-*")) == []
