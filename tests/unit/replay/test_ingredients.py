"""A record with other files: listings, absences and compiled copies follow."""

from __future__ import annotations

from reenact.model.artifact import Entry
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest
from reenact.replay.ingredients import Ingredients, compiled_from, with_files
from tests.bundles import ROOT, artifact, bundle


def base(*inputs: object, absent: tuple[str, ...] = (), environment: tuple[Entry, ...] = ()) -> Ingredients:
    made: Bundle = bundle(inputs=inputs) if inputs else bundle()
    manifest = Manifest(format="reenact-environment/1", entries=environment)
    return Ingredients(bundle=made, manifest=manifest, absent=frozenset(absent))


def listed(name: str, *names: str) -> object:
    return artifact(name, None, "listed", names=tuple(names))


def test_a_replaced_input_keeps_its_name_and_use() -> None:
    was = artifact("raw.csv", b"in", "updated", link=f"{ROOT}/other.csv")
    found = with_files(base(was), [artifact("raw.csv", b"new")]).bundle.inputs[0]
    assert (found.name, found.access, found.entry.link) == ("raw.csv", ("updated",), None)
    assert found.entry.digest == artifact("", b"new").entry.digest


def test_a_listed_folder_names_what_is_new_and_not_what_is_gone() -> None:
    record = base(listed("data", "a", "b"), artifact("data/a"), artifact("data/b"))
    found = with_files(record, [artifact("data/c")], [f"{ROOT}/data/a"])
    assert found.entries()[f"{ROOT}/data"].names == ("b", "c")
    assert f"{ROOT}/data/a" in found.absent
    assert f"{ROOT}/data/a" not in found.entries()


def test_a_folder_that_is_gone_takes_all_below_it_along() -> None:
    found = with_files(base(listed("data", "a"), artifact("data/a"), artifact("x")), [], [f"{ROOT}/data"])
    assert [a.name for a in found.bundle.inputs] == ["x"]


def test_a_new_file_in_a_new_folder_is_named_by_the_listed_folder_above() -> None:
    found = with_files(base(listed("."), absent=(f"{ROOT}/pack",)), [artifact("pack/new.py", kind="code")])
    assert f"{ROOT}/pack" not in found.absent
    root = artifact("pack/new.py").entry.path.rpartition("/pack")[0]
    assert found.entries().get(root) is None or found.entries()[root].names == ("pack",)


def test_what_was_compiled_from_a_changed_source_is_gone() -> None:
    record = base(
        artifact("helper.py", b"1", kind="code"),
        artifact("__pycache__/helper.cpython-311.pyc", b"c", kind="code"),
        artifact("__pycache__/kept.cpython-311.pyc", b"c", kind="code"),
    )
    found = with_files(record, [artifact("helper.py", b"2", kind="code"), artifact("more.py", b"3", kind="code")])
    names = [a.name for a in found.bundle.inputs]
    assert "__pycache__/helper.cpython-311.pyc" not in names
    assert "__pycache__/kept.cpython-311.pyc" in names
    assert f"{ROOT}/__pycache__/helper.cpython-311.pyc" in found.absent
    assert f"{ROOT}/__pycache__/more.cpython-311.pyc" in found.absent


def test_a_file_of_the_environment_stays_one() -> None:
    entry = artifact("/usr/lib/tool", b"1").entry
    found = with_files(base(environment=(entry,)), [artifact("/usr/lib/tool", b"2")])
    assert found.manifest.entries[0].digest == artifact("", b"2").entry.digest
    assert all(a.name != "/usr/lib/tool" for a in found.bundle.inputs)


def test_the_source_of_a_compiled_file_is_told_by_its_name() -> None:
    assert compiled_from("/a/__pycache__/b.cpython-311.opt-1.pyc") == "/a/b.py"
    assert compiled_from("/a/b.pyc") is None
