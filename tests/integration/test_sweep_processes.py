"""Writers and prunes in processes of their own, at once and killed in the middle: nothing that a run refers to is lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from reenact.actions.prune import PruneRequest, prune
from reenact.actions.sweeping import SweepRequest
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.errors import StoreError
from reenact.govern.selection import Selection
from reenact.ids import RunId
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.bundles import artifact
from tests.records import add_run

pytestmark = pytest.mark.slow


def content_of(number: int) -> bytes:
    """Give one of a few contents that runs share: small ones, and large ones that do not compress."""
    return random.Random(number).randbytes(700 + number if number % 3 else SMALL_BYTES + number)


def child(work: Callable[[], None]) -> int:
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
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    folder = tempfile.mkdtemp(prefix="reenact-sweep-")
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{folder}/config")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
    open_store(f"{folder}/store", create=True).close()
    yield Settings(root=folder, store=f"{folder}/store")
    shutil.rmtree(folder)


def record(store: Store, number: int, chance: random.Random) -> None:
    contents = [content_of(which) for which in chance.sample(range(12), 4)]
    outputs = tuple(artifact(f"out{place}", content, "created") for place, content in enumerate(contents))
    add_run(store, number, kept=(b"in", b"print()", *contents), outputs=outputs, job=f"job{number % 3}")


def sweep_all(settings: Settings, *, keep_last: int | None = 2, repack: bool = True) -> bool:
    """Prune and sweep; False when another was at it."""
    request = PruneRequest(
        selection=Selection(keep_last=keep_last),
        yes=True,
        sweeping=SweepRequest(grace_seconds=0, wait_seconds=20, repack=repack),
    )
    try:
        prune(settings, request)
    except StoreError as error:
        if "another" not in str(error):
            raise
        return False
    return True


def check(settings: Settings) -> int:
    checked = verify(settings, (), everything=True, deep=True)
    assert [(run.run_id, run.findings) for run in checked if run.findings] == []
    return len(checked)


def test_writers_and_prunes_at_once(settings: Settings) -> None:
    """Four record runs of the same contents, two prune and repack what the others have just put, without a grace period."""

    def write(me: int) -> None:
        chance = random.Random(me)
        for number in range(25):
            store = open_store(settings.store, create=False)
            record(store, me * 1000 + number + 1, chance)
            store.close()

    def clean(me: int) -> None:
        done = 0
        while done < 12:
            done += sweep_all(settings, repack=me % 2 == 0)

    processes = [child(lambda me=me: write(me)) for me in range(4)]  # type: ignore[misc]
    processes += [child(lambda me=me: clean(me)) for me in range(2)]  # type: ignore[misc]
    assert [status_of(process) for process in processes] == [0] * 6
    assert check(settings) >= 6
    assert sweep_all(settings)
    assert check(settings) == 6
    store = open_store(settings.store, create=False)
    assert [*store.backend.list("writers/"), *store.backend.list("condemned/"), *store.backend.list("pruning/")] == []
    store.close()


def test_killed_anywhere_it_loses_nothing_and_the_next_finishes(settings: Settings) -> None:
    chance = random.Random(7)
    store = open_store(settings.store, create=False)
    for number in range(1, 5):
        record(store, number, chance)

    def clean() -> None:
        sweep_all(settings, keep_last=1)

    killed, number = 0, 5
    begun = time.monotonic()
    assert sweep_all(settings)
    whole_seconds = time.monotonic() - begun
    for _ in range(40):
        for _ in range(2):
            record(store, number, chance)
            number += 1
        process = child(clean)
        time.sleep(chance.uniform(0, whole_seconds * 1.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        killed += status_of(process) == -signal.SIGKILL
        check(settings)
    assert killed > 5
    assert sweep_all(settings, keep_last=1)
    assert check(settings) == 3
    fresh = open_store(settings.store, create=False)
    needed = {digest for run in fresh.runs.ids() for digest in _needs(fresh, run)}
    there = {of_bytes(content_of(which)) for which in range(12) if which % 3 == 0}
    assert {digest for digest in there if fresh.objects.holds(digest)} <= needed
    assert [*fresh.backend.list("condemned/"), *fresh.backend.list("pruning/")] == []
    fresh.close()
    store.close()


def _needs(store: Store, run: RunId) -> set[str]:
    from reenact.actions.marking import Marks

    return set(Marks(store).of_run(run))
