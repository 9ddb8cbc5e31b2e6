from __future__ import annotations

import base64
from typing import Any

from msgspec.structs import replace

from reenact.model.artifact import Artifact, Entry
from reenact.model.bundle import Bundle, Stream
from reenact.model.environment import MANIFEST_FORMAT, Manifest
from reenact.replay.arrangement import Arrangement, arrange
from tests import bundles
from tests.worlds import entry

ROOT = bundles.ROOT
OPAQUE = "user.overlay.opaque"


def arranged(
    inputs: tuple[Artifact, ...] = (),
    outputs: tuple[Artifact, ...] = (),
    environment: tuple[Entry, ...] = (),
    **more: Any,
) -> Arrangement:
    bundle = bundles.bundle(inputs=inputs, outputs=outputs)
    return arrange(on(bundle), Manifest(format=MANIFEST_FORMAT, entries=environment), opaque_attribute=OPAQUE, **more)


def on(bundle: Bundle) -> Bundle:
    return replace(bundle, launch=replace(bundle.launch, uid=1000, gid=1000))


def paths(entries: tuple[Entry, ...]) -> list[str]:
    plain = {"/", "/dev", "/proc", "/tmp", "/work", ROOT}
    return [e.path.removeprefix(ROOT + "/") for e in entries if e.path not in plain]


def folder(name: str, *access: Any, **facts: Any) -> Artifact:
    return bundles.artifact(name, None, *access, **facts)


def test_a_world_has_its_working_folder_and_the_kernels_and_a_temporary_one() -> None:
    below = {e.path: e for e in arranged().inputs}
    assert below.keys() == {"/", "/dev", "/proc", "/tmp", "/work", ROOT}
    assert (below["/tmp"].mode, below["/tmp"].uid) == (0o1777, 0)
    assert (below[ROOT].mode, below[ROOT].uid) == (0o755, 1000)


def test_what_is_read_lies_below_what_is_changed_above() -> None:
    made = arranged(
        inputs=(
            bundles.artifact("read"),
            bundles.artifact("updated", b"", "read", "updated"),
            bundles.artifact("appended", b"", "appended"),
            bundles.artifact("deleted", b"", "deleted"),
            bundles.artifact("silently", b"", "read"),
        ),
        outputs=(bundles.artifact("silently", b"1", "updated"), bundles.artifact("new", b"2", "created")),
    )
    assert paths(made.inputs) == ["read"]
    assert paths(made.seed) == ["appended", "deleted", "silently", "updated"]


def test_folders_above_are_as_recorded_wherever_the_record_has_them() -> None:
    made = arranged(
        inputs=(
            folder("d", "probed", mode=0o700, mtime_ns="7"),
            bundles.artifact("d/x", b"", "updated"),
        ),
        environment=(entry("/work", "directory", mode=0o711),),
    )
    above = {e.path: e for e in made.seed}
    assert (above[f"{ROOT}/d"].mode, above[f"{ROOT}/d"].mtime_ns) == (0o700, "7")
    assert above["/work"].mode == 0o711


def test_a_renamed_folder_is_above_with_all_that_is_in_it() -> None:
    made = arranged(
        inputs=(
            folder("d", "deleted"),
            folder("d/sub", "probed"),
            bundles.artifact("d/sub/x", b"", "probed"),
            bundles.artifact("dd", b"", "read"),
        ),
    )
    assert paths(made.inputs) == ["dd"]
    assert paths(made.seed) == ["d", "d/sub", "d/sub/x"]


def test_a_renamed_folder_hides_what_the_environment_has_there() -> None:
    made = arranged(
        inputs=(folder("venv", "deleted"),),
        environment=(entry(f"{ROOT}/venv/cfg"),),
    )
    above = {e.path: e for e in made.seed}
    assert f"{ROOT}/venv/cfg" in above
    assert above[f"{ROOT}/venv"].xattrs == {OPAQUE: base64.b64encode(b"y").decode()}


