"""Reading socket addresses, and telling a server outside the run from one of its own processes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Address", "belongs_to", "parse"]

_TCP_LISTEN: Final = b"0A"


class Address(NamedTuple):
    """Where a socket call leads."""

    kind: str
    """``ip``, ``unix``, ``unix-abstract`` or the family's number."""
    name: str
    """``host:port``, a path, or an abstract name."""
    port: int = 0
    loopback: bool = False


def parse(data: bytes) -> Address | None:
    """Read a struct sockaddr; None for kernel-local families (netlink, packet control) and unconnecting ones."""
    if len(data) < 2:
        return None
    (family,) = struct.unpack_from("=H", data)
    if family == socket.AF_UNIX:
        path = data[2:]
        if path[:1] == b"\0" or not path:
            name = path[1:].split(b"\0", 1)[0]
            return Address("unix-abstract", os.fsdecode(name)) if name else None
        return Address("unix", os.fsdecode(path.split(b"\0", 1)[0]))
    if family == socket.AF_INET and len(data) >= 8:
        (port,) = struct.unpack_from(">H", data, 2)
        host = socket.inet_ntop(socket.AF_INET, data[4:8])
        # Port 0: getaddrinfo asks the routing table this way (RFC 3484 sorting); nothing is sent.
        return Address("ip", f"{host}:{port}", port, data[4] == 127) if port else None
    if family == socket.AF_INET6 and len(data) >= 24:
        (port,) = struct.unpack_from(">H", data, 2)
        host = socket.inet_ntop(socket.AF_INET6, data[8:24])
        loopback = host == "::1" or host.startswith("::ffff:127.")
        return Address("ip", f"[{host}]:{port}", port, loopback) if port else None
    if family in (socket.AF_UNSPEC, socket.AF_NETLINK):
        return None
    return Address(str(family), f"address family {family}")


def belongs_to(port: int, thread: int, processes: Iterable[int]) -> bool:
    """Tell whether a loopback port is served by one of `processes` (in the network namespace of `thread`)."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{thread}/net/{table}", "rb") as lines:
                rows = lines.read().split(b"\n")[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if len(fields) > 9 and fields[3] == _TCP_LISTEN and int(fields[1].rpartition(b":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9].decode()}]")
    if not inodes:
        return False
    for process in processes:
        try:
            names = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for name in names:
            try:
                if os.readlink(f"/proc/{process}/fd/{name}") in inodes:
                    return True
            except OSError:
                continue
    return False
