"""Every code that an audit may report says who can put it right and how, and is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.cli.group import VERBS
from reenact.govern.findings import AUDIT_FINDINGS, make_finding, ordered
from reenact.model.audit import SEVERITIES
from reenact.seal.flaws import FLAWS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "findings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", AUDIT_FINDINGS)
def test_each_code_is_documented_with_its_severity_and_who_can_do_what(code: str) -> None:
    kind = AUDIT_FINDINGS[code]
    assert f"| `{code}` | {kind.severity} | {kind.who} | {kind.meaning} |" in PAGE
    assert kind.how
    assert kind.severity in SEVERITIES


def test_what_verify_reports_an_audit_knows() -> None:
    assert FLAWS.keys() < AUDIT_FINDINGS.keys()


@pytest.mark.parametrize("code", AUDIT_FINDINGS)
def test_commands_name_verbs_that_exist(code: str) -> None:
    words = AUDIT_FINDINGS[code].how.replace(":", "").replace(";", "").replace(",", "").split()
    named = [words[place + 1] for place, word in enumerate(words) if word == "reenact" and place + 1 < len(words)]
    assert set(named) <= set(VERBS)


def test_a_finding_says_its_command_with_the_run() -> None:
    assert make_finding("logged-late", "entry", "late", run_id="r1").how == "reenact show r1"
    assert make_finding("logged-late", "entry", "late").how == "reenact show RUN"
    assert make_finding("stray", "notes.txt", "it").how == "look at notes.txt, and take it out of the store"
    with pytest.raises(KeyError):
        make_finding("no-such-code", "x", "y")


def test_the_gravest_come_first_and_each_once() -> None:
    given = [make_finding(code, "x", "y") for code in ("logged-late", "drift-code", "object-missing", "integrity")]
    assert [f.severity for f in ordered([*given, *given])] == ["critical", "major", "minor", "notice"]
