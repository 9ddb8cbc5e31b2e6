"""What tests of all kinds share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.gateway import Bucket, shared_gateway


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket on a real server, which all workers of the session share; give each test a prefix of its own."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with shared_gateway(base / "gateway") as found:
        yield found
