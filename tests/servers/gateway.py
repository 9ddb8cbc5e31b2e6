"""Share one object gateway among all processes of a test session."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.radosgw import missing_programs

_PATIENCE_SECONDS = 180.0


class Bucket(NamedTuple):
    """A bucket on a real server."""

    endpoint: str
    name: str
    access: str
    secret: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which programs find it and may use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }

    def url(self, prefix: str) -> str:
        """Name a place in it."""
        return f"s3://{self.name}/{prefix}"


@contextlib.contextmanager
def shared_gateway(folder: Path) -> Iterator[Bucket]:
    """Use the gateway of a folder; the first to come starts it, and some time after the last has gone it ends."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: radosgw ceph-mon ceph-osd)")
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "start").open("ab") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not (folder / "ready.json").exists():
                _start(folder)
        facts = json.loads((folder / "ready.json").read_bytes())
        yield Bucket(facts["endpoint"], facts["bucket"], facts["access"], facts["secret"])


def _start(folder: Path) -> None:
    program = Path(__file__).with_name("radosgw.py")
    subprocess.run([sys.executable, program, folder], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (folder / "ready.json").exists():
        if (folder / "failed").exists():
            pytest.fail(f"the gateway did not start: {(folder / 'failed').read_text()}")
        if time.monotonic() > deadline:
            pytest.fail("the gateway did not start in time")
        time.sleep(0.1)
