"""Run a Ceph object gateway (radosgw) below one folder for as long as somebody uses it.

    python tests/servers/radosgw.py FOLDER

One monitor, one storage daemon in memory, one gateway, all on free ports of 127.0.0.1, without cephx and without a manager.
When the gateway answers and its bucket is made, FOLDER/ready.json says where and with which keys; when that fails,
FOLDER/failed says why. Users hold a shared lock on FOLDER/users; without any, all ends. The daemons die with this process.
"""

from __future__ import annotations

import base64
import ctypes
import email.utils
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
BUCKET = "reenact"
ACCESS, SECRET = "reenact-test-access", "reenact-test-secret"

_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = false
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms client mode = crc
ms service mode = crc
ms cluster mode = crc
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/log/$name.log
crash dir = {folder}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 0
mon data avail crit = 0
mon warn on pool no redundancy = false
ms bind ipv6 = false
public addr = 127.0.0.1
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {capacity}
[client.rgw]
keyring = {folder}/keyring
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
rgw thread pool size = 64
rgw dns name =
rgw enable usage log = false
rgw lifecycle work time = 00:00-00:00
"""


def missing_programs() -> list[str]:
    """Name the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.decode(errors='replace')[-2000:]}")


class Gateway:
    """The daemons, started one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mon, self.port = _free_ports(2)
        for name in ("run", "log", "crash", "osd"):
            (folder / name).mkdir()
        self._fsid = str(uuid.uuid4())
        self._configuration = str(folder / "ceph.conf")
        Path(self._configuration).write_text(
            _CONFIGURATION.format(fsid=self._fsid, mon=mon, gateway=self.port, folder=folder, capacity=16 << 30)
        )
        self._mon = f"127.0.0.1:{mon}"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all; RuntimeError when one does not come up."""
        folder = self.folder
        monmap = str(folder / "monmap")
        _run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", f"[v2:{self._mon}]", monmap)
        self._do("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self._daemon("ceph-mon", "-f", "-i", "a")
        osd = str(uuid.uuid4())
        self._do("ceph", "--connect-timeout", "30", "osd", "new", osd, "0")
        self._do("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self._daemon("ceph-osd", "-f", "-i", "0")
        user = ("--uid", "test", "--display-name", "test", "--access-key", ACCESS, "--secret", SECRET)
        self._do("radosgw-admin", "-n", "client.rgw", "user", "create", *user)
        # Without cephx no key is asked for, but this daemon does not start without one.
        _run("ceph-authtool", "--create-keyring", "--gen-key", "-n", "client.rgw", str(folder / "keyring"))
        self._daemon("radosgw", "-f", "-n", "client.rgw")
        self._make_bucket()

    def check(self) -> None:
        """Raise RuntimeError when a daemon ended."""
        for daemon in self._daemons:
            if daemon.poll() is not None:
                raise RuntimeError(f"{daemon.args!r} ended with status {daemon.returncode}")

    def stop(self) -> None:
        """End all daemons; they keep nothing that has to be written."""
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()

    def _do(self, program: str, *words: str) -> None:
        _run(program, "-c", self._configuration, *words)

    def _daemon(self, *words: str) -> None:
        with (self.folder / "log" / f"{words[0]}.out").open("wb") as out:
            self._daemons.append(
                subprocess.Popen(
                    [words[0], "-c", self._configuration, *words[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
                )
            )

    def _make_bucket(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            self.check()
            try:
                status = self._put(f"/{BUCKET}")
            except OSError:
                status = 0
            if status == 200:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the gateway did not make a bucket: {status}")
            time.sleep(0.1)

    def _put(self, path: str) -> int:
        """Put nothing, signed as in version 2 of the protocol, which needs the fewest lines."""
        date = email.utils.formatdate(usegmt=True)
        signature = hmac.digest(SECRET.encode(), f"PUT\n\n\n{date}\n{path}".encode(), hashlib.sha1)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            authorization = f"AWS {ACCESS}:{base64.b64encode(signature).decode()}"
            connection.request("PUT", path, headers={"Date": date, "Authorization": authorization})
            return connection.getresponse().status
        finally:
            connection.close()


def _used(folder: Path) -> bool:
    """Tell whether somebody holds the lock of the users."""
    with (folder / "users").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def main(arguments: Sequence[str]) -> int:
    """Serve, in a process that the caller need not wait for, until nobody uses it."""
    folder = Path(arguments[0]).resolve()
    if os.fork():
        return 0
    os.setsid()
    gateway = None
    try:
        gateway = Gateway(folder)
        gateway.start()
        facts = {"endpoint": f"http://127.0.0.1:{gateway.port}", "bucket": BUCKET, "access": ACCESS, "secret": SECRET}
        (folder / ".ready").write_text(json.dumps(facts))
        os.rename(folder / ".ready", folder / "ready.json")
        while _used(folder):
            gateway.check()
            time.sleep(0.5)
    except Exception as error:  # noqa: BLE001 - whoever waits is told
        (folder / "failed").write_text(f"{type(error).__name__}: {error}")
        return 1
    finally:
        if gateway is not None:
            gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
