"""JUnit reports say what failed, and are XML whatever is in a name."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from reenact.actions.replay import ReplayResult
from reenact.cli.junit import report, write_replay
from reenact.model.verdict import OutputJudgement


def cases(data: bytes) -> dict[str, str]:
    return {case.attrib["name"]: ",".join(child.tag for child in case) for case in ET.fromstring(data).iter("testcase")}


def test_each_output_is_a_case_and_only_what_decides_fails() -> None:
    judgements = [
        OutputJudgement(name="a.csv", verdict="identical", recorded="x", got="x"),
        OutputJudgement(name="b.csv", verdict="different", recorded="x", got="y", differences=("rows: 3 changed",)),
        OutputJudgement(
            name="stderr", verdict="different", recorded="x", got="y", differences=("bytes",), decides=False
        ),
    ]
    data = report("etl", judgements, summary="s", seconds=1.5, errors=["gone.py: not there"])
    found = cases(data)
    assert found == {
        "a.csv": "",
        "b.csv": "failure",
        "stderr": "system-out",
        "everything needed was there": "error",
    }
    suite = ET.fromstring(data).find("testsuite")
    assert suite is not None
    assert {key: suite.attrib[key] for key in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
    }
    assert b"rows: 3 changed" in data


def test_names_that_xml_cannot_say_are_escaped() -> None:
    data = report("e", [OutputJudgement(name="a\x00<&\ud800", verdict="missing")], summary="\x1b", seconds=0, errors=[])
    assert cases(data) == {"a\\u0000<&\\ud800": "failure"}


def test_a_replay_that_was_not_possible_is_an_error(tmp_path: Path) -> None:
    result = ReplayResult(
        verdict="unreplayable", run_id="r", replay_run_id=None, rung=None, missing=("input a: missing",)
    )
    write_replay(result, tmp_path / "new" / "report.xml")
    assert cases((tmp_path / "new" / "report.xml").read_bytes()) == {"everything needed was there": "error"}
