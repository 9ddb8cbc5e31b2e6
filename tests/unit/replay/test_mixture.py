"""What counts as a difference between two records, and what a mixture of them is."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from reenact.model.artifact import Artifact, Entry
from reenact.model.environment import Distribution, Manifest
from reenact.replay.factors import Factor
from reenact.replay.ingredients import Ingredients
from reenact.replay.mixture import Pair
from tests.bundles import ROOT, artifact, bundle

SITE = "/opt/venv/lib/python3.11/site-packages"


def record(
    *inputs: Artifact, absent: tuple[str, ...] = (), environment: tuple[Entry, ...] = (), **changes: Any
) -> Ingredients:
    launch = {key: changes.pop(key) for key in ("argv", "umask") if key in changes}
    words = {key: changes.pop(key) for key in ("variables", "redacted", "distributions") if key in changes}
    made = bundle(inputs=inputs, **changes)
    made = replace(made, launch=replace(made.launch, **launch), environment=replace(made.environment, **words))
    manifest = Manifest(format="reenact-environment/1", entries=environment)
    return Ingredients(bundle=made, manifest=manifest, absent=frozenset(absent))


def titles(pair: Pair) -> list[str]:
    return [factor.title for factor in pair.factors]


def test_the_likeliest_come_first() -> None:
    first = record(
        artifact("a.csv", b"1"),
        artifact("x.py", b"1", kind="code"),
        argv=("sh", "1"),
        variables={"TZ": "UTC", "SHLVL": "1"},
    )
    second = record(
        artifact("a.csv", b"2"),
        artifact("x.py", b"2", kind="code"),
        argv=("sh", "2"),
        variables={"TZ": "EST5", "SHLVL": "2"},
        umask=0o77,
    )
    found = ["command word 1", "code x.py", "input a.csv", "locale TZ", "conditions umask", "session SHLVL"]
    assert titles(Pair(first, second)) == found


def test_what_one_record_says_nothing_of_is_no_difference_but_part_of_a_mixture() -> None:
    pair = Pair(record(), record(artifact("new.csv", b"1")))
    assert titles(pair) == []
    assert [a.name for a in pair.mixed(()).bundle.inputs] == ["new.csv"]


def test_what_one_record_says_nothing_of_can_be_taken_for_absent() -> None:
    pair = Pair(record(), record(artifact("new.csv", b"1")), may_appear=True)
    assert titles(pair) == ["input new.csv"]
    assert pair.mixed(()).bundle.inputs == ()
    back = Pair(record(artifact("old.csv", b"1")), record(), may_vanish=True)
    assert titles(back) == ["input old.csv"]
    assert back.mixed(back.factors).bundle.inputs == ()


def test_a_file_that_was_looked_for_in_vain_is_one() -> None:
    for absent in ((f"{ROOT}/new.csv",), (f"{ROOT}",)):
        assert titles(Pair(record(absent=absent), record(artifact("new.csv", b"1")))) == ["input new.csv"]


def test_a_file_that_a_listing_does_not_name_is_one() -> None:
    first = record(artifact("data", None, "listed", names=("a",)), artifact("data/a", b"1"))
    second = record(
        artifact("data", None, "listed", names=("a", "b")), artifact("data/a", b"1"), artifact("data/b", b"2")
    )
    pair = Pair(first, second)
    assert titles(pair) == ["input data/b"]
    mixed = pair.mixed(pair.factors)
    assert mixed.entries()[f"{ROOT}/data"].names == ("a", "b")
    assert Pair(mixed, second).factors == ()


def test_an_output_that_was_left_over_is_told_from_an_input() -> None:
    pair = Pair(record(), record(artifact("out.csv", b"old", "updated")))
    assert titles(pair) == ["leftover out.csv"]


def test_times_alone_are_one_factor_and_folders_have_none() -> None:
    first = record(artifact("a", b"1"), artifact("b", b"1"), artifact("d", None))
    second = record(
        artifact("a", b"1", mtime_ns="1"), artifact("b", b"1", mtime_ns="1"), artifact("d", None, mtime_ns="1")
    )
    pair = Pair(first, second)
    assert titles(pair) == ["file times"]
    assert {e.mtime_ns for e in pair.mixed(pair.factors).entries().values() if e.type == "file"} == {"1"}


def test_compiled_files_are_none() -> None:
    pyc = "__pycache__/x.cpython-311.pyc"
    first, second = record(artifact(pyc, b"1", kind="code")), record(artifact(pyc, b"2", kind="code"))
    assert titles(Pair(first, second)) == []


def package(version: str, top: str) -> tuple[tuple[Entry, ...], tuple[Distribution, ...]]:
    entries = tuple(
        artifact(f"{SITE}/{name}", version.encode()).entry
        for name in (f"{top}/__init__.py", f"PyThing-{version}.dist-info/METADATA")
    )
    return entries, (Distribution(ecosystem="pypi", name="PyThing", version=version, location=SITE),)


def test_the_files_of_a_package_are_one_factor_though_they_are_called_otherwise() -> None:
    sides = []
    for version in ("1.0", "2.0"):
        entries, distributions = package(version, "thing")
        gone = "2.0" if version == "1.0" else "1.0"
        sides.append(
            record(environment=entries, distributions=distributions, absent=(f"{SITE}/PyThing-{gone}.dist-info",))
        )
    pair = Pair(*sides)
    assert [(f.title, f.before, f.after) for f in pair.factors] == [("package PyThing", "1.0", "2.0")]
    assert (
        pair.mixed(pair.factors).manifest == sides[1].manifest or Pair(pair.mixed(pair.factors), sides[1]).factors == ()
    )


def test_variables_and_words_are_swapped_one_by_one() -> None:
    first = record(argv=("sh", "a", "b"), variables={"X": "1", "Y": "1"}, redacted={"KEY": "hmac:1"})
    second = record(argv=("sh", "c", "d"), variables={"X": "2", "Z": "1"}, redacted={"KEY": "hmac:2"})
    pair = Pair(first, second)

    def chosen(*names: str) -> tuple[Factor, ...]:
        return tuple(factor for factor in pair.factors if factor.title in names)

    mixed = pair.mixed(chosen("command word 2", "variable Y", "variable X", "secret KEY")).bundle
    assert mixed.launch.argv == ("sh", "a", "d")
    assert mixed.environment.variables == {"X": "2"}
    assert mixed.environment.redacted == {"KEY": "hmac:2"}
    assert Pair(pair.mixed(pair.factors), second).factors == ()


def test_a_command_of_another_length_is_one_factor() -> None:
    pair = Pair(record(argv=("sh", "a")), record(argv=("sh", "a", "b")))
    assert titles(pair) == ["command words"]
    assert pair.mixed(pair.factors).bundle.launch.argv == ("sh", "a", "b")


def test_nothing_differs_from_itself() -> None:
    same = record(artifact("a", b"1"), variables={"X": "1"})
    assert Pair(same, same).factors == ()
