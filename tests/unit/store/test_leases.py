from __future__ import annotations

import os
import signal

import pytest

from reenact.ids import RunId
from reenact.store.backends.memory import MemoryBackend
from reenact.store.leases import Lease, Leases, condemned, describe_process, is_gone
from reenact.store.opening import Store
from tests.bundles import bundle, run_id


def test_this_process_lives() -> None:
    assert not is_gone(describe_process())


def test_a_process_that_has_ended_is_gone_also_when_nobody_reaped_it() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        import json

        os.write(writer, json.dumps(describe_process()).encode())
        signal.pause()
    import json

    holder = json.loads(os.read(reader, 4096))
    assert not is_gone(holder)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_gone(holder)
    os.waitpid(child, 0)
    assert is_gone(holder)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("field", ["boot", "namespace"])
def test_of_another_host_or_container_nothing_is_known(field: str) -> None:
    assert not is_gone({**describe_process(), field: "another", "pid": 2**22 + 1})
    assert is_gone({**describe_process(), "pid": 2**22 + 1})


def test_a_number_that_another_process_has_now_is_not_the_one() -> None:
    assert is_gone({**describe_process(), "started": "1"})


@pytest.mark.parametrize("holder", [{}, {"boot": "", "namespace": ""}, {"pid": "text"}])
def test_what_cannot_be_understood_counts_as_living(holder: dict[str, object]) -> None:
    assert not is_gone(holder)


def test_leases_are_released_by_subject() -> None:
    leases = Leases(MemoryBackend())
    one, other = leases.take("a"), leases.take("a")
    leases.take("ab")
    assert one.key != other.key
    assert {lease.subject for lease in leases.all()} == {"a", "ab"}
    leases.release("a")
    assert [lease.subject for lease in leases.all()] == ["ab"]


def test_a_damaged_lease_is_one_of_nobody() -> None:
    backend = MemoryBackend()
    for place, data in enumerate((b"", b"\xff", b"[" * 100_000, b"1")):
        backend.put_if_absent(f"writers/{place}.x", data)
    assert Leases(backend).all() == [Lease(f"writers/{place}.x", {}) for place in range(4)]


def test_condemned_keys_of_all_sweeps() -> None:
    backend = MemoryBackend()
    assert condemned(backend) == frozenset()
    backend.put_if_absent("condemned/1", b"{}\na/b\nc\n")
    backend.put_if_absent("condemned/2", b"{}\nd\n")
    backend.put_if_absent("condemned/3", b"")
    assert condemned(backend) == {"a/b", "c", "d"}


def test_a_writer_has_a_lease_until_its_run_is_put(store: Store) -> None:
    run = RunId(run_id(1))
    store.writer(run)
    assert [lease.subject for lease in store.leases.all()] == [run]
    store.runs.put_run(run, b"envelope", bundle(run_id=run))
    assert store.leases.all() == []
    store.writer(run)
    assert not store.runs.put_run(run, b"envelope", bundle(run_id=run))
    assert store.leases.all() == []
    store.writer(run)
    store.discard_unfinished(run)
    assert store.leases.all() == []
