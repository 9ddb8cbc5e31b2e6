"""A process forked from one that used the library is told so, instead of waiting for threads it does not have."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os
from reenact.store.bucket_library import load_library, usable_here
from reenact.store.elsewhere.buckets import version_of
from reenact.store.elsewhere.interface import Unavailable

def forked(work):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def before():
    assert usable_here()
    load_library()
    assert usable_here()

def after():
    assert not usable_here()
    try:
        version_of("s3://bucket/key")
    except Unavailable as error:
        assert "fork" in str(error)
    else:
        raise AssertionError

forked(before)
assert usable_here()
load_library()
assert usable_here()
forked(after)
"""


def test_forks() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
