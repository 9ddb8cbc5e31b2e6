"""A fresh folder: where recorded paths are in it, what is laid out, what the job is told, and what is made of its record."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle, Launch, Stream
from reenact.model.environment import MANIFEST_FORMAT, Manifest
from reenact.replay.fresh import Place, as_recorded, entries_of, escaped, known_paths, moved, stream_files, told
from reenact.replay.judge import Evidence
from tests import bundles
from tests.bundles import ROOT, artifact
from tests.worlds import entry

MIRROR = "/tmp/fresh/files"
VENV = f"{ROOT}/.venv"


def place(*environments: str, used: str = "/tmp/fresh/environment", streams: tuple[str, ...] = ()) -> Place:
    return Place(mirror=MIRROR, root=ROOT, environments=dict.fromkeys(environments, used), streams=frozenset(streams))


def launched(bundle: Bundle | None = None, **changes: Any) -> Bundle:
    plain = bundle or bundles.bundle()
    return replace(plain, launch=replace(plain.launch, **changes))


# --- where things are


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (ROOT, MIRROR + ROOT),
        (f"{ROOT}/in.csv", f"{MIRROR}{ROOT}/in.csv"),
        (f"{ROOT}-other/in.csv", f"{ROOT}-other/in.csv"),
        ("/usr/lib/x.so", "/usr/lib/x.so"),
        (VENV, "/tmp/fresh/environment"),
        (f"{VENV}/bin/python", "/tmp/fresh/environment/bin/python"),
        (f"{VENV}2/x", f"{MIRROR}{VENV}2/x"),
        ("/data/log.txt", f"{MIRROR}/data/log.txt"),
    ],
)
def test_a_recorded_path_has_one_place_and_back(path: str, there: str) -> None:
    where = place(VENV, streams=("/data/log.txt",))
    assert where.of(path) == there
    if there.startswith(MIRROR):
        assert where.recorded(there) == path


def test_what_is_not_below_the_mirror_is_where_it_was() -> None:
    assert place().recorded("/etc/passwd") == "/etc/passwd"
    assert place().recorded(f"{MIRROR}-other/x") == f"{MIRROR}-other/x"


def test_the_folder_holds_the_jobs_files_but_no_environment() -> None:
    where = place(VENV, streams=("/data/log.txt",))
    held = [path for path in (ROOT, f"{ROOT}/a", "/data/log.txt", f"{VENV}/x", "/data", "/") if where.holds(path)]
    assert held == [ROOT, f"{ROOT}/a", "/data/log.txt"]


def test_only_files_among_the_streams_are_files() -> None:
    launch: Launch = bundles.bundle().launch
    streams = replace(
        launch,
        stdin=Stream(kind="file", path=f"{ROOT}/in\\\\x"),
        stdout=Stream(kind="pipe"),
        stderr=Stream(kind="file", path="/data/log"),
    )
    assert stream_files(streams) == {f"{ROOT}/in\\x", "/data/log"}


# --- what is laid out


def laid_out(bundle: Bundle, where: Place, manifest: Manifest | None = None) -> list[str]:
    found = entries_of(bundle, manifest, where)
    paths = [item.path for item in found]
    assert paths == sorted(paths)
    return paths


def with_files(*inputs: Artifact, outputs: tuple[Artifact, ...] = ()) -> Bundle:
    return bundles.bundle(inputs=inputs, outputs=outputs)


def test_the_inputs_in_the_root_are_laid_out_and_nothing_else() -> None:
    bundle = with_files(
        artifact("raw/in.csv"),
        artifact("/data/other.csv"),
        artifact(f"{VENV}/pyvenv.cfg"),
        artifact("d", None, "listed"),
    )
    found = laid_out(bundle, place(VENV))
    assert f"{ROOT}/raw/in.csv" in found
    assert f"{ROOT}/d" in found
    assert not [path for path in found if path.startswith(("/data", f"{VENV}/", "/usr"))]


def test_an_environment_in_the_root_is_a_link_to_the_one_in_its_place() -> None:
    [link] = [e for e in entries_of(with_files(), None, place(VENV, "/opt/venv")) if e.type == "symlink"]
    assert (link.path, link.target) == (VENV, "/tmp/fresh/environment")


def test_an_environment_that_is_the_root_itself_is_no_link_in_it() -> None:
    assert not [e for e in entries_of(with_files(), None, place(ROOT)) if e.type == "symlink"]


def test_packages_in_the_root_that_are_in_no_environment_are_laid_out() -> None:
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        entries=(entry(f"{ROOT}/node_modules/x/index.js"), entry(f"{VENV}/bin/python"), entry("/usr/bin/node")),
    )
    found = laid_out(with_files(), place(VENV), manifest)
    assert f"{ROOT}/node_modules/x/index.js" in found
    assert "/usr/bin/node" not in found
    assert f"{VENV}/bin/python" not in found


# --- what the job is told


def test_known_are_the_paths_of_the_record_and_the_folders_on_the_way() -> None:
    bundle = launched(with_files(artifact("a/b/in.csv"), artifact("/data/x")), cwd=f"{ROOT}/work")
    assert known_paths(bundle) == {ROOT, f"{ROOT}/a", f"{ROOT}/a/b", f"{ROOT}/a/b/in.csv", f"{ROOT}/work"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (f"{ROOT}/in.csv", f"{MIRROR}{ROOT}/in.csv"),
        (f"{ROOT}/", f"{MIRROR}{ROOT}/"),
        (ROOT, MIRROR + ROOT),
        (f"{VENV}/bin/python", "/tmp/fresh/environment/bin/python"),
        (f"{ROOT}/unknown.csv", f"{ROOT}/unknown.csv"),
        (f"--in={ROOT}/in.csv", f"--in={ROOT}/in.csv"),
        ("in.csv", "in.csv"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_word_that_is_a_recorded_path_is_told_its_place_and_no_other(word: str, said: str) -> None:
    assert told(place(VENV), word, frozenset({ROOT, f"{ROOT}/in.csv"})) == said


def test_command_variables_folder_and_streams_are_told_the_new_place() -> None:
    bundle = launched(
        with_files(artifact("in.csv"), artifact("etl.py", kind="code")),
        argv=("/usr/bin/python", f"{ROOT}/etl.py", "in.csv", f"{ROOT}/in.csv"),
        cwd=f"{ROOT}/work",
        stdin=Stream(kind="file", path=f"{ROOT}/in.csv"),
        stdout=Stream(kind="file", path="/data/log.txt"),
    )
    variables = {
        "PATH": f"{VENV}/bin:/usr/bin:{ROOT}/tools",
        "PWD": f"{ROOT}/work",
        "INPUT": f"{ROOT}/in.csv",
        "NOTE": f"see {ROOT}/in.csv",
        "PYTHONPATH": f"{ROOT}/lib",
        "LANG": "C.UTF-8",
    }
    made, notes = moved(bundle, place(VENV, streams=("/data/log.txt",)), variables)
    launch = made.launch
    assert launch.argv == ("/usr/bin/python", f"{MIRROR}{ROOT}/etl.py", "in.csv", f"{MIRROR}{ROOT}/in.csv")
    assert (launch.cwd, launch.root) == (f"{MIRROR}{ROOT}/work", f"{MIRROR}{ROOT}")
    assert (launch.stdin.path, launch.stdout.path) == (f"{MIRROR}{ROOT}/in.csv", f"{MIRROR}/data/log.txt")
    assert made.environment.variables == {
        "INPUT": f"{MIRROR}{ROOT}/in.csv",
        "LANG": "C.UTF-8",
        "NOTE": f"see {ROOT}/in.csv",
        "PATH": f"/tmp/fresh/environment/bin:/usr/bin:{MIRROR}{ROOT}/tools",
        "PWD": f"{MIRROR}{ROOT}/work",
        "PYTHONPATH": f"{MIRROR}{ROOT}/lib",
    }
    assert notes == [
        "argument 1",
        "argument 3",
        "variable INPUT",
        "variable PATH",
        "variable PWD",
        "variable PYTHONPATH",
    ]
    assert bundle.launch.argv[1] == f"{ROOT}/etl.py"


def test_another_program_takes_the_place_of_the_first_word() -> None:
    made, notes = moved(launched(argv=("/usr/bin/python3", "etl.py")), place(), {}, program="/tmp/fresh/bin/python")
    assert (made.launch.argv, notes) == (("/tmp/fresh/bin/python", "etl.py"), ["argument 0"])


def test_names_that_are_no_text_survive() -> None:
    bundle = launched(with_files(artifact("x\\xff")), argv=("cat", f"{ROOT}/x\\xff"))
    made, _ = moved(bundle, place(), {"A": "\udcff"})
    assert made.launch.argv == ("cat", f"{MIRROR}{ROOT}/x\\xff")
    assert made.environment.variables == {"A": "\\xff"}


# --- what is made of its record


def test_the_record_of_a_replay_gets_the_recorded_paths_back() -> None:
    def here(name: str, *access: Any) -> Artifact:
        path = f"{MIRROR}{ROOT}/{name}"
        return artifact(name, b"x", *access, path=path)

    bundle = launched(
        with_files(
            here("in.csv"), artifact("/etc/hosts"), artifact("/proc/self/maps"), outputs=(here("out.csv", "created"),)
        ),
        cwd=MIRROR + ROOT,
        root=MIRROR + ROOT,
    )
    absent = (f"{MIRROR}{ROOT}/none", "/etc/none", f"{MIRROR}{ROOT}/__pycache__/x.pyc", f"{MIRROR}-other/x")
    found = as_recorded(Evidence(bundle=bundle, absent=absent), place())
    assert [(a.name, a.entry.path) for a in found.bundle.inputs] == [
        ("in.csv", f"{ROOT}/in.csv"),
        ("/etc/hosts", "/etc/hosts"),
    ]
    assert [(a.name, a.entry.path) for a in found.bundle.outputs] == [("out.csv", f"{ROOT}/out.csv")]
    assert (found.bundle.launch.cwd, found.bundle.launch.root) == (ROOT, ROOT)
    assert found.absent == (f"{ROOT}/none",)


def test_a_stream_outside_the_root_is_called_by_its_recorded_path() -> None:
    path = f"{MIRROR}/data/log.txt"
    log = artifact(path, b"x", "appended", path=path)
    found = as_recorded(Evidence(bundle=with_files(outputs=(log,))), place(streams=("/data/log.txt",)))
    assert [(a.name, a.entry.path) for a in found.bundle.outputs] == [("/data/log.txt", "/data/log.txt")]


def test_what_was_used_in_the_recorded_folder_itself_is_named_and_counts_for_nothing() -> None:
    """The job has found its way there by itself: out of pieces of a path, say."""
    bundle = with_files(
        artifact("in.csv"),
        artifact("asked", b"", "probed"),
        artifact(f"{VENV}/lib/x.py"),
        artifact("/etc/hosts"),
        artifact(f"{MIRROR}{ROOT}/in.csv"),
        outputs=(artifact("out.csv", b"out", "created"), artifact("/data/log.txt", b"l", "appended")),
    )
    where = place(VENV, used=VENV, streams=("/data/log.txt",))
    evidence = Evidence(bundle=bundle)
    assert escaped(evidence, where) == tuple(
        f"{path}: used in the recorded folder itself, not in the replay's"
        for path in ("/data/log.txt", f"{ROOT}/in.csv", f"{ROOT}/out.csv")
    )
    assert as_recorded(evidence, where).bundle.outputs == ()
    assert [a.entry.path for a in as_recorded(evidence, where).bundle.inputs] == [
        f"{VENV}/lib/x.py",
        "/etc/hosts",
        f"{ROOT}/in.csv",
    ]


def test_a_replay_in_a_folder_below_the_recorded_one_has_not_left_it() -> None:
    """A job whose root is /tmp is replayed in a folder of /tmp."""
    where = Place(mirror=f"{ROOT}/fresh/files", root=ROOT, environments={})
    inside = artifact("in.csv", b"", path=f"{ROOT}/fresh/files{ROOT}/in.csv")
    evidence = Evidence(bundle=with_files(inside))
    assert escaped(evidence, where) == ()
    assert [a.entry.path for a in as_recorded(evidence, where).bundle.inputs] == [f"{ROOT}/in.csv"]
