"""What tests of all kinds share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.servers.gateway import Bucket, shared_gateway


def pytest_configure() -> None:
    """Heed signals again that are ignored for all that a script starts in the background, or nohup: jobs of tests are sent them."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket on a real server, which all workers of the session share; give each test a prefix of its own."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with shared_gateway(base / "gateway") as found:
        yield found
