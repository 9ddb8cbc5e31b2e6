"""A store shared by processes, killed in the middle, full, and read-only."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.errors import ReenactError, StoreError
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.writer import ObjectWriter
from tests.bundles import bundle, run_id
from tests.shelf import Shelf, edited, table

NOBODY = 65534
LARGE = SMALL_BYTES * 2


def run_of(number: int) -> RunId:
    return RunId(run_id(number))


def content_of(number: int, length: int) -> bytes:
    """Give bytes that are the same in every process and do not compress."""
    return random.Random(number).randbytes(length)


def child(work: Callable[[], None]) -> int:
    """Do something in a forked process; it exits with 1 when it raises."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # noqa: BLE001 - told by the exit status
            print(repr(error))  # noqa: T201 - pytest shows it
        finally:
            os._exit(code)
    return process


def status_of(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="reenact-store-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_processes_make_one_store_and_write_the_same_objects_at_once(place: Path) -> None:
    location = str(place / "store")
    ready, go = os.pipe()

    def work(number: int) -> None:
        os.read(ready, 1)
        store = open_store(location, create=True)
        writer = store.writer(run_of(number))
        for item in range(60):
            writer.add_bytes(content_of(item, 1000))
        writer.add_bytes(content_of(number, 1001))
        writer.add_bytes(content_of(1, LARGE))
        writer.commit()
        store.runs.put_run(run_of(number), b"%d" % number, bundle(run_id=run_of(number)))

    workers = [child(lambda number=number: work(number)) for number in range(4)]  # type: ignore[misc]
    os.write(go, b"1234")
    assert [status_of(worker) for worker in workers] == [0, 0, 0, 0]
    os.close(ready)
    os.close(go)
    store = open_store(location, create=False)
    wanted = [of_bytes(content_of(item, 1000)) for item in range(60)]
    wanted += [of_bytes(content_of(number, 1001)) for number in range(4)]
    wanted.append(of_bytes(content_of(1, LARGE)))
    assert store.objects.verify(wanted, content=True) == []
    assert store.runs.ids() == [run_of(number) for number in range(4)]
    assert list((place / "store" / "staging").iterdir()) == []
    store.close()


def check_whole(store: Store) -> None:
    """Every value of a store is whole: what is named by a digest has it, and every committed run has its objects."""
    for key in store.backend.list("packs/"):
        if key.endswith(".pack"):
            assert f"packs/{hashlib.sha256(store.backend.get(key)).hexdigest()}.pack" == key
    objects = [Digest("sha256:" + "".join(key.split("/")[1:])) for key in store.backend.list("objects/")]
    assert store.objects.verify(objects, content=True) == []
    for run in store.runs.ids():
        wanted = store.runs.envelope(run).decode().split()
        assert store.objects.verify([Digest(digest) for digest in wanted], content=True) == []


@pytest.mark.slow
def test_killed_at_any_instant_it_leaves_a_store_that_verifies(place: Path) -> None:
    location = str(place / "store")
    open_store(location, create=True).close()
    chance = random.Random(20)

    def work(number: int) -> None:
        store = open_store(location, create=False)
        writer = store.writer(run_of(number))
        digests = [writer.add_bytes(content_of(number * 100 + item, 5000)) for item in range(20)]
        digests += [writer.add_bytes(content_of(number * 100 + item, LARGE)) for item in range(20, 24)]
        writer.commit()
        store.runs.put_run(run_of(number), " ".join(digests).encode(), bundle(run_id=run_of(number)))

    begun = time.monotonic()
    assert status_of(child(lambda: work(0))) == 0
    whole_seconds = time.monotonic() - begun
    killed = 0
    for number in range(1, 40):
        process = child(lambda number=number: work(number))  # type: ignore[misc]
        time.sleep(chance.uniform(0, whole_seconds * 1.2))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        killed += status_of(process) == -signal.SIGKILL
        store = open_store(location, create=False)
        check_whole(store)
        store.discard_unfinished(run_of(number))
        store.close()
    assert killed
    store = open_store(location, create=False)
    assert list((place / "store" / "staging").iterdir()) == []
    writer = store.writer(run_of(99))
    digest = writer.add_bytes(b"still usable")
    writer.commit()
    assert store.objects.read(digest) == b"still usable"
    store.close()


@pytest.mark.slow
def test_killed_at_any_instant_while_it_writes_deltas_no_version_before_is_lost(place: Path) -> None:
    location = str(place / "store")
    shelf = Shelf(location, DeltaPolicy(from_bytes=1, most_depth=3))
    versions: list[tuple[Digest, bytes]] = []
    content = table(12_000)
    previous = shelf.put(content)
    versions.append((previous, content))
    shelf.close()
    chance = random.Random(21)
    killed = 0
    whole_seconds = 0.5
    for number in range(1, 25):
        content = edited(versions[-1][1], number)

        def work(number: int = number, content: bytes = content, previous: Digest = previous) -> None:
            store = open_store(location, create=False, deltas=DeltaPolicy(from_bytes=1, most_depth=3))
            writer = store.writer(run_of(number))
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.flush()
                writer.add_descriptor(file.fileno(), previous)
            writer.commit()

        begun = time.monotonic()
        process = child(work)
        if number > 1:
            time.sleep(chance.uniform(0, whole_seconds * 1.1))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        status = status_of(process)
        whole_seconds = time.monotonic() - begun if number == 1 else whole_seconds
        killed += status == -signal.SIGKILL
        store = open_store(location, create=False)
        digest = of_bytes(content)
        if store.objects.holds(digest):
            versions.append((digest, content))
            previous = digest
        else:
            assert status != 0
        assert store.objects.verify([found for found, _ in versions], content=True) == []
        store.discard_unfinished(run_of(number))
        assert list((place / "store" / "staging").iterdir()) == []
        store.close()
    assert killed
    store = open_store(location, create=False)
    assert all(store.objects.read(digest) == whole for digest, whole in versions)
    store.close()


def test_processes_that_make_deltas_against_the_same_version_at_once_lose_nothing(place: Path) -> None:
    location = str(place / "store")
    shelf = Shelf(location, DeltaPolicy(from_bytes=1))
    base = table(12_000)
    previous = shelf.put(base)
    shelf.close()

    def work(number: int) -> None:
        own = Shelf(location, DeltaPolicy(from_bytes=1))
        found = previous
        for step in range(6):
            # Every third version is one that the others make, too.
            found = own.put(edited(base, step if step % 3 == 0 else 100 * number + step), found)

    processes = [child(lambda number=number: work(number)) for number in range(4)]  # type: ignore[misc]
    assert [status_of(process) for process in processes] == [0, 0, 0, 0]
    store = open_store(location, create=False)
    steps = range(6)
    wanted = {
        of_bytes(whole): whole
        for number in range(4)
        for step in steps
        for whole in (edited(base, step if step % 3 == 0 else 100 * number + step),)
    }
    assert len(wanted) == 2 + 4 * 4
    assert store.objects.verify(wanted, content=True) == []
    assert all(store.objects.read(digest) == whole for digest, whole in wanted.items())
    store.close()


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """Give a file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system of 1 MiB")
    folder = place / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting is not possible here: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(writer: ObjectWriter) -> None:
    for item in range(100, 1200):
        writer.add_bytes(content_of(item, 2000))
    writer.commit()


def test_a_full_disk_is_told_with_a_hint_and_leaves_what_was_there(small_disk: Path) -> None:
    store = open_store(str(small_disk / "store"), create=True)
    writer = store.writer(run_of(1))
    kept = [writer.add_bytes(content_of(item, 1000)) for item in range(20)]
    writer.commit()

    writer = store.writer(run_of(2))
    with pytest.raises(StoreError, match="No space left") as caught:
        writer.add_bytes(content_of(1, 2 << 20))
    assert "free some space" in caught.value.hint()
    # The others may still go in, now that the large one is gone again.
    later = writer.add_bytes(content_of(2, 1000))
    writer.commit()

    writer = store.writer(run_of(3))
    with pytest.raises(StoreError, match="No space left"):
        fill(writer)
    writer.abandon()
    assert list((small_disk / "store" / "staging").iterdir()) == []
    assert store.objects.verify([*kept, later], content=True) == []
    again = store.writer(run_of(4))
    last = again.add_bytes(b"there is room again")
    again.commit()
    assert store.objects.read(last) == b"there is room again"
    store.close()


def test_a_read_only_store_is_read_and_its_caches_go_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3  # noqa: F401 - an ordinary user may not reach the interpreter's folder later

    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "caches"))
    (place / "caches").mkdir(mode=0o777)
    (place / "caches").chmod(0o777)
    store = open_store(str(place / "store"), create=True)
    writer = store.writer(run_of(1))
    digest, large = writer.add_bytes(b"content"), writer.add_bytes(content_of(1, LARGE))
    writer.commit()
    store.close()
    shutil.rmtree(store.cache)
    for folder, _, _ in os.walk(store.location):
        Path(folder).chmod(0o555)

    def work() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        opened = open_store(store.location, create=False)
        assert Path(opened.cache) == place / "caches" / "reenact" / opened.id
        assert opened.objects.read(digest) == b"content"
        assert opened.objects.verify([digest, large], content=True) == []
        assert Path(opened.cache, "objects.sqlite").exists()
        with pytest.raises(StoreError) as caught:
            opened.backend.put_if_absent("k/v", b"")
        assert "--store" in caught.value.hint()
        with pytest.raises(ReenactError):
            opened.writer(run_of(2)).add_bytes(b"more")
        with pytest.raises(StoreError):
            open_store(f"{store.location}/below", create=True)

    assert status_of(child(work)) == 0
    for folder, _, _ in os.walk(store.location):
        Path(folder).chmod(0o755)
