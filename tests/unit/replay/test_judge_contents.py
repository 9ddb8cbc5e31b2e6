"""The judge of a replay with what is in the outputs: which level it gives, and what it never lets pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reenact.compare.result import ColumnDifference, Comparison, PartComparison
from reenact.digests import Digest, of_bytes
from reenact.model.bundle import Bundle
from reenact.model.policy import BYTES, Policy, Relaxation
from reenact.model.statement import dump_verdict, load_verdict
from reenact.model.verdict import OutputJudgement, Verdict, overall
from reenact.replay.judge import Evidence, judge, judge_outputs
from tests import bundles

ROWS = Policy(compare="rows", pattern="*.csv")
MOVED = Relaxation(kind="order", detail="rows in another order", values=3)


@dataclass
class Fake:
    """Gives one answer, and remembers what it was asked."""

    answer: Comparison | None
    patterns: Sequence[str] = ()
    asked: list[Any] = field(default_factory=list)

    def compare(self, name: str, recorded: Digest, got: Digest) -> Comparison | None:
        self.asked.append((name, recorded, got))
        return self.answer

    def folders(self) -> Sequence[str]:
        return self.patterns

    def compare_folder(
        self, folder: str, recorded: Mapping[str, Digest], got: Mapping[str, Digest]
    ) -> Comparison | None:
        self.asked.append((folder, dict(recorded), dict(got)))
        return self.answer


def order(*, accepted: bool) -> Comparison:
    part = PartComparison(kind="table", level="order", relaxations=(MOVED,))
    policy = ROWS if accepted else BYTES
    return Comparison(
        level="order", accepted=accepted, policy=policy, parts=(part,), hint="" if accepted else "declare it"
    )


def made(content: bytes = b"out", **facts: Any) -> Bundle:
    return bundles.bundle(outputs=(bundles.artifact("out.csv", content, "created", **facts),))


def judged(replay: Bundle, contents: Fake) -> OutputJudgement:
    judgements, _ = judge(Evidence(bundle=made()), Evidence(bundle=replay), contents)
    return judgements[0]


def test_equal_bytes_are_not_looked_into() -> None:
    contents = Fake(order(accepted=True))
    assert judged(made(), contents).verdict == "identical"
    assert contents.asked == []


def test_what_a_policy_accepts_is_equivalent_and_all_that_was_let_pass_is_said() -> None:
    contents = Fake(order(accepted=True))
    found = judged(made(b"tuo"), contents)
    assert (found.verdict, found.equivalence, found.policy, found.relaxations) == (
        "equivalent",
        "order",
        ROWS,
        (MOVED,),
    )
    assert found.differences == ()
    assert contents.asked == [("out.csv", of_bytes(b"out"), of_bytes(b"tuo"))]


def test_what_nothing_accepts_is_different_with_a_hint() -> None:
    found = judged(made(b"tuo"), Fake(order(accepted=False)))
    assert (found.verdict, found.equivalence, found.policy, found.relaxations) == ("different", "order", None, ())
    assert (found.hint, found.differences) == ("declare it", ("bytes: other content of the same 3 bytes",))


def test_other_permissions_are_never_let_pass() -> None:
    found = judged(made(b"tuo", mode=0o600), Fake(order(accepted=True)))
    assert (found.verdict, found.differences) == ("different", ("mode: recorded 0644, got 0600",))
    assert found.relaxations == ()


def test_contents_that_cannot_be_had_are_different() -> None:
    assert judged(made(b"tuo"), Fake(None)).verdict == "different"


def test_what_differs_is_summed_up_without_values() -> None:
    column = ColumnDifference(column="price", changed=2, largest=0.25)
    part = PartComparison(kind="table", level="different", changed=2, columns=(column,))
    found = judged(made(b"tuo"), Fake(Comparison(level="different", accepted=False, parts=(part,))))
    assert found.differences[1:] == ("2 rows changed", "column price: 2 changed, largest difference 0.25")


def test_a_folder_is_judged_as_one_whatever_its_files_are_called() -> None:
    def run(*names: str) -> Bundle:
        files = (bundles.artifact(f"daily/{name}", name.encode(), "created") for name in names)
        return bundles.bundle(outputs=(*files, bundles.artifact("x.csv", b"x", "created")))

    contents = Fake(order(accepted=True), patterns=["daily/"])
    judgements, _ = judge(Evidence(bundle=run("a", "b")), Evidence(bundle=run("c")), contents)
    assert [(j.name, j.verdict) for j in judgements[:2]] == [("daily/", "equivalent"), ("x.csv", "identical")]
    assert contents.asked == [
        ("daily/", {"a": of_bytes(b"a"), "b": of_bytes(b"b")}, {"c": of_bytes(b"c")}),
    ]
    gone, _ = judge(Evidence(bundle=run("a")), Evidence(bundle=run()), contents)
    assert (gone[0].name, gone[0].verdict) == ("daily/", "missing")
    same, _ = judge(Evidence(bundle=run("a")), Evidence(bundle=run("a")), contents)
    assert (same[0].name, same[0].verdict) == ("daily/", "identical")


def test_two_runs_are_compared_by_names_wherever_they_ran() -> None:
    first = bundles.bundle(outputs=(bundles.artifact("out.csv", b"out", "created", path="/a/out.csv"),))
    second = bundles.bundle(outputs=(bundles.artifact("out.csv", b"tuo", "created", path="/b/out.csv"),), exit_code=1)
    found = judge_outputs(first, second, Fake(order(accepted=True)))
    assert [(j.name, j.verdict) for j in found] == [("out.csv", "equivalent"), ("exit-code", "different")]


def test_a_verdict_with_all_this_is_signed_as_any() -> None:
    judgements, _ = judge(Evidence(bundle=made()), Evidence(bundle=made(b"tuo")), Fake(order(accepted=True)))
    assert overall(judgements, ()) == "equivalent"
    verdict = Verdict(
        schema_version="1.0",
        run_id=bundles.run_id(1),
        replay_run_id=bundles.run_id(2),
        verdict="equivalent",
        rung="world",
        not_isolated=(),
        judged_at="2026-02-01T00:00:00.000000Z",
        outputs=judgements,
        bundle_digest=of_bytes(b""),
    )
    assert load_verdict(dump_verdict(verdict)) == verdict


def test_a_folder_that_the_other_run_found_there_is_no_difference() -> None:
    made = bundles.artifact("out", None, "created")
    first = bundles.bundle(outputs=(made,))
    found = judge_outputs(first, bundles.bundle(outputs=(), inputs=(bundles.artifact("out", None, "probed"),)))
    assert [o.name for o in found] == ["exit-code"]
    assert [o.verdict for o in judge_outputs(first, bundles.bundle(outputs=())) if o.name == "out"] == ["missing"]
    back = judge_outputs(bundles.bundle(outputs=(), inputs=(bundles.artifact("out", None, "probed"),)), first)
    assert [o.name for o in back] == ["exit-code"]
