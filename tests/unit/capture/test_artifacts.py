"""From observed paths to inputs, outputs and environment: what is said of each, and what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.capture.artifacts import Sorted, checksums, entry_type, inputs, outputs
from reenact.capture.classify import Classifier
from reenact.capture.intake import Intake
from reenact.capture.observation import Observation
from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.model.artifact import Artifact
from reenact.store.opening import Store, open_store
from tests import journals
from tests.bundles import RUN_ID, artifact


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = open_store(str(tmp_path / "store"), create=True)
    yield found
    found.close()


class Scene:
    """A job's folder, and the journal of what is done to it."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root = root
        self.records: list[list[Any]] = []
        self.intake = Intake(store.writer(RunId(RUN_ID)), store.stats)

    def path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def has(self, name: str, content: bytes = b"before") -> str:
        """A file was there and was looked at."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(content)
        os.utime(path, ns=(1, 1_600_000_000_000_000_000))
        self.records.append(journals.entry(path))
        return path

    def note(self, name: str, *records: list[Any]) -> None:
        """Append records, whose first value after the kind is the path of `name`."""
        self.records += [[record[0], self.path(name), *record[1:]] for record in records]

    def uses(self, name: str, how: str, actor: str = "1") -> None:
        self.records.append(["a", actor, self.path(name), how])

    def observed(self) -> Observation:
        observation = journals.observed(*self.records)
        observation.header |= {"variables": {}, "root": str(self.root), "cwd": str(self.root)}
        for record in observation.paths.values():
            if record.needed:
                self.intake.take(record)
        return observation

    def sorted(self) -> Sorted:
        root = str(self.root)
        observation = self.observed()
        classifier = Classifier(root=root, cwd=root, home="", executed=(), seen=observation.paths)
        return inputs(observation, self.intake, classifier, root, os.path.lexists)

    def inputs(self) -> dict[str, Artifact]:
        return {artifact.name: artifact for artifact in self.sorted().artifacts}

    def outputs(self) -> tuple[dict[str, Artifact], dict[str, str], list[tuple[str, str]]]:
        made, unobserved, unread = outputs(self.observed(), self.intake, str(self.root), os.lstat)
        assert [a.name for a in made] == sorted(a.name for a in made)
        return {artifact.name: artifact for artifact in made}, unobserved, unread


@pytest.fixture
def scene(tmp_path: Path, store: Store) -> Scene:
    root = tmp_path / "job"
    root.mkdir()
    return Scene(root, store)


# --- inputs


def test_a_file_that_was_read_is_an_input_with_its_bytes(scene: Scene) -> None:
    path = scene.has("in/raw.csv", b"a,b\n")
    scene.note("in/raw.csv", ["n"])
    scene.uses("in/raw.csv", "r")
    found = scene.inputs()["in/raw.csv"]
    assert (found.access, found.kind, found.temporary) == (("read",), "data", False)
    assert found.pointer is not None
    assert (found.pointer.digest, found.pointer.size_bytes) == (of_bytes(b"a,b\n"), 4)
    assert (found.entry.path, found.entry.type, found.entry.mtime_ns) == (path, "file", "1600000000000000000")
    assert (found.entry.need, found.entry.digest) == ("content", of_bytes(b"a,b\n"))


def test_a_file_that_was_only_asked_about_has_no_pointer(scene: Scene) -> None:
    scene.has("asked")
    found = scene.inputs()["asked"]
    assert (found.access, found.pointer, found.entry.need, found.entry.size_bytes) == (("probed",), None, "stat", 6)


def test_an_input_whose_bytes_are_lost_says_why(scene: Scene) -> None:
    scene.has("lost")
    scene.note("lost", ["n"], ["p", "", "larger than 5 bytes"])
    found = scene.sorted()
    [lost] = found.artifacts
    assert (lost.pointer, lost.access, lost.entry.digest) == (None, ("read",), None)
    assert found.unobserved == {"inputs[lost].pointer": "larger than 5 bytes"}
    assert found.lost == [("lost", "larger than 5 bytes")]


def test_bytes_stored_by_somebody_who_is_gone_are_lost_in_words(scene: Scene) -> None:
    scene.has("lost")
    scene.note("lost", ["n"], ["p", "", "stored"])
    assert scene.sorted().lost == [("lost", "its bytes were not kept")]


@pytest.mark.parametrize(
    ("changes", "access"),
    [
        ("", ("read",)),
        ("w", ("read", "updated")),
        ("t", ("read", "updated")),
        ("a", ("appended", "read")),
        ("x", ("read", "updated")),
        ("wa", ("appended", "read", "updated")),
    ],
)
def test_how_a_file_was_changed_is_part_of_how_it_was_used(scene: Scene, changes: str, access: tuple[str, ...]) -> None:
    scene.has("in")
    scene.note("in", ["n"], *(["m", letter] for letter in changes))
    scene.uses("in", "r")
    assert scene.inputs()["in"].access == access


def test_a_file_taken_away_is_deleted_and_one_put_in_its_place_updates_it(scene: Scene) -> None:
    for name in ("deleted", "replaced"):
        path = scene.has(name)
        scene.note(name, ["m", "u"])
    os.unlink(scene.path("deleted"))
    assert {name: a.access for name, a in scene.inputs().items()} == {
        "deleted": ("deleted",),
        "replaced": ("updated",),
    }
    assert path == scene.path("replaced")


@pytest.mark.parametrize(("users", "access"), [("x", ("executed",)), ("xr", ("executed", "read")), ("r", ("read",))])
def test_a_program_is_executed_and_perhaps_read(scene: Scene, users: str, access: tuple[str, ...]) -> None:
    scene.has("tool")
    scene.note("tool", ["n"])
    for how in users:
        scene.uses("tool", how)
    found = scene.inputs()["tool"]
    assert (found.access, found.kind) == (access, "code" if "x" in users else "data")


@pytest.mark.parametrize(
    ("name", "content", "changes", "kind"),
    [
        ("etl.py", b"print()", "", "code"),
        ("etl", b"#!/bin/sh\n", "", "code"),
        ("etl.py", b"print()", "x", "code"),
        ("etl.py", b"print()", "w", "data"),
        ("raw.csv", b"a,b", "", "data"),
    ],
)
def test_code_is_what_the_run_read_as_such_and_did_not_write(
    scene: Scene, name: str, content: bytes, changes: str, kind: str
) -> None:
    scene.has(name, content)
    scene.note(name, ["n"], *(["m", letter] for letter in changes))
    scene.uses(name, "r")
    assert scene.inputs()[name].kind == kind


def test_a_listed_folder_keeps_its_names_sorted_and_its_times(scene: Scene) -> None:
    os.makedirs(scene.path("d"))
    os.utime(scene.path("d"), ns=(1, 5))
    scene.records.append(journals.entry(scene.path("d")))
    scene.note("d", ["l", ["b", "a", "c\udcff"]])
    found = scene.inputs()["d"]
    assert (found.access, found.entry.type, found.entry.need) == (("listed",), "directory", "list")
    assert found.entry.names == ("a", "b", "c\\xff")
    assert (found.entry.mtime_ns, found.entry.size_bytes) == ("5", 0)


def test_a_folder_on_the_way_has_no_times_of_its_own(scene: Scene) -> None:
    """Else whatever else is put into it would make two records of equal runs differ."""
    for name in ("passed", "asked"):
        os.makedirs(scene.path(name))
        os.utime(scene.path(name), ns=(1, 5))
        scene.records.append(journals.entry(scene.path(name)))
    scene.note("asked", ["s"])
    assert {name: a.entry.mtime_ns for name, a in scene.inputs().items()} == {"passed": "0", "asked": "5"}


def test_two_names_of_one_file_are_linked_by_the_first(scene: Scene) -> None:
    for name in ("b", "a", "single"):
        if name == "a":
            os.link(scene.path("b"), scene.path("a"))
            continue
        scene.has(name)
    scene.records = [journals.entry(scene.path(name)) for name in ("b", "a", "single")]
    links = {name: a.entry.link for name, a in scene.inputs().items()}
    assert links == {"a": scene.path("a"), "b": scene.path("a"), "single": None}


def test_a_second_name_that_was_never_seen_links_nothing(scene: Scene) -> None:
    scene.has("a")
    os.link(scene.path("a"), scene.path("unseen"))
    scene.records = [journals.entry(scene.path("a"))]
    assert scene.inputs()["a"].entry.link is None


def test_links_holes_and_pipes_are_described(scene: Scene) -> None:
    os.symlink("target\\x", scene.path("link"))
    os.mkfifo(scene.path("pipe"))
    with Path(scene.path("sparse")).open("wb") as file:
        file.truncate(1 << 20)
    for name in ("link", "pipe", "sparse"):
        scene.records.append(journals.entry(scene.path(name)))
    found = {name: a.entry for name, a in scene.inputs().items()}
    assert (found["link"].type, found["link"].target) == ("symlink", "target\\\\x")
    assert (found["pipe"].type, found["pipe"].sparse) == ("fifo", False)
    assert (found["sparse"].type, found["sparse"].size_bytes) == ("file", 1 << 20)
    if os.stat(scene.path("sparse")).st_blocks == 0:
        assert found["sparse"].sparse


def test_a_device_is_described_by_its_numbers(scene: Scene) -> None:
    scene.records.append(journals.entry("/dev/null"))
    [found] = scene.sorted().artifacts
    assert (found.entry.type, found.entry.device) == ("device", (1, 3))


def test_environment_and_machine_are_no_artifacts_unless_the_run_changes_them(scene: Scene) -> None:
    for path in ("/usr", "/sys"):
        scene.records.append(journals.entry(path))
    scene.has("node_modules/x/index.js")
    scene.has("node_modules/x/cache.json")
    scene.note("node_modules/x/cache.json", ["m", "w"])
    found = scene.sorted()
    assert [entry.path for entry in found.host] == ["/sys"]
    assert [entry.path for entry in found.environment] == ["/usr", scene.path("node_modules/x/index.js")]
    assert [artifact.name for artifact in found.artifacts] == ["node_modules/x/cache.json"]


def test_a_file_elsewhere_is_called_by_its_path(scene: Scene, tmp_path: Path) -> None:
    path = scene.has("../elsewhere.csv")
    assert scene.records[0][1] == path
    scene.records[0][1] = str(tmp_path / "elsewhere.csv")
    assert [*scene.inputs()] == [str(tmp_path / "elsewhere.csv")]


def test_attributes_are_those_before_the_run(scene: Scene) -> None:
    for name in ("read", "asked", "changed"):
        path = scene.has(name)
        try:
            os.setxattr(path, "user.note", b"x")
        except OSError:
            pytest.skip("no extended attributes on this file system")
        scene.records[-1] = journals.entry(path)
    scene.note("read", ["n"])
    scene.note("changed", ["n"], ["m", "x"])
    found = {name: a.entry.xattrs for name, a in scene.inputs().items()}
    assert found == {"read": {"user.note": "eA=="}, "asked": {}, "changed": {}}


# --- outputs


def test_what_the_run_made_is_an_output_with_its_bytes(scene: Scene) -> None:
    Path(scene.path("out.csv")).write_bytes(b"made")
    scene.note("out.csv", ["c"])
    made, unobserved, unread = scene.outputs()
    assert (made["out.csv"].access, made["out.csv"].entry.need) == (("created",), "content")
    assert made["out.csv"].pointer is not None
    assert made["out.csv"].pointer.digest == of_bytes(b"made")
    assert (unobserved, unread) == ({}, [])


def test_what_the_run_made_and_removed_is_none(scene: Scene) -> None:
    scene.note("tmp", ["c"])
    assert scene.outputs() == ({}, {}, [])


@pytest.mark.parametrize(
    ("changes", "access"),
    [("a", "appended"), ("ax", "appended"), ("w", "updated"), ("t", "updated"), ("aw", "updated")],
)
def test_what_the_run_changed_is_an_output(scene: Scene, changes: str, access: str) -> None:
    path = scene.has("log")
    scene.note("log", *(["m", letter] for letter in changes))
    Path(path).write_bytes(b"before and after")
    assert scene.outputs()[0]["log"].access == (access,)


def test_what_is_as_it_was_was_not_changed(scene: Scene) -> None:
    """The kernel refused the call, or it changed nothing."""
    scene.has("same")
    scene.note("same", ["m", "w"])
    observation = scene.observed()
    made, _, _ = outputs(observation, scene.intake, str(scene.root), os.lstat)
    assert made == []
    assert observation.paths[scene.path("same")].changes == ""


def test_a_mode_that_was_changed_is_an_output(scene: Scene) -> None:
    path = scene.has("in")
    scene.note("in", ["m", "x"])
    os.chmod(path, 0o600)
    assert scene.outputs()[0]["in"].entry.mode == 0o600


def test_a_folder_is_changed_by_its_mode_or_by_being_another_not_by_its_names(scene: Scene) -> None:
    for name in ("names", "mode", "other"):
        os.makedirs(scene.path(name), mode=0o755)
        scene.records.append(journals.entry(scene.path(name)))
        scene.note(name, ["m", "x"])
    Path(scene.path("names/new")).touch()
    os.chmod(scene.path("mode"), 0o700)
    os.rename(scene.path("other"), scene.path("moved"))
    os.mkdir(scene.path("other"))
    assert scene.outputs()[0].keys() == {"mode", "other"}


def test_a_folder_that_was_moved_away_and_back_is_no_output_but_told_to_have_been_moved(scene: Scene) -> None:
    """A replay lays it out where it can be moved: a folder of an overlay's lower layer cannot."""
    for name in ("moved", "asked"):
        os.makedirs(scene.path(name), mode=0o755)
        scene.records.append(journals.entry(scene.path(name)))
    scene.note("moved", ["m", "u"])
    scene.note("asked", ["m", "x"])
    observation = scene.observed()
    made, _, _ = outputs(observation, scene.intake, str(scene.root), os.lstat)
    assert made == []
    assert [observation.paths[scene.path(name)].changes for name in ("moved", "asked")] == ["u", ""]


