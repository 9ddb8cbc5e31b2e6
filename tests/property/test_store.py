"""The store equals a dictionary from digest to content; a pack's index equals a dictionary from digest to record."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reenact.digests import Digest, of_bytes
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from reenact.store.packs import PackIndex, Record, encode_index, encode_records

RUN = RunId("01990000-0001-7000-8000-000000000001")
DELTAS = DeltaPolicy(from_bytes=1, most_depth=3)

numbers = st.integers(min_value=0, max_value=2**64 - 1)
records = st.builds(Record, numbers, numbers, numbers, st.binary(min_size=32, max_size=32))
digests = st.binary(min_size=32, max_size=32)
small = st.binary(max_size=2000) | st.text(alphabet="ab,\n", max_size=3000).map(str.encode)
large = st.builds(
    lambda seed, more: seed * (SMALL_BYTES // len(seed)) + more, st.binary(min_size=1, max_size=50), small
)


@given(st.dictionaries(digests, records, max_size=50), st.binary(min_size=32, max_size=32), numbers, digests)
def test_an_index_is_a_dictionary(content: dict[bytes, Record], sha256: bytes, pack_bytes: int, other: bytes) -> None:
    index = PackIndex(sha256.hex(), encode_index(sha256, pack_bytes, encode_records(content)))
    assert (index.count, index.pack_bytes) == (len(content), pack_bytes)
    assert list(index.digests()) == sorted(content)
    assert {digest: index.find(digest) for digest in content} == content
    assert index.find(other) == content.get(other)


class StoreIsADictionary(RuleBasedStateMachine):
    """Writers, commits, abandonments, lost caches and new processes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="reenact-property-")
        self.store = self.make(f"{self.folder}/store")
        self.writer = self.store.writer(RUN)
        self.kept: dict[Digest, bytes] = {}
        self.pending: dict[Digest, bytes] = {}

    def make(self, location: str) -> Store:
        return open_store(location, create=True, deltas=DELTAS)

    @rule(content=small | large)
    def add(self, content: bytes) -> None:
        digest = self.writer.add_bytes(content)
        assert digest == of_bytes(content)
        self.pending[digest] = content

    @rule(content=small | large, resembles=st.integers(min_value=0, max_value=5))
    def add_file(self, content: bytes, resembles: int) -> None:
        self._add_file(content, next(iter([*self.kept][resembles:]), None))

    @rule(which=st.integers(min_value=0, max_value=5), at=st.integers(min_value=0, max_value=1 << 20), new=small)
    def add_a_later_version(self, which: int, at: int, new: bytes) -> None:
        for digest, content in list(self.kept.items())[which : which + 1]:
            self._add_file(content[:at] + new + content[at:], digest)

    def _add_file(self, content: bytes, previous: Digest | None) -> None:
        path = Path(self.folder) / "file"
        path.write_bytes(content)
        with path.open("rb") as file:
            added = self.writer.add_descriptor(file.fileno(), previous)
        assert (added.digest, added.size_bytes) == (of_bytes(content), len(content))
        assert added.new == (added.digest not in self.kept | self.pending)
        self.pending[added.digest] = content

    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self.kept |= self.pending
        self.pending = {}

    @rule()
    def abandon(self) -> None:
        self.writer.abandon()
        self.pending = {}

    @rule()
    def reopen(self) -> None:
        self.abandon()
        self.store.close()
        self.store = open_store(self.store.location, create=False, deltas=DELTAS)
        self.writer = self.store.writer(RUN)

    @rule()
    def lose_the_cache(self) -> None:
        self.reopen()
        shutil.rmtree(self.store.cache, ignore_errors=True)

    @invariant()
    def holds_what_was_committed(self) -> None:
        for digest, content in self.kept.items():
            assert self.store.objects.read(digest) == content
            assert self.store.objects.size(digest) == len(content)
        for digest in self.pending:
            assert self.writer.holds(digest)
            assert self.store.objects.holds(digest) == (digest in self.kept)
        for thorough in (False, True):
            assert self.store.objects.verify(self.kept, content=thorough) == []

    def teardown(self) -> None:
        self.writer.abandon()
        self.store.close()
        shutil.rmtree(self.folder)


StoreIsADictionary.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestStoreIsADictionary = StoreIsADictionary.TestCase


@settings(max_examples=20, deadline=None)
@given(st.lists(small, min_size=1, max_size=20, unique=True))
def test_equal_content_makes_equal_packs(contents: list[bytes]) -> None:
    """Nothing of the time, the host or the process gets into a pack."""
    names = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(f"{folder}/store", create=True)
            writer = store.writer(RUN)
            for content in contents:
                writer.add_bytes(content)
            writer.commit()
            names.append(list(store.backend.list("packs/")))
            pack = store.backend.get(names[-1][1])
            assert f"packs/{hashlib.sha256(pack).hexdigest()}.pack" == names[-1][1]
            store.close()
    assert names[0] == names[1]
