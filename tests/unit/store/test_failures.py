"""What the operating system refuses is told with what can be done; nothing half done is left."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.errors import IntegrityError, StoreError
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.failures import store_error
from reenact.store.opening import Store, open_store
from tests.bundles import run_id
from tests.records import add_run

RUN = RunId(run_id(1))
not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def mode(path: str | Path, bits: int) -> Iterator[None]:
    before = os.stat(path).st_mode
    os.chmod(path, bits)
    try:
        yield
    finally:
        os.chmod(path, before)


def put(store: Store, *contents: bytes) -> None:
    """Put objects, or leave none."""
    writer = store.writer(RUN)
    try:
        for content in contents:
            writer.add_bytes(content)
        writer.commit()
    finally:
        writer.abandon()


def everything(location: str) -> set[str]:
    return {str(path) for path in Path(location).rglob("*") if path.is_file() and "/cache/" not in str(path)}


# --- in words


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.ENOSPC, "No space left on device", "free some space"),
        (errno.EDQUOT, "Disk quota exceeded", "quota"),
        (errno.EROFS, "Read-only file system", "read-only"),
        (errno.EMFILE, "Too many open files", "ulimit -n"),
        (errno.EIO, "Input/output error", "disk reports an error"),
        (errno.ENAMETOOLONG, "File name too long", "too long"),
        (errno.EACCES, "Permission denied", f"user {os.geteuid()} lacks the permission"),
        (errno.EPERM, "Operation not permitted", "lacks the permission"),
        (errno.EINTR, "Interrupted system call", ""),
    ],
)
def test_a_refusal_is_told_with_what_can_be_done(number: int, said: str, hint: str) -> None:
    error = store_error(OSError(number, os.strerror(number)), "write objects/ab")
    assert str(error) == f"cannot write objects/ab: {said}"
    assert hint in error.hint()
    assert bool(hint) == bool(error.hint())


def test_a_refusal_without_a_number_is_told_in_its_own_words() -> None:
    assert str(store_error(OSError("odd"), "write x")) == "cannot write x: odd"


# --- what may not be touched


@not_root
@pytest.mark.usefixtures("store")
def test_a_store_that_may_not_be_read_is_told(location: str) -> None:
    for path, bits in ((f"{location}/store.json", 0), (location, 0)):
        with mode(path, bits), pytest.raises(StoreError, match="Permission denied") as caught:
            open_store(location, create=False)
        assert "lacks the permission" in caught.value.hint()


@not_root
@pytest.mark.usefixtures("keys")
def test_runs_that_may_not_be_read_are_told(store: Store, location: str) -> None:
    made = add_run(store)
    with mode(f"{location}/runs", 0), pytest.raises(StoreError, match="Permission denied"):
        store.runs.ids()
    envelope = next(Path(location, "runs", made.run_id).glob("bundle*"))
    with mode(envelope, 0), pytest.raises(StoreError, match="Permission denied"):
        store.runs.envelope(RunId(made.run_id))


@not_root
def test_a_store_that_may_not_be_written_takes_nothing(store: Store, location: str) -> None:
    with mode(location, 0o500), pytest.raises(StoreError, match="Permission denied"):
        put(store, b"x")


@not_root
def test_a_store_that_can_only_be_read_can_be_read(
    store: Store, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(location).parent / "my-cache"))
    writer = store.writer(RUN)
    digest = writer.add_bytes(b"content")
    writer.commit()
    store.close()
    folders = [location, *(str(p) for p in Path(location).rglob("*") if p.is_dir())]
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(mode(folder, 0o500))
        reader = open_store(location, create=False)
        assert reader.objects.read(digest) == b"content"
        assert not str(reader.cache).startswith(location)
        reader.close()


# --- a disk that is full


@pytest.mark.parametrize("size", [0, 10, 100, 1000, 20_000])
def test_a_file_that_cannot_grow_leaves_nothing_half_written(store: Store, location: str, size: int) -> None:
    store.objects.verify([], content=False)
    before = everything(location)
    with file_limit(size), pytest.raises((StoreError, OSError)):
        put(store, b"small", os.urandom(40_000), os.urandom(3 << 20))
    visible = {path for path in everything(location) - before if "/staging/" not in path and "/writers" not in path}
    assert visible == set()
    again = store.writer(RUN)
    digest = again.add_bytes(b"small")
    again.commit()
    assert store.objects.read(digest) == b"small"


@pytest.mark.usefixtures("keys")
def test_a_run_that_cannot_be_put_is_no_run(store: Store, location: str) -> None:
    from reenact.actions.verify import verify

    add_run(store, 1)
    for size in (0, 5, 200, 900):
        with file_limit(size), contextlib.suppress(StoreError, OSError):
            add_run(store, 2)
        fresh = open_store(location, create=False)
        ids = fresh.runs.ids()
        fresh.close()
        assert run_id(1) in ids
    add_run(store, 3)
    checked = verify(Settings(root=str(Path(location).parent), store=location), (), everything=True, deep=True)
    assert {run.run_id for run in checked} >= {run_id(1), run_id(3)}
    assert [run for run in checked if run.findings and run.run_id in (run_id(1), run_id(3))] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@only_root
@pytest.mark.usefixtures("keys")
def test_a_full_disk_is_told_and_forgotten_when_there_is_room(small_disk: Path) -> None:
    store = open_store(str(small_disk / "store"), create=True)
    add_run(store, 1)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(StoreError) as caught:
        add_run(store, 2, kept=(b"in", b"print()", b"out", os.urandom(100_000)))
    assert "No space left on device" in str(caught.value)
    assert "the disk is full" in caught.value.hint()
    assert store.runs.ids() == [run_id(1)]
    filler.unlink()
    store.discard_unfinished(RunId(run_id(2)))
    add_run(store, 2)
    assert store.runs.ids() == [run_id(1), run_id(2)]
    store.close()


@only_root
@pytest.mark.usefixtures("keys")
def test_a_disk_that_was_mounted_read_only_can_be_read(small_disk: Path) -> None:
    store = open_store(str(small_disk / "store"), create=True)
    made = add_run(store, 1)
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    reader = open_store(str(small_disk / "store"), create=False)
    assert reader.runs.envelope(RunId(made.run_id))
    with pytest.raises(StoreError) as caught:
        put(reader, b"x")
    assert "Read-only file system" in str(caught.value)
    reader.close()


# --- what is there is not what it should be


@pytest.mark.parametrize("replacement", ["folder", "link to nothing"])
@pytest.mark.usefixtures("keys")
def test_an_object_that_is_no_file_is_missing_or_refused(store: Store, location: str, replacement: str) -> None:
    writer = store.writer(RUN)
    digest = writer.add_bytes(os.urandom(3 << 20))
    writer.commit()
    [path] = [p for p in Path(location, "objects").rglob("*") if p.is_file()]
    path.unlink()
    if replacement == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nowhere")
    fresh = open_store(location, create=False)
    with pytest.raises(IntegrityError):
        fresh.objects.read(digest)
    assert [finding.digest for finding in fresh.objects.verify([digest], content=True)] == [digest]
    fresh.close()