def test_the_root_folder_is_never_taken_for_renamed() -> None:
    made = arranged(
        inputs=(folder("/", "updated"), bundles.artifact("a")),
        environment=(entry("/usr", "directory"), entry("/usr/x")),
    )
    assert paths(made.seed) == []


def test_a_hard_link_group_stays_together() -> None:
    made = arranged(
        inputs=(
            bundles.artifact("a", b"", link=f"{ROOT}/a"),
            bundles.artifact("b", b"", "updated", link=f"{ROOT}/a"),
            bundles.artifact("c", b"", link=f"{ROOT}/c"),
            bundles.artifact("d", b"", "deleted"),
        ),
        environment=(entry("/usr/a", link=f"{ROOT}/a"),),
    )
    assert paths(made.inputs) == ["c"]
    assert paths(made.seed) == ["/usr", "/usr/a", "a", "b", "d"]


def test_folders_of_outputs_are_there_unless_the_job_makes_them() -> None:
    made = arranged(
        outputs=(
            bundles.artifact("was/there/x", b"", "created"),
            folder("made", "created"),
            bundles.artifact("made/by/job/x", b"", "created"),
            folder("left", "created", temporary=True),
            bundles.artifact("left/y", b"", "created", temporary=True),
        )
    )
    assert paths(made.inputs) == ["was", "was/there"]
    assert {e.uid for e in made.inputs if e.path.startswith(f"{ROOT}/")} == {1000}


def test_a_folder_deleted_and_used_again_comes_from_above_alone() -> None:
    """Were it below as well, the upper one would be merged with it and could not be renamed."""
    made = arranged(
        inputs=(folder("d", "updated"), bundles.artifact("d/x", b"", "deleted")),
        outputs=(bundles.artifact("d/new", b"", "created"),),
    )
    assert paths(made.inputs) == []
    assert paths(made.seed) == ["d", "d/x"]


def test_folders_of_files_that_take_standard_output_are_above() -> None:
    bundle = on(bundles.bundle(inputs=(), outputs=()))
    stream = Stream(kind="file", path=f"{ROOT}/logs/today/out")
    launch = replace(bundle.launch, stdout=stream, stderr=stream)
    made = arrange(replace(bundle, launch=launch), None, opaque_attribute=OPAQUE)
    assert paths(made.seed) == ["logs", "logs/today"]


def test_every_listed_name_is_there() -> None:
    made = arranged(
        inputs=(folder("d", "listed", names=(".store", "a")), bundles.artifact("d/a")),
        environment=(
            entry("/", "directory", need="list", names=("dev", "mnt", "usr", "work")),
            entry("/usr", "directory"),
        ),
    )
    assert paths(made.inputs) == ["/mnt", "d", "d/.store", "d/a"]


def test_the_kernels_files_are_left_out_but_frozen_ones_are_in() -> None:
    made = arranged(
        inputs=(bundles.artifact("/proc/1/x"), bundles.artifact("/dev/x")),
        host=(entry("/sys", "directory"), entry("/sys/cpus"), entry("/proc/cpuinfo")),
    )
    assert paths(made.inputs) == ["/sys", "/sys/cpus"]
    assert not made.shared_memory


def test_shared_memory_is_the_worlds_own_when_the_record_has_files_in_it() -> None:
    for made in (
        arranged(inputs=(bundles.artifact("/dev/shm/in"),)),
        arranged(outputs=(bundles.artifact("/dev/shm/out", b"", "created"),)),
    ):
        assert made.shared_memory
        (shm,) = [e for e in made.inputs if e.path == "/dev/shm"]
        assert shm.mode == 0o1777


def test_undecodable_names_are_matched() -> None:
    made = arranged(
        inputs=(bundles.artifact(f"{ROOT}/caf\\xe9", b""),),
        outputs=(bundles.artifact(f"{ROOT}/caf\\xe9", b"1", "updated"),),
    )
    assert paths(made.seed) == ["caf\\xe9"]
