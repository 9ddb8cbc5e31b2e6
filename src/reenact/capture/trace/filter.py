"""The seccomp filter program (classic BPF): notify for observed calls, refuse what cannot be observed, allow the rest.

Shape: one block per ABI, each a chain of equality tests on the call number that end in the block's own NOTIFY, ENOSYS or
ALLOW, so that no jump is longer than BPF's 8 bits allow. A call that is always allowed costs nothing on Linux 5.11 and
later (the kernel caches that answer per number). See: Documentation/userspace-api/seccomp_filter.rst
"""

from __future__ import annotations

import errno
import struct
from typing import Final

from reenact.capture.trace.libc import PAGE_BYTES
from reenact.capture.trace.syscalls import ABIS, AT_FDCWD, CALLS, STAT_CALLS, STDIN_CALLS, Abi

__all__ = ["PASSPORT_FLAGS", "build", "instruction"]

# struct seccomp_data: number 0, arch 4, instruction pointer 8, arguments 16 + 8 * i (little-endian halves).
_NUMBER: Final = 0
_ARCH: Final = 4
_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_EQUAL: Final = 0x35
_RETURN: Final = 0x06
_AND: Final = 0x54

_ALLOW: Final = 0x7FFF_0000
_NOTIFY: Final = 0x7FC0_0000
_ENOSYS: Final = 0x0005_0000 | errno.ENOSYS

_X32_BIT: Final = 0x4000_0000
"""x32 calls carry this bit in their number under the x86_64 audit architecture."""

_DESTINATION_LOW: Final = 16 + 8 * 4
"""sendto: the address pointer; null when the socket is connected, which connect already reported."""

_CONDITIONAL: Final = frozenset({"io_uring_setup", "sendto", "sendmsg", "newfstatat"}) | STDIN_CALLS
_FIRST_ARGUMENT: Final = 16
_SECOND_ARGUMENT: Final = 16 + 8
_FOURTH_ARGUMENT: Final = 16 + 8 * 3
_FOLDER_IS_CWD: Final = AT_FDCWD & 0xFFFF_FFFF
_AT_EMPTY_PATH: Final = 0x1000
_SENDMSG_FLAGS: Final = 16 + 8 * 2
PASSPORT_FLAGS: Final = 0x800 | 0x4000 | 0x8000
"""MSG_CONFIRM | MSG_NOSIGNAL | MSG_MORE: without meaning on a UNIX socket, and no program combines them."""


def instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    """Encode one BPF instruction (struct sock_filter)."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _only_with_address(number: int) -> list[bytes]:
    """Notify for a sendto that names an address, allow one that does not; any other call passes by."""
    return [
        instruction(_JUMP_EQUAL, 0, 6, number),
        instruction(_LOAD, 0, 0, _DESTINATION_LOW),
        instruction(_JUMP_EQUAL, 0, 2, 0),
        instruction(_LOAD, 0, 0, _DESTINATION_LOW + 4),
        instruction(_JUMP_EQUAL, 1, 0, 0),
        instruction(_RETURN, 0, 0, _NOTIFY),
        instruction(_RETURN, 0, 0, _ALLOW),
    ]


def _unless_passport(number: int) -> list[bytes]:
    """Allow the one sendmsg by which a new process hands over its listener, before anybody could answer it."""
    return [
        instruction(_JUMP_EQUAL, 0, 4, number),
        instruction(_LOAD, 0, 0, _SENDMSG_FLAGS),
        instruction(_JUMP_EQUAL, 0, 1, PASSPORT_FLAGS),
        instruction(_RETURN, 0, 0, _ALLOW),
        instruction(_RETURN, 0, 0, _NOTIFY),
    ]


def _only_on_stdin(number: int) -> list[bytes]:
    """Notify for a call whose first argument is descriptor 0."""
    return [
        instruction(_JUMP_EQUAL, 0, 4, number),
        instruction(_LOAD, 0, 0, _FIRST_ARGUMENT),
        instruction(_JUMP_EQUAL, 0, 1, 0),
        instruction(_RETURN, 0, 0, _NOTIFY),
        instruction(_RETURN, 0, 0, _ALLOW),
    ]


def _unless_fstat(number: int, empty_path: int) -> list[bytes]:
    """Allow the C library's fstat: no flag but AT_EMPTY_PATH, a descriptor, and the path that is known to be empty.

    AT_FDCWD in place of the descriptor asks about the working folder.
    """
    return [
        instruction(_JUMP_EQUAL, 0, 9, number),
        instruction(_LOAD, 0, 0, _FOURTH_ARGUMENT),
        instruction(_JUMP_EQUAL, 0, 6, _AT_EMPTY_PATH),
        instruction(_LOAD, 0, 0, _FIRST_ARGUMENT),
        instruction(_JUMP_EQUAL, 4, 0, _FOLDER_IS_CWD),
        instruction(_LOAD, 0, 0, _SECOND_ARGUMENT),
        instruction(_AND, 0, 0, PAGE_BYTES - 1),
        instruction(_JUMP_EQUAL, 0, 1, empty_path),
        instruction(_RETURN, 0, 0, _ALLOW),
        instruction(_RETURN, 0, 0, _NOTIFY),
    ]


def _block(abi: Abi, observed: frozenset[str], empty_path: int | None) -> list[bytes]:
    """Tests for one ABI; the call number is loaded first, and the block always returns."""
    tests = [(name, number) for name, number in abi.numbers if name in observed or name == "io_uring_setup"]
    conditional = _CONDITIONAL if empty_path is not None else _CONDITIONAL - {"newfstatat"}
    plain = [test for test in tests if test[0] not in conditional]
    program = [instruction(_LOAD, 0, 0, _NUMBER)]
    refused = [number for name, number in tests if name == "io_uring_setup"]
    special = [number for name, number in tests if name == "sendto"]
    if abi.name == "x86_64":
        program.append(instruction(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT))
        program.append(instruction(_RETURN, 0, 0, _ENOSYS))
    for number in refused:
        program.append(instruction(_JUMP_EQUAL, 0, 1, number))
        program.append(instruction(_RETURN, 0, 0, _ENOSYS))
    for number in special:
        program += _only_with_address(number)
    for number in (number for name, number in tests if name == "sendmsg"):
        program += _unless_passport(number)
    for number in (number for name, number in tests if name in STDIN_CALLS):
        program += _only_on_stdin(number)
    if empty_path is not None:
        for number in (number for name, number in tests if name == "newfstatat"):
            program += _unless_fstat(number, empty_path)
    for index, (_, number) in enumerate(plain):
        # To NOTIFY, which stands right after the ALLOW that ends the chain.
        program.append(instruction(_JUMP_EQUAL, len(plain) - index, 0, number))
    program.append(instruction(_RETURN, 0, 0, _ALLOW))
    program.append(instruction(_RETURN, 0, 0, _NOTIFY))
    return program


def build(
    *, stdin: bool = False, stat: bool = False, empty_path: int | None = None, abis: tuple[Abi, ...] = ABIS
) -> bytes:
    """Build the program that notifies for all of :data:`CALLS`.

    Args:
        stdin: Whether reading from descriptor 0 is observed too.
        stat: Whether fstat is observed too, to be answered from a record.
        empty_path: What the address of an empty path ends in (:func:`reenact.capture.trace.libc.empty_path_offset`) in the
            first ABI, where fstat enters the kernel with one; None where it does not, or that is not known.
        abis: The ABIs of the machine; entering the kernel any other way fails with ENOSYS.

    Returns:
        An array of ``struct sock_filter``.
    """
    left_out = (frozenset() if stdin else STDIN_CALLS) | (frozenset() if stat else STAT_CALLS)
    observed = frozenset(CALLS) - left_out
    program = [instruction(_LOAD, 0, 0, _ARCH)]
    for abi in abis:
        known = empty_path if abi is abis[0] and not stat else None
        if len(abi.numbers) > 255 or len(block := _block(abi, observed, known)) > 255:
            raise ValueError(f"the block of {abi.name} is too long to jump over")
        program.append(instruction(_JUMP_EQUAL, 0, len(block), abi.audit_arch))
        program += block
    program.append(instruction(_RETURN, 0, 0, _ENOSYS))
    return b"".join(program)
