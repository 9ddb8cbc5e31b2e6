from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from reenact.errors import IntegrityError, RunNotFound, StoreError
from reenact.ids import RunId
from reenact.store.opening import Store
from tests.bundles import artifact, bundle, run_id

RUN, SECOND, REPLAY = (RunId(run_id(number)) for number in (1, 2, 3))
ENVELOPE = b'{"payload":"' + b"A" * 5000 + b'"}'


def test_a_run_comes_back_byte_for_byte(store: Store) -> None:
    assert store.runs.put_run(RUN, ENVELOPE, bundle())
    assert store.runs.envelope(RUN) == ENVELOPE
    assert store.runs.ids() == [RUN]
    packed = (Path(store.location) / f"runs/{RUN}/bundle.dsse.json.zst").read_bytes()
    assert packed.startswith(b"\x28\xb5\x2f\xfd")
    assert len(packed) < len(ENVELOPE) // 10


def test_the_views_say_what_the_bundle_says(store: Store) -> None:
    inputs = (artifact("folder", None, "listed"), artifact("in.csv", b"a,b\n"))
    made = bundle(inputs=inputs)
    store.runs.put_run(RUN, ENVELOPE, made)
    lines = [json.loads(line) for line in store.runs.view(RUN, "inputs/pointers.jsonl").splitlines()]
    assert [line["name"] for line in lines] == ["folder", "in.csv"]
    assert set(lines[0]) == {"name", "path", "access", "digest", "size_bytes", "media_type", "origin"}
    assert lines[0]["digest"] is None
    pointer = inputs[1].pointer
    assert pointer is not None
    assert (lines[1]["digest"], lines[1]["size_bytes"], lines[1]["access"]) == (pointer.digest, 4, ["read"])
    steps = json.loads(store.runs.view(RUN, "transformations/map.json"))
    assert [step["id"] for step in steps] == [step.id for step in made.transformation_map]
    assert store.runs.view(RUN, "outputs/pointers.jsonl").count(b"\n") == len(made.outputs)


def test_putting_again_is_safe_and_never_replaces(store: Store) -> None:
    assert store.runs.put_run(RUN, ENVELOPE, bundle())
    assert not store.runs.put_run(RUN, ENVELOPE, bundle())
    with pytest.raises(StoreError, match="another bundle"):
        store.runs.put_run(RUN, ENVELOPE + b" ", bundle())
    assert store.runs.envelope(RUN) == ENVELOPE


def test_a_run_without_its_bundle_is_none_and_can_still_become_one(store: Store) -> None:
    for view in ("inputs/pointers.jsonl", "outputs/pointers.jsonl"):
        store.backend.put_if_absent(f"runs/{RUN}/{view}", b"from an attempt that was killed\n")
    assert store.runs.ids() == []
    with pytest.raises(RunNotFound):
        store.runs.envelope(RUN)
    with pytest.raises(RunNotFound):
        store.runs.put_verdict(RUN, REPLAY, b"{}")
    store.runs.put_run(RUN, ENVELOPE, bundle())
    assert store.runs.ids() == [RUN]
    assert b"killed" not in store.runs.view(RUN, "inputs/pointers.jsonl")


def test_ids_are_sorted_and_ignore_what_is_no_run(store: Store) -> None:
    for run in (SECOND, RUN):
        store.runs.put_run(run, ENVELOPE, bundle())
    (Path(store.location) / "runs" / ".tmp-left").mkdir()
    (Path(store.location) / "runs" / "notes").mkdir()
    assert store.runs.ids() == [RUN, SECOND]


def test_verdicts(store: Store) -> None:
    store.runs.put_run(RUN, ENVELOPE, bundle())
    assert store.runs.verdicts(RUN) == []
    assert store.runs.put_verdict(RUN, REPLAY, b"third")
    assert store.runs.put_verdict(RUN, SECOND, b"second")
    assert not store.runs.put_verdict(RUN, REPLAY, b"third")
    with pytest.raises(StoreError, match="another verdict"):
        store.runs.put_verdict(RUN, REPLAY, b"changed")
    assert store.runs.verdicts(RUN) == [(SECOND, b"second"), (REPLAY, b"third")]


@pytest.mark.parametrize("name", ["", "..", "latest", "../../etc", RUN + "/x"])
def test_what_is_no_run_id_names_no_run(store: Store, name: str) -> None:
    with pytest.raises(RunNotFound):
        store.runs.envelope(RunId(name))


def test_any_zstd_program_reads_a_bundle(store: Store) -> None:
    zstd = shutil.which("zstd")
    if zstd is None:
        pytest.skip("the zstd program is not installed")
    store.runs.put_run(RUN, ENVELOPE, bundle())
    path = Path(store.location) / f"runs/{RUN}/bundle.dsse.json.zst"
    read = subprocess.run([zstd, "-dc", str(path)], capture_output=True, check=True)
    assert read.stdout == ENVELOPE


def test_a_damaged_bundle_is_told(store: Store) -> None:
    store.runs.put_run(RUN, ENVELOPE, bundle())
    path = Path(store.location) / f"runs/{RUN}/bundle.dsse.json.zst"
    data = path.read_bytes()
    path.chmod(0o644)
    flipped = [data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :] for at in range(len(data))]
    for damaged in (*flipped, data[:-1], data[:-40], b"", data + data, data + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="damaged"):
            store.runs.envelope(RUN)
