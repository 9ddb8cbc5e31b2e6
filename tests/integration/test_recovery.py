"""A recording that was killed with kill -9, its journal then cut or damaged anywhere: what is recovered verifies, and claims
nothing that the rest of the journal does not tell.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from reenact.actions.sealing import ensure_logged, seal_bundle
from reenact.actions.verify import verify
from reenact.capture.journal import read_records
from reenact.capture.recover import abandoned, recover
from reenact.digests import of_bytes
from reenact.ids import RunId, new_run_id
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.opening import Store, open_store

SOURCE: Final = Path(__file__).parents[2] / "src"
FILES: Final = {
    "in.csv": b"3\n1\n2\n",
    "updated.csv": b"a\nb\n",
    "removed.csv": b"gone\n",
    "moved.csv": b"moved\n",
    "log.txt": b"begin\n",
    "asked.txt": b"only asked about\n",
}
JOB: Final = """
sort in.csv > out.csv
cat updated.csv removed.csv > both.csv
echo c 1<> updated.csv
rm removed.csv
mv moved.csv elsewhere.csv
echo more >> log.txt
mkdir made; cp out.csv made/copy.csv
test -s asked.txt; cat missing.txt 2> /dev/null
ls > names.txt
echo ready
sleep 600
"""
_NEWLINE: Final = 10
_FLIPS: Final = 15
_CUTS_IN_LINES: Final = 15


@dataclass(frozen=True)
class Killed:
    """What a killed recording has left."""

    store: str
    root: Path
    journal: Path
    """Its folder, out of the store."""
    data: bytes
    earlier: str
    """The id of a run before it."""


def children(pid: int) -> Iterator[int]:
    """Give the processes below one."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from children(int(child))


