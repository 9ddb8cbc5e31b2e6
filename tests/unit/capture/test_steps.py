"""The transformation map: who read what, who wrote it, and how processes are linked by their files."""

from __future__ import annotations

from typing import Any

from reenact import clock
from reenact.capture.steps import transformations
from reenact.digests import of_bytes
from reenact.model.artifact import Artifact
from reenact.model.transformation import Transformation
from tests.bundles import ROOT, artifact
from tests.journals import STARTED_NS, observed


def process(
    actor: str, parent: str, program: str = "", *argv: str, started: int = 0, code: int | None = 0
) -> list[Any]:
    """What the journal tells of a process: it began, it executed (or only forked), it ended by itself or not."""
    begun = STARTED_NS + started
    records: list[list[Any]] = [["f", actor, parent, begun]]
    if program:
        records.append(["x", actor, begun + 1, program, [*(argv or (program.rpartition("/")[2],))], ROOT])
    if code is not None:
        records.append(["q", actor, code, begun + 9])
    return records


def root(program: str = "/usr/bin/sh", *argv: str) -> list[list[Any]]:
    return [["x", "1", STARTED_NS, program, [*(argv or ("sh", "etl.sh"))], ROOT]]


def use(actor: str, name: str, how: str) -> list[Any]:
    return ["a", actor, name if name.startswith("/") else f"{ROOT}/{name}", how]


def steps(
    *records: list[Any], inputs: tuple[Artifact, ...] = (), outputs: tuple[Artifact, ...] = (), **more: Any
) -> tuple[dict[str, Transformation], dict[str, str]]:
    options: dict[str, Any] = {"parameters": {}, "exit_code": 0, "started_ns": STARTED_NS, "ended_ns": STARTED_NS + 50}
    options |= more
    executables = options.pop("executables", {})
    found, causes = transformations(observed(*records), [*inputs], [*outputs], executables, **options)
    assert [step.id for step in found] == sorted((s.id for s in found), key=lambda i: [*map(int, i.split("."))])
    return {step.id: step for step in found}, causes


IN, MID, OUT = artifact("in.csv"), artifact("mid.csv", b"m", "created"), artifact("out.csv", b"o", "created")


def test_a_file_one_process_wrote_and_another_read_links_the_two() -> None:
    found, causes = steps(
        *root(),
        *process("1.1", "1", "/usr/bin/sort"),
        *process("1.2", "1", "/usr/bin/uniq"),
        use("1.1", "in.csv", "r"),
        use("1.1", "mid.csv", "w"),
        use("1.2", "mid.csv", "r"),
        use("1.2", "out.csv", "w"),
        inputs=(IN,),
        outputs=(MID, OUT),
    )
    assert {i: (s.name, s.parent, s.inputs, s.outputs) for i, s in found.items()} == {
        "1": ("sh", None, (), ()),
        "1.1": ("sort", "1", ("in.csv",), ("mid.csv",)),
        "1.2": ("uniq", "1", ("mid.csv",), ("out.csv",)),
    }
    assert causes == {}


def test_processes_that_touched_no_data_are_left_out_and_their_children_kept() -> None:
    found, _ = steps(
        *root(),
        *process("1.1", "1", "/usr/bin/env"),
        *process("1.1.1", "1.1", "/usr/bin/bash"),
        *process("1.1.1.1", "1.1.1", "/usr/bin/cp"),
        use("1.1.1.1", "out.csv", "w"),
        use("1.1", "/usr/lib/libc.so", "r"),
        outputs=(OUT,),
    )
    assert found.keys() == {"1", "1.1.1.1"}
    assert found["1.1.1.1"].parent == "1"


def test_steps_are_ordered_by_place_in_the_tree_not_by_spelling() -> None:
    names = [f"1.{n}" for n in (10, 9, 2, 1)]
    records = [record for n in names for record in (*process(n, "1", "/bin/x"), use(n, "out.csv", "w"))]
    found, _ = steps(*root(), *records, outputs=(OUT,))
    assert [*found] == ["1", "1.1", "1.2", "1.9", "1.10"]


