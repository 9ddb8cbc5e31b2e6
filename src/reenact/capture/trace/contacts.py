"""What the observed processes do with sockets: which servers outside a run they talk to, and which they are themselves."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from reenact.capture.trace import sockets
from reenact.capture.trace.observer import Observer
from reenact.capture.trace.processes import Processes
from reenact.capture.trace.syscalls import ABIS, Call
from reenact.capture.trace.tracee import Memory, absolute

__all__ = ["Contacts"]

_SOCKETCALL_BIND: Final = 2
_SOCKETCALL_CONNECT: Final = 3
_WIDE: Final = 8
_MAX_ADDRESS_BYTES: Final = 128
"""sizeof(struct sockaddr_storage)."""
_OWN_DESCRIPTORS: Final = ("/proc/self/fd/", "/proc/thread-self/fd/")


class Contacts:
    """One method a kind of call, as in :class:`reenact.capture.trace.supervisor.Supervisor`."""

    def __init__(
        self,
        memory: Memory,
        processes: Processes,
        covering: Callable[[str], Sequence[tuple[Observer, str]]],
        prefix: str,
    ) -> None:
        """Make it.

        Args:
            memory: Of the observed processes.
            processes: Who they are.
            covering: Gives the observers of an actor, each with its own name for it.
            prefix: Put before every path of the job's.
        """
        self._memory = memory
        self._processes = processes
        self._covering = covering
        self._prefix = prefix
        self._pointer_bytes = {abi.audit_arch: abi.pointer_bytes for abi in ABIS}

    def on_connect(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        """Book connect, whose length stands where others have flags."""
        self._contact(thread, actor, arguments[call.path], arguments[call.flags] & 0xFFFF_FFFF)

    on_sendto = on_connect

    def on_sendmsg(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:
        """Book sendmsg, and the first message of sendmmsg; one without an address is about a connection already booked."""
        if not arguments[call.path]:
            return  # a JVM asks so whether the call is known; it fails by itself
        wide = self._pointer_bytes[arch] == _WIDE
        header = self._memory.read(self._processes.process(thread), arguments[call.path], 16)
        if len(header) < 16:
            return
        address, length = struct.unpack_from("=QI" if wide else "=II", header)
        if address:
            self._contact(thread, actor, address, length)

    def on_socketcall(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        """Book the i386 call that stands for all socket calls."""
        block = self._memory.read(self._processes.process(thread), arguments[call.path], 12)
        _, address, length = struct.unpack("=III", block)
        if arguments[0] == _SOCKETCALL_CONNECT:
            self._contact(thread, actor, address, length)
        elif arguments[0] == _SOCKETCALL_BIND:
            self._bind(thread, actor, address, length)

    def on_bind(self, thread: int, actor: str, call: Call, arguments: list[int], arch: int) -> None:  # noqa: ARG002
        """Book bind: who talks to that address later does not leave the run."""
        self._bind(thread, actor, arguments[call.path], arguments[call.flags] & 0xFFFF_FFFF)

    def _address(self, thread: int, address: int, length: int) -> sockets.Address | None:
        length = min(length, _MAX_ADDRESS_BYTES)
        return sockets.parse(self._memory.read(self._processes.process(thread), address, length))

    @staticmethod
    def _path(thread: int, name: str) -> str:
        """Make a socket's path absolute, also one through a descriptor, as is used where a path is too long for a socket."""
        for own in _OWN_DESCRIPTORS:
            if name.startswith(own):
                number, _, rest = name[len(own) :].partition("/")
                if number.isdigit() and rest:
                    return absolute(thread, int(number), rest, at_cwd=False)
        return absolute(thread, 0, name, at_cwd=True)

    def _contact(self, thread: int, actor: str, pointer: int, length: int) -> None:
        if not pointer:
            return
        address = self._address(thread, pointer, length)
        if address is None:
            return
        if address.kind == "unix":
            path = self._path(thread, address.name)
            for observer, _ in self._covering(actor):
                observer.states.probed(path, follow=True)
            # Nobody listens where nothing is.
            if path.startswith("/dev/") or not os.path.exists(self._prefix + path):
                return
            address = sockets.Address("unix", path)
        for observer, name in self._covering(actor):
            key = (name, address.kind, address.name)
            if key not in observer.contacts and not self._is_inside(observer, thread, address):
                observer.contacts.add(key)
                observer.journal.write(["k", time.time_ns(), address.kind, address.name, name])

    def _is_inside(self, observer: Observer, thread: int, address: sockets.Address) -> bool:
        """Tell whether an address is served by the run itself; what is ours, like the store, is no part of it at all."""
        if address.kind == "unix":
            return address.name in observer.states.made or observer.states.ignores(address.name)
        if address.kind == "unix-abstract":
            return address.name in observer.bound
        return address.loopback and sockets.belongs_to(address.port, thread, self._processes.below(observer.root))

    def _bind(self, thread: int, actor: str, pointer: int, length: int) -> None:
        address = self._address(thread, pointer, length)
        if address is None:
            return
        path = self._path(thread, address.name) if address.kind == "unix" else ""
        for observer, name in self._covering(actor):
            if address.kind == "unix":
                observer.states.made_node(name, path, thread)
            elif address.kind == "unix-abstract":
                observer.bound.add(address.name)
