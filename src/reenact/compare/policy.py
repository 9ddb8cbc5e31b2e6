"""Which policy is in force for an output: the first whose pattern fits its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, cast

from reenact.model.policy import BYTES, Compare, Policy, Tolerance
from reenact.settings import OutputRule
from reenact.settings.outputs import read_rules

__all__ = [
    "DECLARED",
    "as_policy",
    "as_toml",
    "fits",
    "group_of",
    "policies",
    "policy_for",
    "quoted",
    "recorded_policies",
]

DECLARED: Final = "outputs"
"""Under which a record has what was declared."""


def as_policy(rule: OutputRule) -> Policy:
    """Make the signed form of what the settings say."""
    return Policy(
        compare=cast(Compare, rule.compare),
        pattern=rule.pattern,
        key=rule.key,
        ignore_columns=rule.ignore_columns,
        order=cast(Literal["same", "any"], rule.order),
        tolerance={column: _tolerance(**measures) for column, measures in rule.tolerance.items()},
    )


def _tolerance(
    absolute: str | None = None, relative: str | None = None, ulp: str | None = None, seconds: str | None = None
) -> Tolerance:
    return Tolerance(absolute=absolute, relative=relative, ulp=None if ulp is None else int(ulp), seconds=seconds)


def policies(rules: Iterable[OutputRule]) -> tuple[Policy, ...]:
    """Make all, in order."""
    return tuple(as_policy(rule) for rule in rules)


def recorded_policies(tolerances: Mapping[str, str]) -> tuple[Policy, ...]:
    """Make those that a record holds; what cannot be read as any we know (of a later version) declares nothing."""
    import tomllib  # noqa: PLC0415 - a recording needs this module, and not that one

    try:
        tables = tomllib.loads(tolerances.get(DECLARED, "")).get("outputs", {})
        return policies(read_rules(tables))
    except ValueError:
        return ()


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(parts.get(word, re.escape(word)) for word in words), re.DOTALL)


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern means a name: ``*`` is any text without a slash, ``**`` any text, ``?`` one character.

    A pattern that ends in a slash means all files below folders of that name.
    """
    if pattern.endswith("/"):
        return group_of(pattern, name) is not None
    return _expression(pattern).fullmatch(name) is not None


def group_of(pattern: str, name: str) -> str | None:
    """Give the folder, with its slash, that a pattern ending in a slash makes one artifact of; None where it does not."""
    if not pattern.endswith("/"):
        return None
    found = _expression(pattern).match(name)
    return found[0] if found is not None and found.end() < len(name) else None


def policy_for(name: str, given: Sequence[Policy]) -> Policy:
    """Give the first policy whose pattern fits; `BYTES` without any."""
    return next((policy for policy in given if fits(policy.pattern, name)), BYTES)


def as_toml(policy: Policy) -> str:
    """Write the section of `reenact.toml` that declares a policy."""
    lines = [f"[outputs.{quoted(policy.pattern)}]", f'compare = "{policy.compare}"']
    if policy.order == "any" and policy.compare != "rows":
        lines.append('order = "any"')
    lists = {"key": policy.key, "ignore_columns": policy.ignore_columns}
    lines += [f"{name} = [{', '.join(map(quoted, columns))}]" for name, columns in lists.items() if columns]
    lines += [f"tolerance.{quoted(c)} = {{ {_measures(t)} }}" for c, t in policy.tolerance.items()]
    return "\n".join(lines) + "\n"


def _measures(tolerance: Tolerance) -> str:
    measures = ((name, getattr(tolerance, name)) for name in Tolerance.__struct_fields__)
    return ", ".join(f"{name} = {value}" for name, value in measures if value is not None)


def quoted(text: str) -> str:
    """Write a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