def test_a_process_that_only_forked_is_called_by_its_ancestors_program() -> None:
    found, _ = steps(
        *root("/usr/bin/python3", "python3", "etl.py"),
        *process("1.1", "1"),
        *process("1.1.1", "1.1"),
        use("1.1.1", "out.csv", "w"),
        outputs=(OUT,),
    )
    step = found["1.1.1"]
    assert (step.name, step.argv, step.executable, step.cwd) == (
        "python3",
        ("python3", "etl.py"),
        "/usr/bin/python3",
        ROOT,
    )


def test_the_last_program_a_process_executed_is_its_own() -> None:
    again = ["x", "1", STARTED_NS + 5, "/usr/bin/python3", ["python3", "etl.py"], f"{ROOT}/sub"]
    found, _ = steps(*root(), again, executables={"/usr/bin/python3": of_bytes(b"elf")})
    assert (found["1"].name, found["1"].cwd, found["1"].executable_digest) == (
        "python3",
        f"{ROOT}/sub",
        of_bytes(b"elf"),
    )


def test_code_is_told_from_data_it_reads() -> None:
    code = artifact("etl.py", kind="code")
    found, _ = steps(*root(), use("1", "etl.py", "r"), use("1", "in.csv", "r"), inputs=(code, IN))
    assert (found["1"].code, found["1"].inputs) == (("etl.py",), ("in.csv",))


def test_what_was_only_asked_about_and_folders_are_no_data() -> None:
    found, _ = steps(
        *root(),
        use("1", "asked", "r"),
        use("1", "folder", "r"),
        use("1", "temporary", "w"),
        inputs=(artifact("asked", b"", "probed"), artifact("folder", None, "listed")),
    )
    assert (found["1"].inputs, found["1"].outputs) == ((), ())


def test_a_deletion_is_an_output_of_who_deleted() -> None:
    found, _ = steps(
        *root(),
        *process("1.1", "1", "/usr/bin/rm"),
        use("1.1", "old.csv", "d"),
        outputs=(artifact("old.csv", b"", "deleted"),),
    )
    assert found["1.1"].outputs == ("old.csv",)


def test_what_was_written_under_another_name_is_an_output_of_who_wrote() -> None:
    found, _ = steps(
        *root(),
        *process("1.1", "1", "/usr/bin/sort"),
        *process("1.2", "1", "/usr/bin/mv"),
        use("1.1", "out.tmp", "w"),
        ["r", f"{ROOT}/out.tmp", f"{ROOT}/out.csv", "1.2", False],
        outputs=(OUT,),
    )
    assert found["1.1"].outputs == ("out.csv",)


def test_a_run_in_which_nobody_touched_data_has_its_first_process() -> None:
    found, causes = steps(parameters={"day": "1"}, exit_code=None, ended_ns=None)
    assert found.keys() == {"1"}
    step = found["1"]
    assert (step.name, step.argv, step.parameters) == ("process", (), {"day": "1"})
    assert (step.started_at, step.ended_at, step.exit_code) == (clock.from_ns(STARTED_NS), None, None)
    assert causes == {"transformation_map[1].exit_code": "it did not end by itself while it was observed"}


def test_an_end_nobody_saw_is_no_end() -> None:
    found, causes = steps(
        *root(),
        *process("1.1", "1", "/usr/bin/server", started=5, code=None),
        use("1.1", "out.csv", "w"),
        outputs=(OUT,),
        parameters={"day": "1"},
    )
    step = found["1.1"]
    assert (step.exit_code, step.ended_at, step.parameters) == (None, None, {})
    assert step.started_at == clock.from_ns(STARTED_NS + 5)
    assert causes.keys() == {"transformation_map[1.1].exit_code"}


def test_the_first_process_ends_with_the_run_as_waitpid_says() -> None:
    found, causes = steps(*root(), ["q", "1", 0, STARTED_NS + 7], exit_code=-9)
    assert (found["1"].exit_code, found["1"].ended_at) == (-9, clock.from_ns(STARTED_NS + 7))
    assert causes == {}


def test_words_that_are_no_text_are_written_as_text() -> None:
    found, _ = steps(*root("/opt/\udcff/tool", "tool", "\udcff"))
    for text in (found["1"].name, found["1"].executable or "", *found["1"].argv):
        text.encode()
