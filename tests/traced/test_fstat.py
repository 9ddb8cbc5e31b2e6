"""The C library's fstat, which every open is followed by, is let through unheard, and nothing else is."""

from __future__ import annotations

import os
import platform
import select
import sys
import textwrap
from collections.abc import Iterator

import pytest

from reenact.capture.launch import launch
from reenact.capture.session import Command
from reenact.capture.trace import filter as filter_program
from reenact.capture.trace import libc, seccomp
from reenact.capture.trace.syscalls import NATIVE
from reenact.capture.trace.tracee import Memory

CALLS = textwrap.dedent("""
    import ctypes, os
    libc, buffer, folder = ctypes.CDLL(None), ctypes.create_string_buffer(256), os.open("/", os.O_RDONLY)
    os.fstat(folder)
    libc.fstatat(folder, b"named", buffer, 0x1000)
    libc.fstatat(-100, b"", buffer, 0x1000)
    os.fstat(folder)
    os.stat("last", dir_fd=folder) if os.path.exists("last") else None
""")


def has_such_an_fstat() -> bool:
    """Tell whether the C library is one of those whose fstat has an empty path, as far as its version tells."""
    library, version = platform.libc_ver()
    known = library == "glibc" and (2, 33) <= tuple(map(int, version.split(".")[:2])) < (2, 39)
    return known and os.uname().machine == "x86_64"


@pytest.fixture(autouse=True)
def listeners() -> None:
    """Go on only where listeners can be had, and with such a library."""
    if not has_such_an_fstat():
        pytest.skip("the C library's fstat takes no path, or is not known to")
    number = seccomp.probe(filter_program.build(empty_path=libc.empty_path_offset()))
    if number:
        pytest.skip(f"no listener here: {os.strerror(number)}")


def asked(argv: list[str]) -> Iterator[str]:
    """Give the paths a process asks newfstatat about, in order."""
    launched = launch(Command(argv=tuple(argv), environment={"LC_ALL": "C"}), {}, None, stdin=False, close=())
    launched.channel.send(b"go")
    launched.channel.close()
    assert NATIVE is not None
    number = dict(NATIVE.numbers)["newfstatat"]
    memory, buffer, poll = Memory(), bytearray(seccomp.NOTIFICATION_BYTES), select.poll()
    poll.register(launched.listener, select.POLLIN)
    while any(event & select.POLLIN for _, event in poll.poll()):
        if seccomp.receive(launched.listener, buffer):
            notification, thread, _, called, _, _, *arguments = seccomp.unpack(buffer)
            if called == number:
                yield memory.string(thread, arguments[1])
            seccomp.continue_call(launched.listener, notification)
    os.close(launched.listener)
    assert os.waitpid(launched.process, 0)[1] == 0


def test_fstat_is_not_heard_and_everything_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = [sys.executable, "-S", "-c", CALLS]
    heard = [*asked(argv)]
    monkeypatch.setattr(libc, "empty_path_offset", lambda: None)
    everything = [*asked(argv)]
    assert everything[-5:] == ["", "named", "", "", "last"]
    assert heard[-3:] == ["named", "", "last"]
    # What is left without a path is the program loader's own, which it was linked with.
    assert [path for path in heard if path] == [path for path in everything if path]
    assert heard.count("") < everything.count("") / 2
