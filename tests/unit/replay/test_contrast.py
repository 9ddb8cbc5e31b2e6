"""Everything that can differ before a run is named, aligned, the likeliest causes first; what is the same is not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.model.bundle import Bundle
from reenact.model.code import Code
from reenact.model.environment import Distribution, Interpreter, OsPackage
from reenact.replay.contrast import contrast
from tests.bundles import ROOT, artifact, bundle


def changed(base: Bundle, part: str | None = None, **changes: Any) -> Bundle:
    return (
        replace(base, **changes) if part is None else replace(base, **{part: replace(getattr(base, part), **changes)})
    )


def distribution(version: str, record: bytes = b"1", name: str = "Big_Table") -> tuple[Distribution, ...]:
    return (Distribution(ecosystem="pypi", name=name, version=version, location="/l", record_digest=of_bytes(record)),)


def test_nothing_differs_from_itself() -> None:
    assert contrast(bundle(), bundle()) == ()


CHANGES: list[tuple[str | None, dict[str, Any], tuple[str, str]]] = [
    ("launch", {"argv": ("python", "other.py")}, ("command", "word 1")),
    ("launch", {"argv": ("python",)}, ("command", "words")),
    (None, {"parameters": {"day": "2"}}, ("parameter", "day")),
    (None, {"inputs": (artifact("raw.csv", b"x"), artifact("etl.py", b"print()", kind="code"))}, ("input", "raw.csv")),
    (None, {"inputs": (artifact("raw.csv", b"in"), artifact("etl.py", b"x", kind="code"))}, ("code", "etl.py")),
    ("environment", {"distributions": distribution("1")}, ("package", "big-table")),
    (
        "environment",
        {"interpreters": (Interpreter(name="python", version="3.12", path="/p", digest=None),)},
        ("interpreter", "python"),
    ),
    ("environment", {"variables": {"X": "1"}}, ("variable", "X")),
    ("environment", {"variables": {"PYTHONHASHSEED": "1"}}, ("seed", "PYTHONHASHSEED")),
    ("environment", {"variables": {"LC_ALL": "C"}}, ("locale", "LC_ALL")),
    ("environment", {"redacted": {"KEY": "hmac:1"}}, ("secret", "KEY")),
    ("environment", {"manifest": of_bytes(b"m")}, ("environment", "files")),
    ("launch", {"umask": 0o77}, ("conditions", "umask")),
    ("launch", {"limits": {"nofile": (1, 2)}}, ("conditions", "limit nofile")),
    ("determinism", {"seeds": {"numpy": "1"}}, ("seed", "numpy")),
    (None, {"code": Code(commit="a" * 40)}, ("version control", "commit")),
    ("launch", {"hostname": "other"}, ("machine", "host")),
]


@pytest.mark.parametrize(("part", "changes", "expected"), CHANGES, ids=[" ".join(c[2]) for c in CHANGES])
def test_each_thing_is_named(part: str | None, changes: dict[str, Any], expected: tuple[str, str]) -> None:
    found = contrast(bundle(), changed(bundle(), part, **changes))
    assert [(one.section, one.name) for one in found] == [expected]
    back = contrast(changed(bundle(), part, **changes), bundle())
    assert [(one.before, one.after) for one in back] == [(one.after, one.before) for one in found]


def test_the_likeliest_causes_come_first() -> None:
    other = bundle()
    for part, changes, _ in reversed(CHANGES):
        if "inputs" not in changes and changes.get("argv") != ("python",):
            other = changed(other, part, **changes)
    sections = [one.section for one in contrast(bundle(), other)]
    assert sections[:3] == ["command", "parameter", "package"]
    assert sections[-1] == "machine"


def test_a_package_of_the_same_version_with_other_files_differs() -> None:
    sides = [changed(bundle(), "environment", distributions=distribution("1", record)) for record in (b"1", b"2")]
    assert [one.name for one in contrast(*sides)] == ["big-table"]
    same = [changed(bundle(), "environment", distributions=distribution("1", name=n)) for n in ("a.b", "A-B")]
    assert contrast(*same) == ()


def test_a_system_package_that_one_run_did_not_use_says_nothing() -> None:
    package = OsPackage(name="sed", version="1", architecture="amd64")
    one = changed(bundle(), "environment", os_packages=(package,))
    assert contrast(bundle(), one) == ()
    assert [
        c.name for c in contrast(one, changed(bundle(), "environment", os_packages=(replace(package, version="2"),)))
    ] == ["sed:amd64"]


def test_files_are_aligned_by_name_wherever_the_job_lay() -> None:
    moved = artifact("raw.csv", b"in", path="/elsewhere/raw.csv")
    first = bundle(inputs=(artifact("raw.csv", b"in"),))
    assert contrast(first, bundle(inputs=(moved,))) == ()


def test_what_was_looked_for_in_vain_is_told_from_what_was_not_read() -> None:
    first, second = bundle(inputs=()), bundle(inputs=(artifact("new.csv", b"1"),))
    assert contrast(first, second)[0].before == "not read"
    assert contrast(first, second, absent=((f"{ROOT}/new.csv",), ()))[0].before == "looked for, not there"


def test_listings_say_which_names_are_new_or_gone() -> None:
    sides = [bundle(inputs=(artifact("data", None, "listed", names=names),)) for names in (("a", "b"), ("b", "c", "d"))]
    found = contrast(*sides)
    assert [(c.section, c.name, c.before, c.after) for c in found] == [("listing", "data", "has a", "has c, d")]


def test_compiled_files_and_folders_that_were_only_passed_are_left_out() -> None:
    pyc = artifact("__pycache__/x.cpython-311.pyc", b"1", kind="code")
    assert contrast(bundle(inputs=()), bundle(inputs=(pyc, artifact("d", None, names=None)))) == ()
