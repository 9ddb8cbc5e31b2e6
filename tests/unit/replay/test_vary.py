"""Which files are code, what a name of an input means, and where a parameter was told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.errors import UsageError
from reenact.model.artifact import Artifact
from reenact.model.environment import Manifest
from reenact.replay.ingredients import Ingredients
from reenact.replay.vary import (
    Offer,
    choose_code,
    input_places,
    with_code,
    with_command,
    with_parameter,
    with_variable,
)
from tests.bundles import ROOT, artifact, bundle


def record(
    *inputs: Artifact, argv: tuple[str, ...] = ("sh",), variables: dict[str, str] | None = None, **changes: Any
) -> Ingredients:
    made = bundle(inputs=inputs, **changes)
    made = replace(
        made,
        launch=replace(made.launch, argv=argv),
        environment=replace(made.environment, variables=variables or {}),
    )
    return Ingredients(bundle=made, manifest=Manifest(format="reenact-environment/1", entries=()), absent=frozenset())


def code(name: str, content: bytes = b"1") -> Artifact:
    return artifact(name, content, kind="code")


def offer(content: bytes, **more: Any) -> Offer:
    given = {"type": "file", "mode": 0o644, "mtime_ns": 5, "size_bytes": len(content), "digest": of_bytes(content)}
    return Offer(**{**given, **more})


def chosen(
    base: Ingredients, *names: str, tracked: tuple[str, ...] = (), formerly: tuple[str, ...] = ()
) -> tuple[Any, ...]:
    by_name = {name for name in names if name.endswith(".py")}
    choice = choose_code(base, ROOT, names, tracked=tracked, formerly=formerly, is_code=by_name)
    return choice.taken, choice.gone, choice.left


def test_recorded_code_new_code_and_tracked_files_are_code() -> None:
    base = record(code("etl"), artifact("conf.ini", b"1"), artifact("raw.csv", b"1"))
    names = ("etl", "conf.ini", "raw.csv", "new.py", "new.csv")
    assert chosen(base, *names, tracked=("conf.ini",)) == (("conf.ini", "etl", "new.py"), (), ("new.csv", "raw.csv"))


def test_outputs_are_never_code() -> None:
    assert chosen(record(), "out.csv", tracked=("out.csv",)) == ((), (), ())


def test_recorded_code_that_is_not_there_is_gone_and_so_is_what_was_tracked() -> None:
    base = record(code("etl.py"), code("old.py"), artifact("old.ini", b"1"), artifact("raw.csv", b"1"))
    gone = (f"{ROOT}/old.ini", f"{ROOT}/old.py")
    assert chosen(base, "etl.py", formerly=("old.ini",)) == (("etl.py",), gone, ())


def test_the_same_bytes_stay_the_recorded_entry() -> None:
    base = record(code("etl.py", b"1"), code("x.py", b"1"))
    found = with_code(base, ROOT, {"etl.py": offer(b"1"), "x.py": offer(b"2")}, ())
    assert found.entries()[f"{ROOT}/etl.py"] == base.entries()[f"{ROOT}/etl.py"]
    assert found.entries()[f"{ROOT}/x.py"].mtime_ns == "5"


def test_another_mode_is_another_file() -> None:
    base = record(code("tool", b"1"))
    found = with_code(base, ROOT, {"tool": offer(b"1", mode=0o755)}, ())
    assert found.entries()[f"{ROOT}/tool"].mode == 0o755


def test_new_folders_of_code_say_what_is_in_them() -> None:
    found = with_code(record(code("etl.py")), ROOT, {"pack/sub/new.py": offer(b"1")}, ())
    assert found.entries()[f"{ROOT}/pack"].names == ("sub",)
    assert found.entries()[f"{ROOT}/pack/sub"].names == ("new.py",)


def test_an_input_is_found_by_its_name_or_in_a_folder_that_was_listed() -> None:
    base = record(artifact("data", None, "listed", names=("a",)), artifact("data/a"), artifact("/etc/x"))
    assert input_places(base, "data/a")[0] == f"{ROOT}/data/a"
    assert input_places(base, "data/new") == (f"{ROOT}/data/new", None)
    assert input_places(base, "/etc/x")[0] == "/etc/x"
    assert input_places(base, "conf/new.ini", may_be_new=True) == (f"{ROOT}/conf/new.ini", None)
    with pytest.raises(UsageError, match="read no input"):
        input_places(base, "/elsewhere/new.ini", may_be_new=True)
    for name in ("other", "data/../../up", "data/sub/deep"):
        with pytest.raises(UsageError, match="read no input"):
            input_places(base, name)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("etl", "--day", "1"), ("etl", "--day", "9")),
        (("etl", "--day=1", "1"), ("etl", "--day=9", "1")),
        (("etl", "day=1"), ("etl", "day=9")),
        (("etl", "-day", "1"), ("etl", "-day", "9")),
    ],
)
def test_a_parameter_is_changed_where_the_command_tells_it(argv: tuple[str, ...], expected: tuple[str, ...]) -> None:
    found = with_parameter(record(argv=argv, parameters={"day": "1"}), "day", "9").bundle
    assert (found.launch.argv, found.parameters) == (expected, {"day": "9"})


def test_a_parameter_is_changed_where_a_variable_tells_it() -> None:
    found = with_parameter(
        record(variables={"RUN_DAY": "1", "X": "1"}, parameters={"run-day": "1"}), "run-day", "9"
    ).bundle
    assert found.environment.variables == {"RUN_DAY": "9", "X": "1"}


def test_a_parameter_that_is_only_a_note_is_refused() -> None:
    base = record(argv=("etl", "1"), parameters={"day": "1"})
    with pytest.raises(UsageError, match="only a note"):
        with_parameter(base, "day", "9")
    with pytest.raises(UsageError, match="no parameter"):
        with_parameter(base, "month", "9")


def test_variables_are_set_and_unset_and_the_locale_follows() -> None:
    base = record(variables={"A": "1"})
    assert with_variable(base, "A", None).bundle.environment.variables == {}
    found = with_variable(base, "LC_ALL", "de_DE.UTF-8").bundle.environment
    assert (found.variables["LC_ALL"], found.locale) == ("de_DE.UTF-8", "de_DE.UTF-8")


def test_another_command_is_looked_for_anew() -> None:
    launch = with_command(record(), ["sh", "other.sh"]).bundle.launch
    assert (launch.argv, launch.executable) == (("sh", "other.sh"), None)