def test_folders_and_links_are_outputs_without_bytes(scene: Scene) -> None:
    os.makedirs(scene.path("d"))
    os.symlink("gone", scene.path("l"))
    for name in ("d", "l"):
        scene.note(name, ["c"])
    made, _, _ = scene.outputs()
    assert {n: (a.entry.type, a.entry.target, a.pointer) for n, a in made.items()} == {
        "d": ("directory", None, None),
        "l": ("symlink", "gone", None),
    }


def test_a_deletion_is_an_output_if_the_run_did_it(scene: Scene) -> None:
    for name in ("mine", "theirs"):
        os.unlink(scene.has(name))
        scene.note(name, ["m", "w"])
    scene.note("mine", ["m", "u"], ["g"])
    scene.uses("mine", "d")
    made, _, unread = scene.outputs()
    assert {n: (a.access, a.entry.digest, a.entry.size_bytes) for n, a in made.items()} == {
        "mine": (("deleted",), None, 6)
    }
    assert unread == [("theirs", "it is not there any more, and the run was not seen to delete it")]


def test_a_link_that_goes_while_it_is_described_is_told(scene: Scene) -> None:
    """Another process takes it away between two looks."""
    os.symlink("x", scene.path("link"))
    scene.note("link", ["c"])
    looked = os.lstat(scene.path("link"))
    os.unlink(scene.path("link"))
    made, unobserved, unread = outputs(scene.observed(), scene.intake, str(scene.root), lambda _: looked)
    assert made == []
    assert [name for name, _ in unread] == ["link"]
    assert unobserved.keys() <= {"outputs[link].pointer"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_output_that_may_not_be_read_is_one_without_bytes(scene: Scene) -> None:
    path = Path(scene.path("out"))
    path.write_bytes(b"x")
    path.chmod(0o200)
    scene.note("out", ["c"])
    made, unobserved, unread = scene.outputs()
    assert made["out"].pointer is None
    assert unobserved == {"outputs[out].pointer": "cannot be read: Permission denied"}
    assert unread == [("out", "cannot be read: Permission denied")]


def test_what_tools_leave_for_themselves_is_temporary(scene: Scene) -> None:
    os.makedirs(scene.path("__pycache__"))
    Path(scene.path("__pycache__/x.pyc")).write_bytes(b"")
    scene.note("__pycache__/x.pyc", ["c"])
    assert scene.outputs()[0]["__pycache__/x.pyc"].temporary


# --- sums and types


def test_only_data_whose_bytes_are_known_is_summed() -> None:
    known = artifact("a", b"a")
    found = checksums([known, artifact("code", b"c", kind="code"), artifact("d", None)])
    assert found == {"a": of_bytes(b"a")}


@pytest.mark.parametrize(
    ("path", "kind"), [("/dev/null", "device"), ("/", "directory"), ("/proc/self", "symlink"), (__file__, "file")]
)
def test_types_are_named(path: str, kind: str) -> None:
    assert entry_type(os.lstat(path).st_mode) == kind