def run(root: Path, store: str, *command: str) -> subprocess.Popen[bytes]:
    """Start a recording."""
    words = [sys.executable, "-m", "reenact.cli.main", "run", "--store", store, "--", *command]
    # Few variables, so that the journal is short: no folders of a long PATH, no files of a locale.
    kept = {name: value for name, value in os.environ.items() if name.startswith("XDG_")}
    if "PYTHONPATH" in os.environ:
        kept["PYTHONPATH"] = str(SOURCE)
    environment = {**kept, "PATH": "/usr/bin:/bin", "HOME": str(root.parent), "PWD": str(root), "LC_ALL": "C"}
    return subprocess.Popen(
        words, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a recording with the job and all observers, at once."""
    everyone = [process.pid, *children(process.pid)]
    for signal_number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
    process.communicate()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("recovery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(base / "config"))
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        patch.delenv("REENACT_STORE", raising=False)
        yield base


@pytest.fixture(scope="module")
def killed(environment: Path) -> Killed:
    """Record a run, and another that is killed when it has done all its work."""
    root, store = environment / "job", str(environment / "store")
    root.mkdir()
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    with run(root, store, "true") as process:
        process.communicate()
    (earlier,) = open_store(store, create=False).runs.ids()
    with run(root, store, "sh", "-c", JOB) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        (journal,) = Path(store, "journals").iterdir()
        end = time.monotonic() + 30
        while b'names.txt"' not in (journal / "events").read_bytes():
            assert time.monotonic() < end
            time.sleep(0.01)
        kill_all(process)
    aside = environment / "journal"
    journal.rename(aside)
    data = (aside / "events").read_bytes()
    (aside / "events").unlink()
    return Killed(store=store, root=root, journal=aside, data=data, earlier=earlier)


# --- cutting and damaging


def under(killed: Killed, run_id: RunId) -> bytes:
    """Give the journal as that of another run; ids are of one length, so every place in it stays."""
    old = killed_id(killed)
    lines = [line[9:].replace(old.encode(), run_id.encode()) for line in killed.data.splitlines()]
    return b"".join(b"%08x %b\n" % (zlib.crc32(line), line) for line in lines)


def killed_id(killed: Killed) -> str:
    return str(next(read_records(killed.data))[1]["run_id"])


def leave(killed: Killed, store: Store, data: bytes, run_id: RunId) -> str:
    """Leave a journal in the store, as the killed one with other records; give its folder."""
    folder = Path(store.journals, run_id)
    shutil.copytree(killed.journal, folder, copy_function=os.link)
    (folder / "events").write_bytes(data)
    return str(folder)


def damages(data: bytes, chance: random.Random) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Give ways of damaging a journal behind its first line, each with a name that tells what it does."""
    ends = [at + 1 for at, byte in enumerate(data) if byte == _NEWLINE]
    behind = range(ends[0], len(data))
    for at in (*ends[:-1], *chance.sample(behind, _CUTS_IN_LINES)):
        yield f"cut at byte {at}", lambda data, at=at: data[:at]  # type: ignore[misc]
    for at in chance.sample(behind, _FLIPS):
        bit = 1 << chance.randrange(8)
        yield (
            f"byte {at} xor {bit}",
            lambda data, at=at, bit=bit: data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :],  # type: ignore[misc]
        )
    middle = ends[len(ends) // 2]
    yield "zeros from the middle on", lambda data: data[:middle] + bytes(len(data) - middle)


def _told_apart(record: list[Any]) -> list[list[Any]]:
    if record[0] != "b":
        return [record]
    _, actor, path, *fields = record
    return [["e", path, *fields], ["n", path], ["a", actor, path, "r"]]


def assert_supported(killed: Killed, bundle: Bundle, told: list[list[Any]]) -> None:
    """Compare what a bundle says with the records there were."""
    by_kind: dict[str, set[str]] = {}
    # A first plain read is one record of an entry, what is needed of it, and its user.
    told = [each for record in told for each in _told_apart(record)]
    for record in told:
        by_kind.setdefault(record[0], set()).add(record[1] if isinstance(record[1], str) else "")
    actors = {record[1] for record in told if record[0] in "afxq"} | {"1"}
    assert (bundle.status, bundle.exit_code, bundle.ended_at) == ("incomplete", None, None)
    assert "cut-off" in {gap.code for gap in bundle.capture.gaps}
    assert not [hazard for hazard in bundle.determinism.hazards if "by something else" in hazard.message]
    assert {step.id for step in bundle.transformation_map} <= actors
    originals = {f"{killed.root}/{name}": of_bytes(content) for name, content in FILES.items()}
    for artifact in bundle.inputs:
        path = artifact.entry.path
        assert path in by_kind["e"]
        if artifact.pointer is not None:
            assert path in by_kind["n"]
            if path in originals:
                assert artifact.pointer.digest == originals[path]
        if not {"read", "executed"}.isdisjoint(artifact.access):
            assert path in by_kind["n"]
        if not {"updated", "appended", "deleted"}.isdisjoint(artifact.access):
            assert path in by_kind["m"]
    for artifact in bundle.outputs:
        path = artifact.entry.path
        assert path in by_kind.get("c", set()) | by_kind.get("m", set())
        if "deleted" in artifact.access:
            assert ["m", path, "u"] in told
    assert set(bundle.input_checksums) == {
        a.name for a in bundle.inputs if a.pointer is not None and a.kind == "data" and a.access != ("probed",)
    }


@pytest.mark.slow
def test_a_journal_cut_or_damaged_anywhere_is_recovered_as_far_as_it_goes(killed: Killed) -> None:
    seed = int(os.environ.get("REENACT_TEST_SEED", random.SystemRandom().randrange(2**32)))
    store = open_store(killed.store, create=False)
    made = []
    for number, (what, damage) in enumerate(damages(killed.data, random.Random(seed))):
        run_id = new_run_id(time.time_ns() + number * 1_000_000)
        data = damage(under(killed, run_id))
        folder = leave(killed, store, data, run_id)
        assert folder in abandoned(store.journals)
        try:
            bundle = recover(store, folder, seal_bundle, "the recording was killed", ensure_logged)
            assert bundle is not None
            assert_supported(killed, bundle, [*read_records(data)])
        except Exception as error:
            raise AssertionError(f"{what}, seed {seed}") from error
        assert not os.path.exists(folder)
        made.append(run_id)
    assert len(made) > 100
    assert sorted(store.runs.ids()) == sorted([killed.earlier, *made])
    settings = Settings(root=str(killed.root), store=killed.store)
    wrong = [(run.run_id, run.findings) for run in verify(settings, (), everything=True, deep=True) if run.findings]
    assert not wrong
