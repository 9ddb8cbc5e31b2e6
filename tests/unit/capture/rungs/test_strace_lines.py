"""What strace writes, as it wrote it, and what is read from it."""

from __future__ import annotations

import os

import pytest

from reenact.capture.rungs.strace_lines import Call, Ended, Lines, Replaced, annotation, flags_of, text, words


def one(*lines: bytes) -> Call:
    reader = Lines()
    found = [reader.read(line) for line in lines][-1]
    assert isinstance(found, Call)
    return found


def test_a_call_with_the_paths_behind_its_descriptors() -> None:
    call = one(rb'17  openat(AT_FDCWD</home/a>, "x.csv", O_RDONLY|O_CLOEXEC) = 3</home/a/x.csv>')
    assert (call.thread, call.name, call.result, call.error, call.where) == (17, "openat", 3, "", "/home/a/x.csv")
    assert [annotation(call.arguments[0]), text(call.arguments[1])] == ["/home/a", "x.csv"]
    assert flags_of(call.arguments[2]) == os.O_RDONLY | os.O_CLOEXEC


def test_a_call_that_failed() -> None:
    call = one(rb'17  openat(AT_FDCWD</>, "no", O_RDONLY) = -1 ENOENT (No such file or directory)')
    assert (call.result, call.error) == (-1, "ENOENT")


def test_names_with_every_kind_of_character() -> None:
    call = one(
        rb'7803  openat(AT_FDCWD</tmp/e>, "x <\303\251>, \")\" = 1\n.txt", O_RDONLY) = 3</tmp/e/x \74\303\251\76>'
    )
    assert text(call.arguments[1]) == 'x <é>, ")" = 1\n.txt'
    assert len(call.arguments) == 3
    assert call.where == "/tmp/e/x <é>"


def test_undecodable_bytes_survive() -> None:
    assert text(rb'"a\377\0011"') == os.fsdecode(b"a\xff\x011")


def test_two_halves_with_others_between() -> None:
    reader = Lines()
    assert reader.read(b"1  vfork( <unfinished ...>") is None
    assert reader.begun("clone", "vfork") == [1]
    assert reader.read(b'2  execve("/bin/cat", ["cat", "p"], 0x55 /* 35 vars */ <unfinished ...>') is None
    parent = reader.read(b"1  <... vfork resumed>)              = 2")
    child = reader.read(b"2  <... execve resumed>)             = 0")
    assert isinstance(parent, Call)
    assert isinstance(child, Call)
    assert (parent.name, parent.result) == ("vfork", 2)
    assert (child.name, child.result, words(child.arguments[1])) == ("execve", 0, [("cat", False), ("p", False)])
    assert reader.begun("vfork") == []


def test_the_other_half_of_nothing_is_nothing() -> None:
    assert Lines().read(b"1  <... openat resumed>)  = 3</x>") is None


def test_structures_are_one_argument() -> None:
    call = one(rb"9  clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0, stack={1, [2]}}, 88) = 10")
    assert len(call.arguments) == 2
    call = one(rb'9  connect(3<socket:[41]>, {sa_family=AF_UNIX, sun_path="/run/a,b"}, 110) = -1 ENOENT (No such file)')
    assert len(call.arguments) == 3


def test_a_thread_that_executes_takes_its_processs_number() -> None:
    reader = Lines()
    reader.read(b'12  execve("/bin/x", ["x"], 0x1 /* 1 var */ <unfinished ...>')
    assert reader.read(b"12  +++ superseded by execve in pid 11 +++") == Replaced(12, 11)
    call = reader.read(b"11  <... execve resumed>) = 0")
    assert isinstance(call, Call)
    assert call.thread == 11


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"5  +++ exited with 3 +++", Ended(5, 3, "")),
        (b"5  +++ killed by SIGKILL +++", Ended(5, None, "SIGKILL")),
        (b"5  +++ killed by SIGSEGV (core dumped) +++", Ended(5, None, "SIGSEGV")),
        (b"5  --- SIGCHLD {si_signo=SIGCHLD} ---", None),
        (b"5  exit_group(0) = ?", Call(5, "exit_group", [b"0"], None, "", "")),
        (b"5  getpid() = 5", Call(5, "getpid", [], 5, "", "")),
        (b"", None),
        (b"strace: something", None),
        (b'5  openat(AT_FDCWD</>, "cut', None),
    ],
)
def test_other_lines(line: bytes, expected: object) -> None:
    assert Lines().read(line) == expected


def test_every_cut_of_a_line_is_read_or_refused() -> None:
    whole = (
        rb'17  openat(AT_FDCWD</home/a>, "x\"\303\251.csv", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)'
    )
    for end in range(len(whole)):
        Lines().read(whole[:end])


def test_a_cut_word_is_known_as_cut() -> None:
    assert words(rb'["sh", "-c", "aaa"..., "b"]') == [("sh", False), ("-c", False), ("aaa", True), ("b", False)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"O_WRONLY|O_CREAT|O_TRUNC", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (b"O_RDONLY|0x40000000", 0x40000000),
        (b"0", 0),
        (b"O_RDONLY|O_NOT_KNOWN", 0),
        (b"AT_SYMLINK_NOFOLLOW", 0x100),
        (b"NULL", 0),
    ],
)
def test_flags(written: bytes, value: int) -> None:
    assert flags_of(written) == value


def test_a_removed_folder_keeps_its_name() -> None:
    assert annotation(b"4</tmp/x (deleted)>") == "/tmp/x"
    assert annotation(b"4</tmp/x>(deleted)") == "/tmp/x"


def test_what_has_no_path_has_none() -> None:
    assert annotation(b"4<socket:[12]>") == ""
    assert annotation(b"4") == ""
