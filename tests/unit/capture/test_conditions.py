"""What is written down of the conditions a job is started under."""

from __future__ import annotations

import os
import resource

from reenact.canonical import MAX_SAFE_INTEGER
from reenact.capture import conditions


def test_every_limit_has_its_name_and_both_values() -> None:
    limits = conditions.limits()
    assert {"RLIMIT_NOFILE", "RLIMIT_STACK", "RLIMIT_AS", "RLIMIT_CPU"} <= limits.keys()
    assert "RLIMIT_OFILE" not in limits
    assert limits["RLIMIT_CORE"] == resource.getrlimit(resource.RLIMIT_CORE)
    assert all(-1 <= value <= MAX_SAFE_INTEGER for pair in limits.values() for value in pair)


def test_conditions_are_those_of_this_process() -> None:
    mask = os.umask(0o027)
    try:
        found = conditions.conditions()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert (found["umask"], found["uid"], found["gid"]) == (0o027, os.geteuid(), os.getegid())
    assert found["affinity"] == sorted(os.sched_getaffinity(0))
    assert found["hostname"] == os.uname().nodename
