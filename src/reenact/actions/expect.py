"""Write down in `reenact.toml` what counts as equal for some outputs; what is in the file stays as it is, to the byte."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import Final

from reenact import atomic
from reenact.compare.policy import as_policy, as_toml, fits
from reenact.errors import UsageError
from reenact.model.policy import Policy
from reenact.settings import SETTINGS_FILE, Settings
from reenact.settings.outputs import read_rules

__all__ = ["Expected", "expect"]

_PERMISSIONS: Final = 0o7777
_NEW: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was, or would be, written."""

    file: str
    section: str
    before: tuple[str, ...]
    """Patterns of earlier sections that may mean the same outputs: the first that fits holds."""


def expect(settings: Settings, policy: Policy, *, write: bool) -> Expected:
    """Add a section for a policy at the end of the settings file, which is made where there is none.

    Args:
        settings: Says where the file is.
        policy: What to declare; its pattern is the section's.
        write: Write it; else only say what would be written.

    Raises:
        UsageError: there is a section for the pattern already, or the file cannot be added to.
        OSError: the file cannot be read or written.
    """
    file = settings.file or os.path.join(settings.root, SETTINGS_FILE)
    section = as_toml(policy)
    if any(rule.pattern == policy.pattern for rule in settings.outputs):
        raise UsageError(f'{file} has a section [outputs."{policy.pattern}"] already', hint="change it there")
    old = _text(file)
    added = old + ("" if not old or old.endswith("\n") else "\n") + ("\n" if old else "") + section
    _check(file, old, added, policy)
    if write:
        _replace(file, added)
    before = [rule.pattern for rule in settings.outputs if fits(rule.pattern, policy.pattern)]
    return Expected(file=file, section=section, before=tuple(before))


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _check(file: str, old: str, added: str, policy: Policy) -> None:
    """See that the new file says what the old one said, and the section; a file may be written so that nothing can be added."""
    try:
        before, after = tomllib.loads(old), tomllib.loads(added)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"a section cannot be added to {file}: {error}", hint="add it by hand") from error
    tables = after.get("outputs", {})
    new = tables.pop(policy.pattern, None)
    if not tables:
        after.pop("outputs", None)
        before = {key: value for key, value in before.items() if key != "outputs" or value}
    [rule] = read_rules({policy.pattern: new})
    if before != after or as_policy(rule) != policy:
        raise UsageError(f"a section cannot be added to {file} without changing what it says", hint="add it by hand")


def _replace(file: str, text: str) -> None:
    """Put the new text in place of the old at once, with the same permissions; a link to the file stays one."""
    target = os.path.realpath(file)
    mode = os.stat(target).st_mode & _PERMISSIONS if os.path.exists(target) else _NEW
    atomic.replace(target, text.encode(), mode=mode)
