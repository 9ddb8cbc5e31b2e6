from __future__ import annotations

import tomllib

import pytest
from msgspec.structs import replace

from reenact.compare.policy import DECLARED, as_policy, as_toml, fits, group_of, policies, policy_for, recorded_policies
from reenact.model.policy import BYTES, Policy, Tolerance
from reenact.settings import OutputRule
from reenact.settings.outputs import read_rules


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("daily/*.parquet", "daily/a.parquet", True),
        ("daily/*.parquet", "daily/x/a.parquet", False),
        ("**/*.parquet", "a.parquet", True),
        ("**/*.parquet", "x/y/a.parquet", True),
        ("**", "x/y", True),
        ("a?.csv", "ab.csv", True),
        ("a?.csv", "a/.csv", False),
        ("a.csv", "axcsv", False),
        ("[a].csv", "[a].csv", True),
        ("*", "line\nbreak", True),
        ("daily/", "daily/2024/a.parquet", True),
        ("daily/", "daily", False),
        ("daily/", "other/daily/a", False),
        ("*/daily/", "other/daily/a", True),
    ],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert fits(pattern, name) is expected


def test_a_pattern_of_folders_names_the_folder_that_is_one_artifact() -> None:
    assert group_of("*/daily/", "eu/daily/x/y.csv") == "eu/daily/"
    assert group_of("daily/*", "daily/x") is None


def test_the_first_that_fits_is_in_force() -> None:
    given = policies([OutputRule("a*", "content"), OutputRule("*", "rows")])
    assert [policy_for(name, given).compare for name in ("ab", "b")] == ["content", "rows"]
    assert policy_for("x/y", given) is BYTES


POLICIES = [
    Policy(compare="rows", pattern='odd "name" \\ \x07é/*.csv', key=("id", 'a "b"')),
    Policy(
        compare="content",
        pattern="*.parquet",
        ignore_columns=("loaded_at",),
        order="any",
        tolerance={
            "*": Tolerance(absolute="1e-09", relative="0.5"),
            "a.b": Tolerance(ulp=4),
            "at": Tolerance(seconds="1"),
        },
    ),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_record_keeps_what_was_declared_in_its_order(policy: Policy) -> None:
    declared = (policy, replace(policy, pattern="a"))
    assert recorded_policies({DECLARED: "\n".join(map(as_toml, declared))}) == declared
    assert recorded_policies({}) == recorded_policies({DECLARED: '[outputs."a"]\nlater = 1'}) == ()


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_written_as_toml_is_read_as_the_same_policy(policy: Policy) -> None:
    [rule] = read_rules(tomllib.loads(as_toml(policy))["outputs"])
    assert as_policy(rule) == policy
