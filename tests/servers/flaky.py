"""A line to a server that cuts connections by chance: before the request reached it, or before its answer came back."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

__all__ = ["flaky_line"]


class _Line(socketserver.BaseRequestHandler):
    """One connection: cut behind a number of bytes that chance gives, in one of the directions."""

    server_address: ClassVar[tuple[str, int]]
    chance: ClassVar[random.Random]
    share: ClassVar[float]
    lock: ClassVar[threading.Lock]

    def handle(self) -> None:
        with self.lock:
            cut = self.chance.random() < self.share
            left = {name: self.chance.randrange(3000) for name in ("up", "down")} if cut else {}
            if cut:
                del left[self.chance.choice(["up", "down"])]
        with socket.create_connection(type(self).server_address) as server:
            ways = [
                threading.Thread(target=self._carry, args=(self.request, server, left.get("up"))),
                threading.Thread(target=self._carry, args=(server, self.request, left.get("down"))),
            ]
            for way in ways:
                way.start()
            for way in ways:
                way.join()

    def _carry(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if left is not None:
                    if len(data) >= left:
                        break
                    left -= len(data)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def flaky_line(endpoint: str, share: float, seed: int = 1) -> Iterator[str]:
    """Give another address of an HTTP server, over which a share of all connections is cut."""
    place = urlsplit(endpoint)
    facts = {
        "server_address": (place.hostname, place.port),
        "chance": random.Random(seed),
        "share": share,
        "lock": threading.Lock(),
    }
    handler = type("_OneLine", (_Line,), facts)
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
