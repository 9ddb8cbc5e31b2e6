"""Which system calls are observed, by architecture, and where their arguments are.

A call is described once, by a :class:`Call`, under its name; the tables give each architecture's numbers. Calls of one kind
differ only in where the folder descriptor, the path and the flags stand. Sources: Linux ``arch/*/entry/syscalls/*.tbl`` and
``include/uapi/asm-generic/unistd.h`` (6.17).
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

__all__ = ["ABIS", "AT_FDCWD", "CALLS", "NATIVE", "STAT_CALLS", "STDIN_CALLS", "Abi", "Call"]

AT_FDCWD: Final = 0xFFFF_FF9C
"""-100 as the 32 bits the kernel looks at."""


class Call(NamedTuple):
    """How to read the arguments of a system call; an index of -1 means: it has no such argument."""

    kind: str
    """Name of the observer's method that handles it."""
    path: int = -1
    folder: int = -1
    flags: int = -1
    follow: bool = True
    """Whether a symbolic link in the last place is followed (unless the flags say otherwise)."""
    path2: int = -1
    folder2: int = -1
    buffer: int = -1
    """Where the caller wants the answer."""


CALLS: Final[dict[str, Call]] = {
    "open": Call("open", path=0, flags=1),
    "creat": Call("creat", path=0),
    "openat": Call("open", folder=0, path=1, flags=2),
    "openat2": Call("openat2", folder=0, path=1, flags=2),
    "execve": Call("execve", path=0, flags=1),
    "execveat": Call("execve", folder=0, path=1, flags=2),
    "exit_group": Call("exit", flags=0),
    "rename": Call("rename", path=0, path2=1),
    "renameat": Call("rename", folder=0, path=1, folder2=2, path2=3),
    "renameat2": Call("rename", folder=0, path=1, folder2=2, path2=3, flags=4),
    "link": Call("link", path=0, path2=1, follow=False),
    "linkat": Call("link", folder=0, path=1, folder2=2, path2=3, flags=4, follow=False),
    "symlink": Call("symlink", path=1),
    "symlinkat": Call("symlink", folder=1, path=2),
    "unlink": Call("unlink", path=0),
    "unlinkat": Call("unlink", folder=0, path=1),
    "rmdir": Call("unlink", path=0),
    "mkdir": Call("make", path=0),
    "mkdirat": Call("make", folder=0, path=1),
    "mknod": Call("make", path=0),
    "mknodat": Call("make", folder=0, path=1),
    "truncate": Call("truncate", path=0),
    "chmod": Call("meta", path=0),
    "fchmodat": Call("meta", folder=0, path=1),
    "fchmodat2": Call("meta", folder=0, path=1, flags=3),
    "fchmod": Call("meta", folder=0),
    "chown": Call("meta", path=0),
    "lchown": Call("meta", path=0, follow=False),
    "fchownat": Call("meta", folder=0, path=1, flags=4),
    "fchown": Call("meta", folder=0),
    "utime": Call("meta", path=0),
    "utimes": Call("meta", path=0),
    "futimesat": Call("meta", folder=0, path=1),
    "utimensat": Call("meta", folder=0, path=1, flags=3),
    "setxattr": Call("meta", path=0),
    "lsetxattr": Call("meta", path=0, follow=False),
    "fsetxattr": Call("meta", folder=0),
    "removexattr": Call("meta", path=0),
    "lremovexattr": Call("meta", path=0, follow=False),
    "fremovexattr": Call("meta", folder=0),
    "setxattrat": Call("meta", folder=0, path=1, flags=2),
    "removexattrat": Call("meta", folder=0, path=1, flags=2),
    "file_setattr": Call("meta", folder=0, path=1, flags=4),
    "stat": Call("stat", path=0, buffer=1),
    "lstat": Call("stat", path=0, follow=False, buffer=1),
    "newfstatat": Call("stat", folder=0, path=1, flags=3, buffer=2),
    "statx": Call("stat", folder=0, path=1, flags=2, buffer=4),
    "fstat": Call("stat", folder=0, buffer=1),
    "access": Call("probe", path=0),
    "faccessat": Call("probe", folder=0, path=1),
    "faccessat2": Call("probe", folder=0, path=1, flags=3),
    "readlink": Call("probe", path=0, follow=False),
    "readlinkat": Call("probe", folder=0, path=1, follow=False),
    "chdir": Call("probe", path=0),
    "statfs": Call("probe", path=0),
    "getxattr": Call("probe", path=0),
    "lgetxattr": Call("probe", path=0, follow=False),
    "listxattr": Call("probe", path=0),
    "llistxattr": Call("probe", path=0, follow=False),
    "getxattrat": Call("probe", folder=0, path=1, flags=2),
    "listxattrat": Call("probe", folder=0, path=1, flags=2),
    "file_getattr": Call("probe", folder=0, path=1, flags=4),
    "inotify_add_watch": Call("probe", path=1),
    "getdents": Call("listing", folder=0),
    "getdents64": Call("listing", folder=0),
    "connect": Call("connect", path=1, flags=2),
    "sendto": Call("sendto", path=4, flags=5),
    "sendmsg": Call("sendmsg", path=1),
    "sendmmsg": Call("sendmsg", path=1),
    "bind": Call("bind", path=1, flags=2),
    "socketcall": Call("socketcall", path=1, flags=0),
    "chroot": Call("escape"),
    "pivot_root": Call("escape"),
    "mount": Call("escape"),
    "setns": Call("escape"),
    "unshare": Call("unshare", flags=0),
    "open_by_handle_at": Call("escape"),
    "read": Call("read_stdin", path=1, flags=2),
    "readv": Call("other_stdin"),
    "recvfrom": Call("other_stdin"),
    "recvmsg": Call("other_stdin"),
    "splice": Call("other_stdin"),
    "tee": Call("other_stdin"),
    "dup": Call("other_stdin"),
    "dup2": Call("other_stdin"),
    "dup3": Call("other_stdin"),
}
"""Observed calls. io_uring_setup is refused instead (see filter.py): a ring does I/O that no filter sees."""

