"""The tables of call numbers against the kernel's own headers, where the machine has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reenact.capture.trace.syscalls import _ARM, _X86, _X86_32, ABIS, CALLS, NATIVE, Abi

_FOLDERS = ["/usr/include/x86_64-linux-gnu", "/usr/include", "/usr/include/aarch64-linux-gnu"]
_DEFINE = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", re.MULTILINE)
_OLD = {"fstatat": "newfstatat", "fstatat64": "newfstatat"}
"""One call, called differently by the headers."""


def header(name: str) -> dict[str, int]:
    """Read the numbers of a header."""
    for folder in _FOLDERS:
        path = Path(folder, name)
        if path.exists():
            found = {call: int(number) for call, number in _DEFINE.findall(path.read_text())}
            if found:
                return found
    pytest.skip(f"this machine has no <{name}> with numbers in it")


def spellings(name: str) -> set[str]:
    """Give the names a call has in the headers of a 32-bit machine: with wider arguments it is another call."""
    return {name, f"{name}32", f"{name}64", f"{name}_time64"} | {old for old, new in _OLD.items() if new == name}


@pytest.mark.parametrize(
    ("abi", "file"),
    [(_X86, "asm/unistd_64.h"), (_X86_32, "asm/unistd_32.h"), (_ARM, "asm-generic/unistd.h")],
    ids=["x86_64", "i386", "aarch64"],
)
def test_the_numbers_are_the_kernels(abi: Abi, file: str) -> None:
    kernel: dict[int, set[str]] = {}
    for name, number in header(file).items():
        kernel.setdefault(number, set()).add(name)
    newest = max(kernel)
    wrong = {
        name: (number, kernel.get(number))
        for name, number in abi.numbers
        if number <= newest and not spellings(name) & kernel.get(number, set())
    }
    assert not wrong


@pytest.mark.parametrize(
    ("abi", "file"),
    [(_X86, "asm/unistd_64.h"), (_X86_32, "asm/unistd_32.h"), (_ARM, "asm-generic/unistd.h")],
    ids=["x86_64", "i386", "aarch64"],
)
def test_no_form_of_an_observed_call_is_left_out(abi: Abi, file: str) -> None:
    """stat64 beside stat, lchown32 beside lchown: each is a way around the other."""
    ours = {number for _, number in abi.numbers}
    names = {spelling for name in CALLS if name != "fstat" for spelling in spellings(name)}
    if abi is _ARM:
        names.discard("utimensat_time64")  # of the 32-bit machines that use the same header
    missed = {name: number for name, number in header(file).items() if name in names and number not in ours}
    assert missed == {}


def test_every_described_call_has_a_number_somewhere() -> None:
    known = {name for abi in (_X86, _X86_32, _ARM) for name, _ in abi.numbers}
    assert set(CALLS) <= known


def test_calls_that_name_two_paths_say_where_both_are() -> None:
    for name, call in CALLS.items():
        if call.kind in {"rename", "link"}:
            assert call.path >= 0, name
            assert call.path2 > call.path, name
            assert (call.folder2 >= 0) == (call.folder >= 0), name
        if call.folder >= 0 and call.path >= 0:
            assert call.path == call.folder + 1, name


def test_the_native_abi_comes_first() -> None:
    assert ABIS[:1] == ((NATIVE,) if NATIVE is not None else ())
