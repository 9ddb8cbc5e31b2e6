"""What tests of all kinds share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.servers.gateway import Bucket, shared_gateway


def pytest_configure() -> None:
    """Heed Ctrl-C again where the tests run in the background of a script, which ignores it for all it starts (POSIX 2.11)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket on a real server, which all workers of the session share; give each test a prefix of its own."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with shared_gateway(base / "gateway") as found:
        yield found
