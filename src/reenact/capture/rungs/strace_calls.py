"""Booking the calls strace reports: the same as the kernel rung's supervisor, but after the fact and knowing the result."""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Callable
from typing import Final

from reenact.capture import exemption
from reenact.capture.rungs.late import Hindsight, LateJournal, imagined
from reenact.capture.rungs.notebook import Notebook
from reenact.capture.rungs.strace_lines import Call, Ended, Lines, annotation, flags_of, text, words
from reenact.capture.rungs.strace_tree import Tree
from reenact.capture.trace.sockets import Address
from reenact.capture.trace.syscalls import CALLS
from reenact.capture.trace.syscalls import Call as Shape
from reenact.capture.walk import is_special

__all__ = ["BIRTHS", "Booking", "parse_address", "traced"]

BIRTHS: Final = ("clone", "clone3", "fork", "vfork")
_BESIDE: Final = (*BIRTHS, "fchdir", "io_uring_setup")
_NOT_TRACED: Final = ("exit", "socketcall", "read_stdin", "other_stdin")
"""Kinds of calls the kernel rung looks at and this one does not: strace tells the end of a process by itself, writes what a
``socketcall`` stands for, and cannot take standard input."""
_OTHER_NAMES: Final = {"stat64": "stat", "lstat64": "lstat", "fstatat64": "newfstatat", "truncate64": "truncate",
                       "statfs64": "statfs", "chown32": "chown", "lchown32": "lchown", "fchown32": "fchown",
                       "utimensat_time64": "utimensat"}  # fmt: skip
"""How i386 calls them."""
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_AT_SYMLINK_FOLLOW: Final = 0x400
_CLONE_THREAD: Final = 0x10000
_CLONE_NEWNS: Final = 0x20000
_RENAME_EXCHANGE: Final = 2
_CHANGES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ABSENT: Final = ("ENOENT", "ENOTDIR")
_LONGEST_CUT: Final = 1024
_OPENAT2_FLAGS: Final = re.compile(rb"flags=([^,}]+)")
_CLONE_FLAGS: Final = re.compile(rb"flags=([\w|]+)")
_FAMILY: Final = re.compile(rb"sa_family=AF_(\w+)")
_SUN_PATH: Final = re.compile(rb'sun_path=(@?)("(?:[^"\\]|\\.)*")', re.DOTALL)
_PORT: Final = re.compile(rb"sin6?_port=htons\((\d+)\)")
_HOST: Final = re.compile(rb'(?:inet_addr\(|inet_pton\(AF_INET6, )"([0-9a-f.:]+)"')
_MESSAGE_NAME: Final = re.compile(rb"msg_name=(\{[^}]*\})")


def traced() -> list[str]:
    """Name the calls strace is to report."""
    names = [name for name, shape in CALLS.items() if shape.kind not in _NOT_TRACED and name != "fstat"]
    return [*names, *_BESIDE, *_OTHER_NAMES]


def parse_address(data: bytes) -> Address | None:
    """Read a socket address as strace writes it; None for kernel-local families and unconnecting ones."""
    family = _FAMILY.search(data)
    if family is None or family[1] in (b"UNSPEC", b"NETLINK"):
        return None
    if family[1] in (b"UNIX", b"LOCAL"):
        found = _SUN_PATH.search(data)
        name = (text(found[2]) or "") if found is not None else ""
        return Address("unix-abstract" if found is not None and found[1] else "unix", name) if name else None
    port, host = _PORT.search(data), _HOST.search(data)
    if port is None or host is None:
        return Address(family[1].decode(), f"address family {family[1].decode()}")
    number, name = int(port[1]), host[1].decode()
    loopback = name == "::1" or name.startswith(("127.", "::ffff:127."))
    shown = f"[{name}]:{number}" if ":" in name else f"{name}:{number}"
    return Address("ip", shown, number, loopback) if number else None  # port 0: only the routing table is asked


