"""Stores in a bucket of a real server: long values, forks, lines that break, hosts that write at once, recordings cut off."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.errors import KeyAbsent, StoreError, StoreUnavailable
from reenact.seal.log import Entry, Log
from reenact.store.access import Access, connect
from reenact.store.backends.object_store import SINGLE_PUT_BYTES, ObjectStoreBackend
from reenact.store.opening import open_store
from tests.bundles import bundle
from tests.integration.test_store_processes import child, content_of, run_of, status_of
from tests.servers.flaky import flaky_line
from tests.servers.gateway import Bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MIB = 1 << 20
_numbers = itertools.count()


@pytest.fixture
def url(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Give a fresh place, which the environment says how to reach, and a home for what is kept on this host."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return bucket.url(f"integration-{os.getpid()}-{next(_numbers)}")


def direct(url: str, pace: Callable[[int], None] | None = None) -> ObjectStoreBackend:
    return ObjectStoreBackend(url, os.environ, patience_seconds=10, pace=pace)


@pytest.mark.parametrize("length", [SINGLE_PUT_BYTES, SINGLE_PUT_BYTES + 1, 50 * MIB + 7])
def test_long_files(url: str, tmp_path: Path, length: int) -> None:
    taken: list[int] = []
    backend = direct(url, taken.append)
    content = content_of(1, length)
    for expected in (True, False):
        path = tmp_path / "file"
        path.write_bytes(content if expected else b"other" + bytes(length))
        assert backend.put_file_if_absent("objects/long", path) is expected
        assert not path.exists()
    assert backend.size("objects/long") == length
    assert backend.get("objects/long") == content
    assert backend.get_range("objects/long", length - 5, 100) == content[-5:]
    assert sum(taken) == length, "and what is there already is not sent in parts"
    path.write_bytes(content[::-1])
    assert backend.replace_file("objects/long", path)
    assert backend.get("objects/long") == content[::-1]
    backend.delete("objects/long")


_MEMORY = """
import os, resource, sys
from reenact.store.access import Access, connect
url, path, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
backend = connect(url, Access())
backend.exists("objects/long")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert backend.put_file_if_absent("objects/long", path)
for offset in range(0, length, 4 << 20):
    assert backend.get_range("objects/long", offset, 4 << 20)[:1] == bytes([(offset >> 20) % 251])
backend.delete("objects/long")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_memory_is_bounded_for_long_files(url: str, tmp_path: Path) -> None:
    length = 400 * MIB
    path = tmp_path / "file"
    with path.open("wb") as file:
        for number in range(length // MIB):
            file.write(bytes([number % 251]) * MIB)
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, url, path, str(length)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200, "MiB"


def test_a_forked_process_has_a_connection_of_its_own(url: str) -> None:
    backend = connect(url, Access())
    assert backend.put_if_absent("k", b"parent")

    def work() -> None:
        assert backend.get("k") == b"parent"
        assert backend.put_if_absent("child", b"child")
        assert not backend.put_if_absent("k", b"child")
        assert list(backend.list("")) == ["child", "k"]
        with pytest.raises(ValueError, match="not a key"):
            backend.get("/")
        with pytest.raises(KeyAbsent):
            backend.get("nothing")
        grandchild = child(lambda: check(backend.get("child") == b"child" and backend.put_if_absent("grand", b"")))
        assert status_of(grandchild) == 0
        assert backend.get("k") == b"parent"

    assert [status_of(each) for each in [child(work)]] == [0]
    assert backend.get("child") == b"child"
    assert backend.exists("grand")


def check(condition: bool) -> None:
    assert condition


def test_a_line_that_breaks_loses_nothing(url: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of all connections is cut, on the way there or back; every put is done once, by who is told so."""
    with flaky_line(bucket.endpoint, 0.25) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        backend = connect(url, Access(retry_seconds=60.0))
        wins: list[tuple[int, int]] = []

        def race(me: int) -> None:
            for number in range(20):
                if backend.put_if_absent(f"k/{number:02}", b"%d" % me * 1000):
                    wins.append((number, me))
                assert len(backend.get(f"k/{number:02}")) == 1000

        threads = [threading.Thread(target=race, args=(me,)) for me in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(number for number, _ in wins) == list(range(20))
        assert all(backend.get(f"k/{number:02}") == b"%d" % me * 1000 for number, me in wins)
        assert list(backend.list("k/")) == [f"k/{number:02}" for number in range(20)]


def test_a_line_that_is_down_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        open_store(url, create=True, access=Access(retry_seconds=0.3))


@pytest.mark.parametrize(
    ("variable", "value", "told", "hint"),
    [
        ("AWS_ACCESS_KEY_ID", "nobody", "it is denied \\(403 InvalidAccessKeyId\\)", "AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "wr0ng", "it is denied \\(403 SignatureDoesNotMatch\\)", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_who_may_not_is_told_so(
    url: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str, hint: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError, match=told) as caught:
        open_store(url, create=True)
    everything = f"{caught.value} {caught.value.hint()}"
    assert hint in everything
    assert bucket.secret not in everything
    assert "wr0ng" not in everything


def test_a_bucket_that_is_not_there_is_named(url: str) -> None:
    place = url.replace("s3://reenact/", "s3://nowhere/")
    with pytest.raises(StoreError, match="there is no bucket nowhere"):
        open_store(place, create=True)


def test_there_is_no_store_before_it_is_made(url: str) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        open_store(url, create=False)
    made = open_store(url, create=True)
    assert open_store(url, create=True).id == made.id
    assert open_store(url, create=False).id == made.id


def test_processes_write_the_same_objects_at_once(url: str) -> None:
    def work(number: int) -> None:
        store = open_store(url, create=True)
        writer = store.writer(run_of(number))
        for item in range(60):
            writer.add_bytes(content_of(item, 1000))
        writer.add_bytes(content_of(number, 1001))
        writer.add_bytes(content_of(1, MIB))
        writer.commit()
        store.runs.put_run(run_of(number), b"%d" % number, bundle(run_id=run_of(number)))
        for _ in range(10):
            Log(store.backend).append(entry(number))

    workers = [child(lambda number=number: work(number)) for number in range(4)]  # type: ignore[misc]
    assert [status_of(worker) for worker in workers] == [0, 0, 0, 0]
    store = open_store(url, create=False)
    wanted = [of_bytes(content_of(item, 1000)) for item in range(60)]
    wanted += [of_bytes(content_of(number, 1001)) for number in range(4)]
    wanted.append(of_bytes(content_of(1, MIB)))
    assert store.objects.verify(wanted, content=True) == []
    assert store.runs.ids() == [run_of(number) for number in range(4)]
    logged = Counter(found.run_id for found in Log(store.backend).entries())
    assert logged == {run_of(number): 10 for number in range(4)}
    store.close()


def entry(number: int) -> Entry:
    return Entry(
        kind="run",
        run_id=run_of(number),
        statement=of_bytes(b"%d" % number),
        key_id="key",
        time="2026-01-01T00:00:00.000000Z",
    )
