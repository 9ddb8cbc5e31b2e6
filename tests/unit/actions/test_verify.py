from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.model.environment import Environment
from reenact.settings import Settings
from reenact.store.opening import Store
from tests.bundles import artifact, bundle, run_id
from tests.records import add_run, add_verdict


def codes(settings: Settings, *, deep: bool = False) -> list[tuple[str, str]]:
    return [(f.code, f.subject) for run in verify(settings, (), everything=True, deep=deep) for f in run.findings]


def test_whole_records_verify(settings: Settings, store: Store) -> None:
    made = add_run(store, 1)
    add_run(store, 2)
    add_verdict(store, made, 3)
    checked = verify(settings, (), everything=True, deep=True)
    assert [(run.run_id, run.job, run.objects, run.exit_code) for run in checked] == [
        (run_id(1), "etl", 3, 0),
        (run_id(2), "etl", 3, 0),
    ]
    assert verify(settings, ("etl",))[0].run_id == run_id(2)


def replace_file(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))


def test_every_missing_object_is_named_by_its_artifact(settings: Settings, store: Store) -> None:
    add_run(
        store, outputs=(artifact("a", b"lost", "created"), artifact("b", b"other", "created")), kept=(b"in", b"print()")
    )
    [run] = verify(settings, ("latest",))
    assert sorted((f.code, f.subject) for f in run.findings) == [
        ("object-missing", "output a"),
        ("object-missing", "output b"),
    ]
    assert run.exit_code == 3


def test_files_of_the_environment_are_checked_too(settings: Settings, store: Store) -> None:
    from reenact.model import manifest

    data = manifest.dump([artifact("/usr/lib/x.so", b"elf").entry])
    plain = bundle().environment
    environment = Environment(mode="sealed", manifest=of_bytes(data), system=plain.system, cpu=plain.cpu)
    add_run(store, kept=(b"in", b"print()", b"out", data), environment=environment)
    assert codes(settings) == [("object-missing", "environment /usr/lib/x.so")]


def test_a_damaged_object_is_found_with_and_without_decoding(settings: Settings, store: Store) -> None:
    add_run(store)
    store.close()
    [pack] = (Path(store.location) / "packs").glob("*.pack")
    replace_file(pack, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    for deep in (False, True):
        [(code, _)] = codes(settings, deep=deep)
        assert code == "object-damaged"
    assert verify(settings, ("latest",))[0].exit_code == 4


@pytest.mark.parametrize("name", ["inputs/pointers.jsonl", "transformations/map.json", "outputs/pointers.jsonl"])
def test_a_view_that_says_something_else_is_found(settings: Settings, store: Store, name: str) -> None:
    add_run(store)
    view = Path(store.location) / "runs" / run_id(1) / name
    replace_file(view, lambda data: data + b"{}\n")
    assert codes(settings) == [("view-differs", name)]
    view.unlink()
    assert codes(settings) == [("view-missing", name)]


def test_a_record_under_another_runs_name_is_found(settings: Settings, store: Store) -> None:
    add_run(store, 1)
    runs = Path(store.location) / "runs"
    for path in sorted((runs / run_id(1)).rglob("*")):
        target = runs / run_id(2) / path.relative_to(runs / run_id(1))
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    assert codes(settings) == [("entry-differs", "bundle"), ("other-run", "bundle")]


def test_a_verdict_about_another_bundle_is_found(settings: Settings, store: Store) -> None:
    first = add_run(store, 1)
    second = add_run(store, 2)
    add_verdict(store, second, 5)
    runs = Path(store.location) / "runs"
    [verdict] = (runs / second.run_id / "verdicts").iterdir()
    (runs / first.run_id / "verdicts").mkdir()
    (runs / first.run_id / "verdicts" / verdict.name).write_bytes(verdict.read_bytes())
    assert codes(settings) == [("other-bundle", f"verdict {run_id(5)}")]


def test_a_bundle_that_is_not_logged_is_found(settings: Settings, store: Store) -> None:
    add_run(store)
    (Path(store.location) / "log" / "entries" / f"{1:012d}").unlink()
    assert codes(settings) == [("not-logged", "bundle")]


def test_a_signature_by_nobody_known_is_found(settings: Settings, store: Store) -> None:
    add_run(store)
    root = Path(store.location)
    for key in [*(root / "keys").iterdir(), root / "log/entries" / f"{0:012d}"]:
        key.unlink()
    assert ("signature-invalid", "bundle") in codes(settings)


def test_any_flipped_byte_of_a_bundle_is_found(settings: Settings, store: Store) -> None:
    add_run(store)
    path = Path(store.location) / "runs" / run_id(1) / "bundle.dsse.json.zst"
    good = path.read_bytes()
    for position in range(0, len(good), 7):
        replace_file(path, lambda _, at=position: good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])  # type: ignore[misc]
        [run] = verify(settings, (), everything=True)
        assert run.exit_code == 4, position
