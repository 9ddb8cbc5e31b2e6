"""The rung `python`: an audit hook inside the job's own Python reports what that Python opens.

Needs nothing of the kernel, and sees nothing but Python itself: not what native libraries read, not other programs. The hook
(``payload/sitecustomize.py``) comes in through PYTHONPATH and reports over a socket. Before it lets the job change anything
it waits for us, so that old content is kept as on the kernel rung.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from reenact.capture.files import FileStates
from reenact.capture.journal import JournalWriter
from reenact.capture.preimage import PreimageKeeper
from reenact.capture.roles import SupervisorEnds, Watch
from reenact.capture.rungs.notebook import IDLE_MILLISECONDS, Notebook, asked, locate
from reenact.capture.rungs.strace_tree import Tree
from reenact.capture.trace.filesystem import LiveFileSystem
from reenact.capture.trace.sockets import Address

__all__ = ["AuditHookRung"]

_GAP: Final = (
    "python-only",
    "only what Python itself opened was seen; native libraries and other programs were not",
)
_PAYLOAD: Final = os.path.join(os.path.dirname(__file__), "payload")
_MESSAGE_BYTES: Final = 1 << 16
_BACKLOG: Final = 128
_CREDENTIALS: Final = struct.Struct("3i")
_ANY_THREAD: Final = -2
"""Which thread of a Python reports is not known, so that its next report says nothing about what it reported before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHookRung:
    """See the module."""

    name: str = "python"
    address: str = field(default_factory=lambda: f"reenact-{os.getpid()}-{time.monotonic_ns():x}")
    """Name of the socket in the abstract namespace: no file, gone with its last user."""

    def available(self) -> str:
        """It needs its hook on the disk, under a path that PYTHONPATH can hold."""
        if not os.access(f"{_PAYLOAD}/sitecustomize.py", os.R_OK):
            return "its hook was not installed"
        return "it is installed under a path with a colon" if ":" in _PAYLOAD else ""

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Let Python find the hook; it puts PYTHONPATH back."""
        words = [_PAYLOAD, self.address]
        if "PYTHONPATH" in variables:
            words.append(variables["PYTHONPATH"])
        return {**variables, "PYTHONPATH": ":".join(words)}

    def enter(self) -> None:
        """Prepare nothing."""

    def observe(self, watch: Watch, ends: SupervisorEnds) -> NoReturn:
        """Listen to every Python of the job until they and it have ended."""
        journal = JournalWriter(watch.journal)
        keeper = PreimageKeeper(
            f"{watch.folder}/before", watch.preimage_max_bytes, watch.stored, pointers=watch.pointers
        )
        states = FileStates(LiveFileSystem(), keeper, journal.write, ignored=(*watch.ignored, _PAYLOAD))
        notebook = Notebook(watch, ends, journal, states)
        notebook.begin(_GAP)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind("\0" + self.address)
        server.listen(_BACKLOG)
        notebook.ready()
        listener = _Listener(notebook, server, Tree(ends.root, watch.cwd, notebook.write))
        ended = listener.serve(ends.control, watch.linger_seconds)
        if not listener.heard:
            notebook.gap("python-silent", "no Python reported anything: nothing was observed")
        notebook.finish(ended=ended)
        notebook.leave(wait=keeper.holding)


class _Listener:
    """Takes events of any number of processes and books them."""

    def __init__(self, notebook: Notebook, server: socket.socket, tree: Tree) -> None:
        self._notebook, self._states, self._server, self._tree = notebook, notebook.states, server, tree
        self._lines: dict[int, tuple[socket.socket, int]] = {}
        """By descriptor: the connection and the process at its other end."""
        self._leaving: set[int] = set()
        """Processes that are about to end and have said so."""
        self.heard = False
        """Whether any Python has reported."""
        self._handlers: dict[str, Callable[[int, str, list[str]], None]] = {
            name[4:]: getattr(self, name) for name in dir(self) if name.startswith("_on_")
        }

    def serve(self, control: int, linger_seconds: float) -> bool:
        """Listen until the job has ended and nobody reports any more; False when somebody still does after a while."""
        deadline: float | None = None
        poll = select.poll()
        poll.register(control, select.POLLIN)
        poll.register(self._server.fileno(), select.POLLIN)
        while True:
            wait: float | None = IDLE_MILLISECONDS if self._notebook.journal.pending else None
            if deadline is not None:
                left = (deadline - time.monotonic()) * 1000 if self._lines else 0.001
                if left <= 0:
                    return False
                wait = left if wait is None else min(wait, left)
            events = poll.poll(wait)
            if not events:
                self._notebook.flush()
            for descriptor, _ in events:
                if descriptor == control:
                    poll.unregister(control)
                    told = asked(control)
                    deadline = time.monotonic() + (linger_seconds if told else 0.0)
                elif descriptor == self._server.fileno():
                    poll.register(self._accept(), select.POLLIN)
                elif not self._receive(descriptor):
                    poll.unregister(descriptor)
                    self._end(descriptor)
            if deadline is not None and not self._lines and not events:
                return True

    def _accept(self) -> int:
        line, _ = self._server.accept()
        peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self._lines[line.fileno()] = (line, _CREDENTIALS.unpack(peer)[0])
        return line.fileno()

    def _end(self, descriptor: int) -> None:
        """A connection is closed: usually because its process has ended."""
        line, process = self._lines.pop(descriptor)
        line.close()
        if process in self._leaving:
            self._leaving.discard(process)
            return
        try:
            with open(f"/proc/{process}/maps", "rb") as file:
                goes_on = bool(file.read(1))  # a process that is ending has no memory any more
        except OSError:
            goes_on = False
        if goes_on:
            message = "a Python stopped reporting and went on: it closed descriptors that are not its own, or became another program"
            self._notebook.gap("python-blinded", message)

    def _receive(self, descriptor: int) -> bool:
        line, process = self._lines[descriptor]
        try:
            data = line.recv(_MESSAGE_BYTES)
        except OSError:
            data = b""
        if not data:
            return False
        self.heard = True
        self._notebook.calls += 1
        kind, wait, *fields = data.split(b"\0")
        try:
            self._states.settle(process)
            handler = self._handlers.get(kind.decode())
            if handler is not None:
                handler(process, self._tree.actor(process, []), [os.fsdecode(value) for value in fields])
        except Exception as error:  # noqa: BLE001 - observing never breaks the job
            self._notebook.gap("tracer-error", f"{type(error).__name__}: {error}")
        if wait == b"1":
            with contextlib.suppress(OSError):
                line.send(b"k")
        return True

    # --- one method a kind of event

    def _loaded(self, process: int, actor: str) -> None:
        """Book the files a process has mapped: its interpreter, and libraries that came with it or with a module."""
        with open(f"/proc/{process}/maps", "rb") as file:
            paths = {line.split(None, 5)[5].rstrip(b"\n") for line in file if b" /" in line}
        for path in sorted(paths):
            if not path.endswith(b" (deleted)"):
                self._states.opened(actor, os.fsdecode(path), os.O_RDONLY)

    def _on_begin(self, process: int, actor: str, fields: list[str]) -> None:
        del fields
        with open(f"/proc/{process}/cmdline", "rb") as file:
            argv = [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
        program, cwd = os.readlink(f"/proc/{process}/exe"), os.readlink(f"/proc/{process}/cwd")
        self._notebook.executed(actor, _as_started(argv, program, process), argv, cwd)
        self._loaded(process, actor)

    def _on_leave(self, process: int, actor: str, fields: list[str]) -> None:
        del fields
        self._leaving.add(process)
        self._loaded(process, actor)

    def _on_open(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.opened(actor, fields[0], int(fields[1]))

    def _on_list(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        where, _ = self._states.walk(fields[0])
        self._states.listed(actor, where)

    def _on_rename(self, process: int, actor: str, fields: list[str]) -> None:
        self._states.renaming(process, actor, fields[0], fields[1], 0)

    def _on_link(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.linked(actor, fields[0], fields[1], follow=False)

    def _on_make(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.made_node(actor, fields[0])

    def _on_remove(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.removed(_ANY_THREAD, actor, fields[0])

    def _on_truncate(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.truncated(actor, fields[0])

    def _on_meta(self, process: int, actor: str, fields: list[str]) -> None:
        del process
        self._states.changed_metadata(actor, fields[0], follow=True)

    def _on_program(self, process: int, actor: str, fields: list[str]) -> None:
        """Another program was started: what it does is not seen, but that it was is told."""
        del process, actor
        name = self._notebook.watch.redact([fields[0]])[0]
        self._notebook.gap("unseen-program", "another program was started: what it read and wrote was not seen", name)

    def _on_ip(self, process: int, actor: str, fields: list[str]) -> None:
        host, port = fields[0], fields[1]
        if not port.isdigit() or not int(port):
            return
        loopback = host.startswith("127.") or host in ("::1", "localhost")
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._notebook.contacted(actor, Address("ip", name, int(port), loopback), process, self._tree.ids())

    def _on_unix(self, process: int, actor: str, fields: list[str]) -> None:
        name = fields[0] if fields else ""
        if not name:
            return
        if not name.startswith("/"):
            name = os.path.join(os.readlink(f"/proc/{process}/cwd"), name)
        self._notebook.contacted(actor, Address("unix", name), process, self._tree.ids())


def _as_started(argv: list[str], program: str, process: int) -> str:
    """Give the path a Python was started by: through a link it finds other packages (a virtual environment)."""
    with open(f"/proc/{process}/environ", "rb") as file:
        variables = dict(item.split(b"=", 1) for item in file.read().split(b"\0") if b"=" in item)
    path = locate(argv[0], {"PATH": os.fsdecode(variables.get(b"PATH", os.defpath.encode()))}) if argv else None
    return path if path is not None and os.path.realpath(path) == program else program