class Booking:
    """Turns calls into what the state machine and the journal are told."""

    def __init__(self, notebook: Notebook, tree: Tree, lines: Lines, files: Hindsight, late: LateJournal) -> None:
        self._notebook, self._states, self._tree, self._lines = notebook, notebook.states, tree, lines
        self._files, self._late = files, late
        self._escaped: set[str] = set()
        self._handlers: dict[str, tuple[Callable[[Call, Shape, str], None], Shape]] = {}
        for name, shape in CALLS.items():
            if shape.kind not in _NOT_TRACED:
                self._handlers[name] = (getattr(self, f"_on_{shape.kind}"), shape)

    def ended(self, event: Ended) -> None:
        """Book the end of a thread."""
        self._tree.actor(event.thread, [])
        code = event.code
        if code is None:
            number = getattr(signal, event.signal, None)
            code = -int(number) if number is not None else -1
        self._tree.ended(event.thread, code)

    def book(self, call: Call) -> None:
        """Book a call that has returned."""
        actor = self._tree.actor(call.thread, self._lines.begun(*BIRTHS))
        if self._escaped and any(actor == top or actor.startswith(top + ".") for top in self._escaped):
            return
        name = _OTHER_NAMES.get(call.name, call.name)
        self._notebook.calls += 1
        if name in BIRTHS:
            self._birth(call)
        elif name == "fchdir":
            if call.result == 0 and (folder := annotation(call.arguments[0])):
                self._tree.moved(call.thread, folder)
        elif name == "io_uring_setup":
            if call.result is not None and call.result >= 0:
                self._notebook.gap("io-uring", "a process used io_uring: what it read and wrote that way was not seen")
        elif name in self._handlers:
            handler, shape = self._handlers[name]
            try:
                handler(call, shape, actor)
            finally:
                self._files.pretend.clear()
                self._files.moved = ("", "")
                self._late.settle(self._states)

    def _birth(self, call: Call) -> None:
        if call.result is None or call.result <= 0:
            return
        flags = 0
        for argument in call.arguments:
            found = _CLONE_FLAGS.search(argument)
            if found is not None:
                flags = flags_of(found[1])
                break
        self._tree.born(call.thread, call.result, same_process=bool(flags & _CLONE_THREAD))

    # --- arguments

    def _path(self, call: Call, shape: Shape, *, second: bool = False) -> str:
        """Give a path argument, absolute; '' where it names nothing."""
        index, folder_index = (shape.path2, shape.folder2) if second else (shape.path, shape.folder)
        given = call.arguments
        path: str | None = ""
        if 0 <= index < len(given):
            path = text(given[index])
            if path is None and given[index] != b"NULL":
                return ""
            if not path and folder_index < 0:
                return ""
        if path and path[0] == "/":
            return path
        base = ""
        if 0 <= folder_index < len(given):
            base = annotation(given[folder_index])
            if given[folder_index].startswith(b"AT_FDCWD"):
                base = base or self._tree.cwd(call.thread)
        else:
            base = self._tree.cwd(call.thread)
        if not base:
            return ""
        return f"{base}/{path}" if path else base

    @staticmethod
    def _flags(call: Call, shape: Shape) -> int:
        return flags_of(call.arguments[shape.flags]) if 0 <= shape.flags < len(call.arguments) else 0

    @staticmethod
    def _worked(call: Call) -> bool:
        return call.result is not None and call.result >= 0

    def _follows(self, call: Call, shape: Shape) -> bool:
        return shape.follow and not self._flags(call, shape) & _AT_SYMLINK_NOFOLLOW

    # --- one method a kind of call

    def _on_open(self, call: Call, shape: Shape, actor: str) -> None:
        flags = self._flags(call, shape) if shape.flags >= 0 else os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        self._open(call, actor, self._path(call, shape), flags)

    _on_creat = _on_open

    def _on_openat2(self, call: Call, shape: Shape, actor: str) -> None:
        found = _OPENAT2_FLAGS.search(call.arguments[shape.flags])
        self._open(call, actor, self._path(call, shape), flags_of(found[1]) if found is not None else 0)

    def _open(self, call: Call, actor: str, path: str, flags: int) -> None:
        if not path:
            return
        if is_special(path) and call.where and not is_special(call.where):
            path = call.where  # a name that leads to a file some process has open
        if not self._worked(call):
            if not flags & _CHANGES and call.error in _ABSENT:
                self._states.opened(actor, path, flags)
            else:
                self._states.probed(path, follow=True)
            return
        if flags & os.O_CREAT and flags & os.O_EXCL:
            self._was_absent(path)
        elif not flags & os.O_CREAT and call.where:
            self._was_there(call.where, stat.S_IFDIR if flags & os.O_DIRECTORY else stat.S_IFREG)
        self._states.opened(actor, path, flags)

    def _was_there(self, where: str, kind: int) -> None:
        """A file was opened that was not being made: when it is gone or replaced by now, what it held is lost, not absent."""
        if where in self._states.entries or where in self._states.made or is_special(where):
            return
        try:
            self._files.lstat(where)
        except OSError:
            self._files.pretend[where] = imagined(kind, modified_ns=self._files.since_ns)

    def _was_absent(self, path: str) -> str:
        """Pretend, until the call is booked, that nothing was at a path; give it canonical."""
        head, _, last = path.rstrip("/").rpartition("/")
        folder, _ = self._states.walk(head or "/")
        where = f"{folder if folder != '/' else ''}/{last}"
        self._files.pretend[where] = None
        return where

    def _on_execve(self, call: Call, shape: Shape, actor: str) -> None:
        path = self._path(call, shape)
        if call.result != 0:
            if call.error in _ABSENT:
                self._states.executed(actor, path)
            elif path:
                self._states.probed(path, follow=True)
            return
        argv = []
        for word, cut in words(call.arguments[shape.flags]):
            # Redacted whole first: a secret that the cut would halve could not be recognised afterwards.
            argv.append(self._notebook.watch.redact([word])[0][:_LONGEST_CUT] + "…" if cut else word)
        self._notebook.executed(actor, path, argv, self._tree.cwd(call.thread))
        self._note_privileged(path)

    def _note_privileged(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return
        if mode & (stat.S_ISUID | stat.S_ISGID):
            message = "a set-user-id program was started: under strace it ran without its privileges"
            self._notebook.gap("set-user-id", message, path)

    def _on_rename(self, call: Call, shape: Shape, actor: str) -> None:
        old, new = self._path(call, shape), self._path(call, shape, second=True)
        if not self._worked(call):
            for path in (old, new):
                if path:
                    self._states.probed(path, follow=False)
            return
        if self._flags(call, shape) & _RENAME_EXCHANGE:
            self._notebook.gap("strace-late", "two paths were exchanged: which was which before is not known", old)
            return
        self._moved(call.thread, actor, self._was_absent(old), self._was_absent(new))

    def _moved(self, thread: int, actor: str, old: str, new: str) -> None:
        files, states = self._files, self._states
        files.pretend.clear()
        known = states.entries.get(old)
        try:
            found = os.lstat(new)
        except OSError:  # it is elsewhere already
            found = known.state if known is not None else imagined(stat.S_IFREG)
            files.pretend[old] = found
        replaced = states.entries.get(new)
        if replaced is not None and not replaced.changed and new not in states.gone:
            files.pretend[new] = replaced.state
        files.moved = (old, new)
        states.renaming(thread, actor, old, new, 0)
        files.moved = ("", "")
        files.pretend = {new: found}
        states.settle()

    def _on_link(self, call: Call, shape: Shape, actor: str) -> None:
        old, new = self._path(call, shape), self._path(call, shape, second=True)
        if self._worked(call):
            self._was_absent(new)
            self._states.linked(actor, old, new, follow=bool(self._flags(call, shape) & _AT_SYMLINK_FOLLOW))

    def _on_symlink(self, call: Call, shape: Shape, actor: str) -> None:
        path = self._path(call, shape)
        if self._worked(call):
            where = self._was_absent(path)
            if call.name.startswith("mkdir"):
                self._files.folders.add(where)
            self._states.made_node(actor, path)
        elif path:
            self._states.probed(path, follow=False)

    _on_make = _on_symlink

    def _on_unlink(self, call: Call, shape: Shape, actor: str) -> None:
        path = self._path(call, shape)
        if not self._worked(call):
            if path:
                self._states.probed(path, follow=False)
            return
        where = self._was_absent(path)
        del self._files.pretend[where]
        entry = self._states.entries.get(where)
        if where in self._states.made:
            self._files.pretend[where] = imagined(stat.S_IFREG)
        elif entry is not None and where not in self._states.gone:
            self._files.pretend[where] = entry.state
        else:
            self._notebook.gap("strace-late", "it was removed before it could be looked at", where)
            return
        self._files.folders.discard(where)
        self._states.removed(call.thread, actor, where)
        self._files.pretend = {where: None}
        self._states.settle(call.thread)

    def _on_truncate(self, call: Call, shape: Shape, actor: str) -> None:
        if self._worked(call):
            self._states.truncated(actor, self._path(call, shape))

    def _on_meta(self, call: Call, shape: Shape, actor: str) -> None:
        path = self._path(call, shape)
        if path and self._worked(call):
            self._states.changed_metadata(actor, path, self._follows(call, shape))

    def _on_probe(self, call: Call, shape: Shape, actor: str) -> None:
        del actor
        path = self._path(call, shape)
        if call.name == "chdir" and call.result == 0:
            self._tree.moved(call.thread, os.path.normpath(path))
        if not path:
            return
        if is_special(path):
            if folder := exemption.granted(path, call.thread):
                self._states.ignore(folder)
            return
        follow = self._follows(call, shape)
        self._states.probed(path, follow)

    _on_stat = _on_probe

    def _on_listing(self, call: Call, shape: Shape, actor: str) -> None:
        path = self._path(call, shape)
        if path and self._worked(call):
            self._states.listed(actor, path)

    # --- sockets

    def _on_connect(self, call: Call, shape: Shape, actor: str) -> None:
        if shape.path < len(call.arguments):
            self._contact(call, actor, call.arguments[shape.path])

    _on_sendto = _on_connect

    def _on_sendmsg(self, call: Call, shape: Shape, actor: str) -> None:
        for found in _MESSAGE_NAME.finditer(call.arguments[shape.path] if shape.path < len(call.arguments) else b""):
            self._contact(call, actor, found[1])

    def _contact(self, call: Call, actor: str, data: bytes) -> None:
        address = self._absolute(call, parse_address(data))
        self._notebook.contacted(actor, address, call.thread, self._tree.ids())

    def _absolute(self, call: Call, address: Address | None) -> Address | None:
        if address is not None and address.kind == "unix" and not address.name.startswith("/"):
            return Address("unix", f"{self._tree.cwd(call.thread)}/{address.name}")
        return address

    def _on_bind(self, call: Call, shape: Shape, actor: str) -> None:
        address = self._absolute(call, parse_address(call.arguments[shape.path]))
        if address is None or not self._worked(call):
            return
        if address.kind == "unix":
            self._was_absent(address.name)
            self._states.made_node(actor, address.name)
        elif address.kind == "unix-abstract":
            self._notebook.bound.add(address.name)

    # --- leaving the tree of names we know

    def _on_unshare(self, call: Call, shape: Shape, actor: str) -> None:
        if self._flags(call, shape) & _CLONE_NEWNS:
            self._on_escape(call, shape, actor)

    def _on_escape(self, call: Call, shape: Shape, actor: str) -> None:
        del shape
        if self._worked(call):
            message = "a process changed what its paths mean (mount, chroot, namespace): what it did afterwards is not recorded"
            self._notebook.gap("escaped", message, call.name)
            self._escaped.add(actor)
