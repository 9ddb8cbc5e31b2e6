"""Measure evidence: appending to the log, verifying one run, proving inclusion among a million entries.

    python bench/evidence.py [--entries 1000000] [--appends 1000]

Times are of the wall clock, with those of the processor beside them: the machine may be busy. Reads are counted values of the
store. Data goes to $BENCH/evidence (default /tmp/reenact-bench) and is deleted at the end. The million entries are not written
one by one: only their tiles are, and the entries that are asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reenact.actions.proving import attest
from reenact.actions.sealing import append, signers
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.seal.log import Entry, entry_key
from reenact.seal.merkle import leaf_hash, root, root_of_inclusion
from reenact.seal.tiles import TILE_LEAVES, Tree, tile_key
from reenact.settings import Settings
from reenact.store.backends.folder import FolderBackend
from reenact.store.opening import open_store
from tests.bundles import run_id
from tests.records import add_run, add_verdict


class Counting(FolderBackend):
    """Counts what is read."""

    read = 0

    def get(self, key: str) -> bytes:
        self.read += 1
        return super().get(key)


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Give the median of wall-clock and of processor milliseconds."""
    walls, processors = [], []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1000)
        processors.append((time.process_time() - processor) * 1000)
    return statistics.median(walls), statistics.median(processors)


def say(what: str, times: tuple[float, float], budget: str, more: str = "") -> None:
    print(f"{what:<52} {times[0]:8.2f} ms wall {times[1]:8.2f} ms processor   {budget:<9} {more}")


def run_store(folder: str, appends: int) -> None:
    os.environ["XDG_CONFIG_HOME"] = f"{folder}/config"
    settings = Settings(root=folder, store=f"{folder}/store")
    store = open_store(settings.store, create=True)
    made = add_run(store, 1)
    add_run(store, 2)
    add_verdict(store, made, 9)
    by = signers(store)[0]

    def one() -> None:
        entry = Entry(kind="run", run_id="x", statement=of_bytes(os.urandom(8)), key_id=by.public.key_id, time=TIME)
        append(store, entry, by)

    one()
    say(f"append an entry, of {appends:,}", timed(one, appends), "≤ 5 ms")
    say("verify one run, its objects and verdicts", timed(lambda: verify(settings, (run_id(1),)), 20), "≤ 50 ms")
    say("verify the whole log and all runs", timed(lambda: verify(settings, (), everything=True), 3), "")
    attest(settings, run_id(1), f"{folder}/proofs")
    say("write a proof file", timed(lambda: attest(settings, run_id(1), f"{folder}/proofs"), 10), "")
    store.close()


TIME = "2026-01-31T06:00:00.000000Z"


def write_tiles(place: FolderBackend, entries: int) -> bytes:
    """Write the tiles of a log whose entries are their own numbers; give its root."""
    level, hashes = 0, [leaf_hash(b"entry %d" % index) for index in range(entries)]
    whole = root(hashes)
    while hashes:
        above = []
        for first in range(0, len(hashes), TILE_LEAVES):
            tile = hashes[first : first + TILE_LEAVES]
            path = Path(place.location, tile_key(level, first // TILE_LEAVES, len(tile)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(tile))
            if len(tile) == TILE_LEAVES:
                above.append(root(tile))
        level, hashes = level + 1, above
    return whole


def run_inclusion(folder: str, entries: int) -> None:
    place = Counting(folder)
    whole = write_tiles(place, entries)
    indices = [(number * 7919 * 104729) % entries for number in range(200)]
    for index in indices:
        place.put_if_absent(entry_key(index), b"entry %d" % index)
    turn = iter(indices * 2)
    most = 0

    def prove() -> None:
        nonlocal most
        index = next(turn)
        place.read = 0
        leaf = place.get(entry_key(index))
        proof = Tree(place, entries).inclusion(index)
        most = max(most, place.read)
        if root_of_inclusion(index, entries, leaf_hash(leaf), proof) != whole:
            raise SystemExit(f"the proof of entry {index} does not hold")

    say(f"prove inclusion among {entries:,}", timed(prove, len(indices)), "≤ 20 ms", f"{most} reads at most")

    def consistent() -> None:
        place.read = 0
        Tree(place, entries).consistency(entries // 3)

    say("prove consistency with a third of them", timed(consistent, 50), "", f"{place.read} reads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--appends", type=int, default=1000)
    given = parser.parse_args()
    base = f"{os.environ.get('BENCH', '/tmp/reenact-bench')}/evidence"
    os.makedirs(base, exist_ok=True)
    folder = tempfile.mkdtemp(dir=base)
    try:
        run_store(folder, given.appends)
        os.mkdir(f"{folder}/million")
        run_inclusion(f"{folder}/million", given.entries)
    finally:
        shutil.rmtree(folder)
    print(f"load: {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
