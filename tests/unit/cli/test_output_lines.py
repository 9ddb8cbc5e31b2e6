"""Lines for outputs: all that differ, of many that are identical the first ones."""

from __future__ import annotations

from reenact.cli.differences import output_lines
from reenact.model.verdict import OutputJudgement, OutputLevel


def judged(name: str, verdict: OutputLevel = "identical") -> OutputJudgement:
    return OutputJudgement(name=name, verdict=verdict, recorded="directory", got="directory", differences=())


def lines(*outputs: OutputJudgement) -> list[str]:
    return [" ".join(line.split()) for line in output_lines(outputs, {})]


def test_few_are_all_shown() -> None:
    assert lines(judged("a"), judged("b", "different")) == ["identical a directory", "different b directory"]


def test_of_many_alike_the_rest_is_counted() -> None:
    many = [judged(f"same{number}") for number in range(1500)]
    found = lines(*many, judged("other", "different"), judged("stdout"))
    assert found[:2] == ["identical same0 directory", "identical same1 directory"]
    assert found[-3:] == [
        "different other directory",
        "identical stdout directory",
        "… and 1,480 more, identical; --json has them all",
    ]
    assert len(found) == 23
    others = lines(*(judged(f"o{number}", "missing") for number in range(201)))
    assert others[-1] == "… and 1 more, not identical; --json has them all"