STAT_CALLS: Final = frozenset({"fstat"})
"""Observed only where stat is answered from a record; the other calls of its kind always are."""

STDIN_CALLS: Final = frozenset({"read", "readv", "recvfrom", "recvmsg", "splice", "tee", "dup", "dup2", "dup3"})
"""Observed only on descriptor 0, and only where standard input is to be recorded."""

_NEWEST: Final = {
    "setxattrat": 463, "getxattrat": 464, "listxattrat": 465, "removexattrat": 466, "file_getattr": 468, "file_setattr": 469,
}  # fmt: skip
"""Since Linux 5.1 a new call has one number everywhere."""

_X86_64: Final = {
    "read": 0, "fstat": 5, "readv": 19, "recvfrom": 45, "recvmsg": 47, "splice": 275, "tee": 276,
    "dup": 32, "dup2": 33, "dup3": 292,
    "open": 2, "stat": 4, "lstat": 6, "access": 21, "connect": 42, "sendto": 44, "sendmsg": 46, "bind": 49, "execve": 59,
    "truncate": 76, "getdents": 78, "chdir": 80, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87,
    "symlink": 88, "readlink": 89, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "utime": 132, "mknod": 133,
    "statfs": 137, "pivot_root": 155, "chroot": 161, "mount": 165, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
    "getxattr": 191, "lgetxattr": 192, "listxattr": 194, "llistxattr": 195, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "getdents64": 217, "exit_group": 231, "utimes": 235, "inotify_add_watch": 254, "openat": 257,
    "mkdirat": 258, "mknodat": 259, "fchownat": 260, "futimesat": 261, "newfstatat": 262, "unlinkat": 263, "renameat": 264,
    "linkat": 265, "symlinkat": 266, "readlinkat": 267, "fchmodat": 268, "faccessat": 269, "unshare": 272, "utimensat": 280,
    "open_by_handle_at": 304, "sendmmsg": 307, "setns": 308, "renameat2": 316, "execveat": 322, "statx": 332,
    "io_uring_setup": 425, "openat2": 437, "faccessat2": 439, "fchmodat2": 452,
}  # fmt: skip
_AARCH64: Final = {
    "read": 63, "readv": 65, "fstat": 80, "recvfrom": 207, "recvmsg": 212, "splice": 76, "tee": 77,
    "dup": 23, "dup3": 24,
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "getxattr": 8, "lgetxattr": 9, "listxattr": 11, "llistxattr": 12,
    "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "inotify_add_watch": 27, "mknodat": 33, "mkdirat": 34,
    "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "mount": 40, "pivot_root": 41, "statfs": 43, "truncate": 45,
    "faccessat": 48, "chdir": 49, "chroot": 51, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56,
    "getdents64": 61, "readlinkat": 78, "newfstatat": 79, "utimensat": 88, "exit_group": 94, "unshare": 97, "bind": 200,
    "connect": 203, "sendto": 206, "sendmsg": 211, "execve": 221, "open_by_handle_at": 265, "setns": 268, "sendmmsg": 269,
    "renameat2": 276, "execveat": 281, "statx": 291, "io_uring_setup": 425, "openat2": 437, "faccessat2": 439, "fchmodat2": 452,
}  # fmt: skip
_I386: Final = {
    "read": (3,), "readv": (145,), "recvfrom": (371,), "recvmsg": (372,), "splice": (313,), "tee": (315,),
    "dup": (41,), "dup2": (63,), "dup3": (330,),
    "open": (5,), "creat": (8,), "link": (9,), "unlink": (10,), "execve": (11,), "chdir": (12,), "mknod": (14,), "chmod": (15,),
    "lchown": (16, 198), "mount": (21,), "utime": (30,), "access": (33,), "rename": (38,), "mkdir": (39,), "rmdir": (40,),
    "chroot": (61,), "symlink": (83,), "readlink": (85,), "truncate": (92, 193), "fchmod": (94,), "fchown": (95, 207),
    "statfs": (99, 268), "socketcall": (102,), "stat": (106, 195), "lstat": (107, 196), "getdents": (141,), "chown": (182, 212),
    "pivot_root": (217,), "getdents64": (220,), "setxattr": (226,), "lsetxattr": (227,), "fsetxattr": (228,), "getxattr": (229,),
    "lgetxattr": (230,), "listxattr": (232,), "llistxattr": (233,), "removexattr": (235,), "lremovexattr": (236,),
    "fremovexattr": (237,), "exit_group": (252,), "utimes": (271,), "inotify_add_watch": (292,), "openat": (295,),
    "mkdirat": (296,), "mknodat": (297,), "fchownat": (298,), "futimesat": (299,), "newfstatat": (300,), "unlinkat": (301,),
    "renameat": (302,), "linkat": (303,), "symlinkat": (304,), "readlinkat": (305,), "fchmodat": (306,), "faccessat": (307,),
    "unshare": (310,), "utimensat": (320, 412), "open_by_handle_at": (342,), "sendmmsg": (345, 538), "setns": (346,),
    "renameat2": (353,), "execveat": (358,), "bind": (361,), "connect": (362,), "sendto": (369,), "sendmsg": (370,),
    "statx": (383,), "io_uring_setup": (425,), "openat2": (437,), "faccessat2": (439,), "fchmodat2": (452,),
}  # fmt: skip


class Abi(NamedTuple):
    """One way of entering the kernel: its audit number and its system-call numbers."""

    name: str
    audit_arch: int
    """``AUDIT_ARCH_*`` of linux/audit.h."""
    numbers: tuple[tuple[str, int], ...]
    pointer_bytes: int


def _native(name: str, audit_arch: int, table: dict[str, int]) -> Abi:
    return Abi(name, audit_arch, (*table.items(), *_NEWEST.items()), 8)


_X86 = _native("x86_64", 0xC000_003E, _X86_64)
_ARM = _native("aarch64", 0xC000_00B7, _AARCH64)
_X86_32_NUMBERS: Final = tuple((name, number) for name, numbers in _I386.items() for number in numbers)
_X86_32 = Abi("i386", 0x4000_0003, (*_X86_32_NUMBERS, *_NEWEST.items()), 4)

_BY_MACHINE: Final = {"x86_64": (_X86, _X86_32), "aarch64": (_ARM,)}

ABIS: Final[tuple[Abi, ...]] = _BY_MACHINE.get(os.uname().machine, ())
"""What a process on this machine can use, the native one first; empty where the kernel rung does not exist."""

NATIVE: Final[Abi | None] = ABIS[0] if ABIS else None
