from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reenact.actions.restore import chosen, restore
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, SignatureInvalid, UnreplayableError, UsageError
from reenact.model.artifact import Pointer
from reenact.model.bundle import Stream
from reenact.settings import Settings
from reenact.store.opening import Store
from tests.bundles import artifact, bundle
from tests.records import KEPT, add_run


def test_outputs_by_default_inputs_on_request(settings: Settings, store: Store, tmp_path: Path) -> None:
    add_run(store)
    assert [p.name for p in restore(settings, "latest", (), to=tmp_path / "o", inputs=False)] == ["out.csv"]
    assert (tmp_path / "o" / "out.csv").read_bytes() == b"out"
    restore(settings, "etl", (), to=tmp_path / "i", inputs=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "i").iterdir()} == {"raw.csv": b"in", "etl.py": b"print()"}
    restore(settings, "etl", ("raw.csv",), to=tmp_path / "one", inputs=True)
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["raw.csv"]


def test_everything_that_is_missing_is_named_before_anything_is_written(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    outputs = (
        artifact("out.csv", b"out", "created"),
        artifact("a", b"lost", "created"),
        artifact("b", b"lost too", "created"),
    )
    add_run(store, outputs=outputs)
    with pytest.raises(UnreplayableError, match=r"no bytes for: (a, b|b, a)$") as caught:
        restore(settings, "latest", (), to=tmp_path / "o", inputs=False)
    assert sorted(caught.value.missing) == ["a", "b"]
    assert not (tmp_path / "o").exists()


def test_damage_is_an_integrity_error(settings: Settings, store: Store, tmp_path: Path) -> None:
    add_run(store)
    store.close()
    [pack] = (Path(store.location) / "packs").glob("*.pack")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    for position in range(40, len(data)):
        data[position] ^= 0xFF
    pack.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"damaged for: out\.csv"):
        restore(settings, "latest", (), to=tmp_path / "o", inputs=False)
    assert not (tmp_path / "o").exists()


def test_a_record_nobody_known_signed_is_not_restored(settings: Settings, store: Store, tmp_path: Path) -> None:
    add_run(store)
    for key in (Path(store.location) / "keys").iterdir():
        key.unlink()
    with pytest.raises(SignatureInvalid):
        restore(settings, "latest", (), to=tmp_path / "o", inputs=False)


def test_what_cannot_be_restored_is_left_out_unless_it_is_named() -> None:
    made = bundle(
        outputs=(
            artifact("gone", None, "deleted", type="file"),
            artifact("tmp", b"t", "created", temporary=True),
            artifact("out", b"o", "created"),
        ),
        inputs=(
            artifact("asked", b"x", "probed", need="stat", digest=None),
            artifact("big", b"x", digest=None),
            artifact("folder", None, "listed"),
        ),
    )
    assert [a.name for a in chosen(made, (), inputs=False)] == ["out"]
    assert [a.name for a in chosen(made, ("tmp", "out", "tmp"), inputs=False)] == ["tmp", "out"]
    assert chosen(made, (), inputs=True) == []
    assert [a.name for a in chosen(made, ("folder",), inputs=True)] == ["folder"]
    for name, inputs, reason in (
        ("gone", False, "the run deleted it"),
        ("asked", True, "only asked about it"),
        ("big", True, "its bytes were not kept"),
        ("out", True, "has no input 'out'"),
        ("raw.csv", False, "has no output 'raw.csv'"),
    ):
        with pytest.raises(UsageError, match=reason):
            chosen(made, (name,), inputs=inputs)


def stream(content: bytes) -> Stream:
    pointer = Pointer(digest=of_bytes(content), size_bytes=len(content), media_type="text/plain")
    return Stream(kind="pipe", pointer=pointer)


def test_what_was_written_to_a_stream_is_restored_by_its_name(settings: Settings, store: Store, tmp_path: Path) -> None:
    said = stream(b"said")
    launch = msgspec.structs.replace(bundle().launch, stdout=said)
    add_run(store, kept=(*KEPT, b"said"), launch=launch)
    assert [p.name for p in restore(settings, "latest", ("stdout",), to=tmp_path / "o", inputs=False)] == ["stdout"]
    assert (tmp_path / "o" / "stdout").read_bytes() == b"said"
    with pytest.raises(UsageError, match="has no output 'stderr'"):
        restore(settings, "latest", ("stderr",), to=tmp_path / "e", inputs=False)
    assert [a.name for a in chosen(bundle(launch=launch), (), inputs=False)] == ["out.csv"]


def test_an_output_of_that_name_comes_first() -> None:
    said = stream(b"said")
    made = bundle(
        launch=msgspec.structs.replace(bundle().launch, stdout=said), outputs=(artifact("stdout", b"o", "created"),)
    )
    assert chosen(made, ("stdout",), inputs=False) == [*made.outputs]


def test_kept_bytes_are_those_of_the_sample() -> None:
    digests = {a.entry.digest for a in (*bundle().inputs, *bundle().outputs)}
    assert len(digests) == len(KEPT)
