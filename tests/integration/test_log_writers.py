"""Many processes append to one log at once: it stays a line without gaps, and every entry can be proven."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reenact.actions.checkpointing import make_checkpoint
from reenact.actions.logview import LogView
from reenact.actions.sealing import SealWith
from reenact.seal.entry import load
from reenact.seal.merkle import leaf_hash, root_of_inclusion
from reenact.seal.tiles import Tree
from reenact.store.opening import Store, open_store
from tests.servers.gateway import Bucket

WRITERS = 8
WRITER = """
import sys
from reenact.actions.sealing import append, signers
from reenact.digests import of_bytes
from reenact.clock import timestamp
from reenact.seal.log import Entry
from reenact.store.opening import open_store
location, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(location, create=False)
[by] = signers(store)
sys.stdin.read()
for number in range(count):
    said = f"{me}-{number}"
    append(store, Entry(kind="run", run_id=said, statement=of_bytes(said.encode()), key_id=by.public.key_id, time=timestamp()), by)
"""


def write_all(location: str, each: int, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", WRITER, location]
    writers = [
        subprocess.Popen([*command, str(me), str(each)], stdin=subprocess.PIPE, env={**os.environ, **environment})
        for me in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0] * WRITERS


def judge(store: Store, each: int) -> None:
    view = LogView(store)
    assert view.all_flaws() == []
    entries = [load(view.leaf(index), index) for index in range(view.size)]
    wanted = {f"{me}-{number}" for me in range(WRITERS) for number in range(each)}
    runs = [entry.run_id for entry in entries if entry.kind == "run"]
    assert (len(runs), set(runs)) == (len(wanted), wanted)
    for me in range(WRITERS):  # each writer's entries are in the order it wrote them
        own = [run for run in runs if run.startswith(f"{me}-")]
        assert own == [f"{me}-{number}" for number in range(each)]
    size = make_checkpoint(store, SealWith())
    tree = Tree(store.backend, size)
    root = tree.root()
    for index in range(size):
        assert root_of_inclusion(index, size, leaf_hash(view.leaf(index)), tree.inclusion(index)) == root
    assert LogView(store).root_flaws() == []


def test_writers_of_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = open_store(str(tmp_path / "store"), create=True)
    write_all(store.location, 12, {})
    judge(store, 12)
    store.close()


@pytest.mark.slow
def test_writers_of_one_folder_append_two_thousand_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = open_store(str(tmp_path / "store"), create=True)
    write_all(store.location, 250, {})
    judge(store, 250)
    store.close()


@pytest.mark.slow
def test_writers_of_one_bucket_append_two_thousand_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    store = open_store(bucket.url("log-writers"), create=True)
    write_all(store.location, 250, {})
    judge(store, 250)
    store.close()
