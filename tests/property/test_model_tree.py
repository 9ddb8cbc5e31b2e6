"""The model tree, on which the file-state machine is tested, does what this kernel does."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model_tree import EXCHANGE, NOREPLACE, ModelTree
from tests.property.test_file_states import FULL, builds, calls, contents, paths, reading, targets, writing

Step = tuple[str, tuple[Any, ...]]
steps = st.one_of(
    calls("open", paths, reading),
    calls("open", paths, writing, contents),
    calls("stat", paths, st.booleans()),
    calls("readlink", paths),
    calls("list", paths),
    calls("truncate", paths, st.integers(0, 4)),
    calls("unlink", paths),
    calls("rmdir", paths),
    calls("rename", paths, paths, st.sampled_from([0, 0, EXCHANGE, NOREPLACE])),
    calls("link", paths, paths, st.booleans()),
    calls("symlink", targets, paths),
    calls("mkdir", paths),
    calls("mknod", paths),
)

_libc = ctypes.CDLL(None, use_errno=True)


def _open(path: str, flags: int, data: str = "") -> Any:
    file = os.open(path, flags | os.O_NONBLOCK, 0o644)
    try:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            return "folder"
        seen = os.read(file, 100).decode("latin-1") if flags & os.O_RDWR or not flags & os.O_WRONLY else None
        if data and flags & (os.O_WRONLY | os.O_RDWR):
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, data.encode("latin-1"))
        return seen
    finally:
        os.close(file)


def _rename(old: str, new: str, flags: int) -> None:
    if _libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def _stat(path: str, follow: bool) -> list[int]:
    found = os.stat(path, follow_symlinks=follow)
    return [stat.S_IFMT(found.st_mode), 0 if stat.S_ISDIR(found.st_mode) else found.st_size]


CALLS: dict[str, Callable[..., Any]] = {
    "open": _open,
    "stat": _stat,
    "readlink": os.readlink,
    "list": lambda path: sorted(os.listdir(path)),
    "truncate": os.truncate,
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "rename": _rename,
    "link": lambda old, new, follow=False: os.link(old, new, follow_symlinks=follow),
    "symlink": os.symlink,
    "mkdir": os.mkdir,
    "mknod": lambda path: os.mknod(path, stat.S_IFSOCK | 0o755),
}


def _perform(program: list[Step]) -> list[Any]:
    results: list[Any] = []
    for name, arguments in program:
        given_ = [value.decode("latin-1") if isinstance(value, bytes) else value for value in arguments]
        try:
            results.append(CALLS[name](*given_))
        except OSError as error:
            results.append(["failed", errno.errorcode[error.errno or 0]])
    return results


def in_a_root_of_its_own(program: list[Step]) -> list[Any] | None:
    """Run a program with an empty folder as its root; None where that is not allowed."""
    folder = tempfile.mkdtemp(prefix="reenact-model-")
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.chroot(folder)
            os.chdir("/")
            os.umask(0o022)
            os.write(sink, json.dumps(_perform(program)).encode())
        finally:
            os._exit(0)
    os.close(sink)
    with open(source, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    shutil.rmtree(folder)
    return json.loads(data) if data else None


def in_the_model(program: list[Step]) -> list[Any]:
    tree, results = ModelTree(), []
    for name, arguments in program:
        found = tree.call(name, *arguments)
        if isinstance(found, str) and found in errno.errorcode.values():
            found = ["failed", found]
        elif name == "stat":
            found = [found[0], 0 if found[0] == stat.S_IFDIR else found[2]]
        elif isinstance(found, bytes):
            found = found.decode("latin-1")
        results.append(found)
    return results


@settings(max_examples=100, deadline=None)
@given(
    given_steps=st.lists(builds.filter(lambda step: step[0] != "chmod"), max_size=4),
    program=st.lists(steps, max_size=10),
)
def test_the_model_does_what_the_kernel_does(given_steps: list[Step], program: list[Step]) -> None:
    whole = [*FULL, *given_steps, *program]
    real = in_a_root_of_its_own(whole)
    if real is None:
        pytest.skip("only root may change its root")
    for step, first, second in zip(whole, real, in_the_model(whole), strict=True):
        if isinstance(first, list) and first[:1] == ["failed"]:
            assert isinstance(second, list), f"{step}: the kernel refuses it ({first[1]})"
            assert second[:1] == ["failed"], f"{step}: the kernel refuses it ({first[1]})"
        else:
            assert first == second, step
