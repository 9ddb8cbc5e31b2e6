"""The filter program, run by an interpreter of ours for every call of every ABI."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest

from reenact.capture.trace.filter import PASSPORT_FLAGS, build
from reenact.capture.trace.syscalls import (
    _ARM,
    _X86,
    _X86_32,
    ABIS,
    CALLS,
    STAT_CALLS,
    STDIN_CALLS,
    Abi,
)

ALLOW, NOTIFY, ENOSYS = "allow", "notify", "ENOSYS"
_ANSWERS = {0x7FFF_0000: ALLOW, 0x7FC0_0000: NOTIFY, 0x0005_0000 | errno.ENOSYS: ENOSYS}
_X32_BIT = 0x4000_0000
_SWITCHES = [(False, False), (True, False), (False, True), (True, True)]
_MACHINES = [(_X86, _X86_32), (_ARM,)]
_EVERY = range(601)

Instruction = tuple[int, int, int, int]


def instructions(program: bytes) -> list[Instruction]:
    return list(struct.iter_unpack("=HBBI", program))


def run(program: list[Instruction], number: int, arch: int, arguments: tuple[int, ...] = ()) -> str:
    """Run a filter as the kernel would, with only the instructions it is made of."""
    data = struct.pack("=IIQ6Q", number & 0xFFFF_FFFF, arch, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            at += if_true if accumulator == value else if_false
        elif code == 0x35:
            at += if_true if accumulator >= value else if_false
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return _ANSWERS[value]
        else:
            raise AssertionError(f"the filter has an instruction {code:#x}")


@pytest.fixture(params=_MACHINES, ids=["x86", "arm"])
def abis(request: pytest.FixtureRequest) -> tuple[Abi, ...]:
    found: tuple[Abi, ...] = request.param
    return found


def expected(name: str | None, *, stdin: bool, stat: bool) -> str:
    """Say what becomes of a call whose arguments are all 0."""
    if name == "io_uring_setup":
        return ENOSYS
    if name is None or name == "sendto":  # sendto without an address: on a connected socket
        return ALLOW
    if name in STDIN_CALLS:
        return NOTIFY if stdin else ALLOW
    if name in STAT_CALLS:
        return NOTIFY if stat else ALLOW
    assert name in CALLS, name
    return NOTIFY


@pytest.mark.parametrize(("stdin", "stat"), _SWITCHES)
@pytest.mark.parametrize("empty_path", [None, 0xDD5])
def test_every_call_of_every_abi_gets_its_answer(
    abis: tuple[Abi, ...], stdin: bool, stat: bool, empty_path: int | None
) -> None:
    program = instructions(build(stdin=stdin, stat=stat, empty_path=empty_path, abis=abis))
    for abi in abis:
        names = {number: name for name, number in abi.numbers}
        for number in _EVERY:
            name = names.get(number)
            assert run(program, number, abi.audit_arch) == expected(name, stdin=stdin, stat=stat), (abi.name, name)


@pytest.mark.parametrize("abi", [_X86, _X86_32, _ARM], ids=lambda abi: abi.name)
def test_every_call_in_the_table_is_described(abi: Abi) -> None:
    assert {name for name, _ in abi.numbers} <= {*CALLS, "io_uring_setup"}
    numbers = [number for _, number in abi.numbers]
    assert len(numbers) == len(set(numbers))
    assert max(numbers) <= _EVERY[-1]


def test_x32_calls_are_refused_whatever_they_are() -> None:
    program = instructions(build(stdin=True, stat=True, abis=(_X86, _X86_32)))
    for number in (*_EVERY, 0x3FFF_FFFF):
        assert run(program, _X32_BIT | number, _X86.audit_arch) == ENOSYS
    assert run(program, -1, _X86.audit_arch) == ENOSYS
    assert run(program, _X32_BIT - 1, _X86.audit_arch) == ALLOW
    # That bit means nothing to the other ABIs, which have no such calls.
    assert run(program, _X32_BIT | 5, _X86_32.audit_arch) == ALLOW


@pytest.mark.parametrize("arch", [0, 0x4000_0028, 0xC000_00F3, 0x8000_0016, 0xFFFF_FFFF])
def test_an_architecture_nobody_knows_cannot_enter_the_kernel(abis: tuple[Abi, ...], arch: int) -> None:
    program = instructions(build(abis=abis))
    assert {run(program, number, arch) for number in _EVERY} == {ENOSYS}


def test_another_machines_calls_cannot_enter_the_kernel() -> None:
    x86 = instructions(build(abis=(_X86, _X86_32)))
    assert {run(x86, number, _ARM.audit_arch) for number in _EVERY} == {ENOSYS}
    arm = instructions(build(abis=(_ARM,)))
    assert {run(arm, number, _X86.audit_arch) for number in _EVERY} == {ENOSYS}
    assert {run(instructions(build(abis=())), number, _X86.audit_arch) for number in _EVERY} == {ENOSYS}


def numbered(abis: tuple[Abi, ...], names: frozenset[str]) -> Iterator[tuple[Abi, str, int]]:
    for abi in abis:
        yield from ((abi, name, number) for name, number in abi.numbers if name in names)


@pytest.mark.parametrize("address", [1, 0xFFFF_FFFF, 1 << 32, 0x7FFF_0000_0000, (1 << 64) - 1])
def test_sendto_is_seen_when_it_names_an_address(abis: tuple[Abi, ...], address: int) -> None:
    program = instructions(build(abis=abis))
    for abi, _, number in numbered(abis, frozenset({"sendto"})):
        assert run(program, number, abi.audit_arch, (3, 99, 10, 0, address, 16)) == NOTIFY
        assert run(program, number, abi.audit_arch, (3, 99, 10, 0, 0, 16)) == ALLOW


def test_one_sendmsg_passes_and_no_other(abis: tuple[Abi, ...]) -> None:
    program = instructions(build(abis=abis))
    others = [
        0,
        0x4000,
        PASSPORT_FLAGS ^ 0x4000,
        PASSPORT_FLAGS | 1,
        PASSPORT_FLAGS << 32,
        ~PASSPORT_FLAGS & (2**64 - 1),
    ]
    for abi, _, number in numbered(abis, frozenset({"sendmsg"})):
        assert run(program, number, abi.audit_arch, (3, 99, PASSPORT_FLAGS)) == ALLOW
        for flags in others:
            assert run(program, number, abi.audit_arch, (3, 99, flags)) == NOTIFY
        assert run(program, number, abi.audit_arch, (PASSPORT_FLAGS, PASSPORT_FLAGS, 0)) == NOTIFY
    for abi, _, number in numbered(abis, frozenset({"sendmmsg"})):
        assert run(program, number, abi.audit_arch, (3, 99, PASSPORT_FLAGS)) == NOTIFY


def test_reading_is_seen_on_descriptor_0_alone(abis: tuple[Abi, ...]) -> None:
    program = instructions(build(stdin=True, abis=abis))
    for abi, name, number in numbered(abis, STDIN_CALLS):
        # A descriptor is an int: the kernel looks at the lower half.
        answers = {
            fd: run(program, number, abi.audit_arch, (fd, 0, 0)) for fd in (0, 1, 2, 3, 255, 0xFFFF_FFFF, 1 << 32)
        }
        assert answers.pop(0) == answers.pop(1 << 32) == NOTIFY, name
        assert set(answers.values()) == {ALLOW}, name


_FSTAT = (3, 0x7F12_3456_7DD5, 0x7FFC_0000_1000, 0x1000)


@pytest.mark.parametrize(
    ("place", "value", "answer"),
    [
        (0, 0, ALLOW),
        (0, 1 << 32 | 7, ALLOW),  # the kernel looks at the lower half
        (1, 0x5555_0000_0DD5, ALLOW),  # the library may lie anywhere
        (3, 1 << 32 | 0x1000, ALLOW),
        (0, 0xFFFF_FF9C, NOTIFY),
        (0, (-100) & (2**64 - 1), NOTIFY),
        (1, 0x7F12_3456_7DD4, NOTIFY),
        (1, 0x7F12_3456_7DE5, NOTIFY),
        (1, 0, NOTIFY),
        (3, 0, NOTIFY),
        (3, 0x1100, NOTIFY),
        (3, 0x100, NOTIFY),
        (3, 0x1001, NOTIFY),
    ],
)
def test_only_fstat_is_let_through(place: int, value: int, answer: str) -> None:
    abis = (_X86, _X86_32)
    program = instructions(build(empty_path=0xDD5, abis=abis))
    arguments = (*_FSTAT[:place], value, *_FSTAT[place + 1 :])
    assert run(program, 262, _X86.audit_arch, _FSTAT) == ALLOW
    assert run(program, 262, _X86.audit_arch, arguments) == answer
    # Without knowing the address, on the other ABI, and where stat is answered from a record, every one is seen.
    assert run(program, 300, _X86_32.audit_arch, _FSTAT) == NOTIFY
    assert run(instructions(build(abis=abis)), 262, _X86.audit_arch, _FSTAT) == NOTIFY
    assert run(instructions(build(stat=True, empty_path=0xDD5, abis=abis)), 262, _X86.audit_arch, _FSTAT) == NOTIFY


@pytest.mark.parametrize("flags", [0, 0o1, 0o2, 0o100, 0o1000, 0o10000000, 0xFFFF_FFFF])
def test_opening_is_seen_whatever_the_flags(abis: tuple[Abi, ...], flags: int) -> None:
    program = instructions(build(abis=abis))
    for abi, _, number in numbered(abis, frozenset({"open", "openat", "openat2", "creat"})):
        assert run(program, number, abi.audit_arch, (flags, flags, flags, flags)) == NOTIFY


@pytest.mark.parametrize(("stdin", "stat"), _SWITCHES)
@pytest.mark.parametrize("empty_path", [None, 1])
def test_the_kernel_would_take_the_program(
    abis: tuple[Abi, ...], stdin: bool, stat: bool, empty_path: int | None
) -> None:
    """See: kernel/seccomp.c seccomp_check_filter and net/core/filter.c bpf_check_classic."""
    data = build(stdin=stdin, stat=stat, empty_path=empty_path, abis=abis)
    program = instructions(data)
    assert 0 < len(program) <= 4096
    assert len(data) == 8 * len(program)
    for at, (code, if_true, if_false, value) in enumerate(program):
        if code in (0x15, 0x35):
            assert at + 1 + max(if_true, if_false) < len(program)
        elif code == 0x20:
            assert value % 4 == 0
            assert value < 64
        else:
            assert code in (0x06, 0x54)
    assert program[-1][0] == 0x06


def test_a_block_too_long_to_jump_over_is_refused() -> None:
    name = next(iter(CALLS))
    long = Abi("long", 1, tuple((name, number) for number in range(300)), 8)
    with pytest.raises(ValueError, match="too long"):
        build(abis=(long,))


def test_this_machine_has_the_program_it_needs() -> None:
    assert len(instructions(build())) == len(instructions(build(abis=ABIS)))
