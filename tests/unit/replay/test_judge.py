from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.model.artifact import Entry, Pointer
from reenact.model.bundle import Bundle, Stream
from reenact.model.verdict import OutputJudgement, overall
from reenact.replay.judge import Evidence, judge
from tests import bundles
from tests.worlds import entry


def judged(original: Bundle, replay: Bundle) -> dict[str, OutputJudgement]:
    judgements, unrecorded = judge(Evidence(bundle=original), Evidence(bundle=replay))
    assert unrecorded == ()
    return {judgement.name: judgement for judgement in judgements}


def unrecorded(original: Evidence, replay: Evidence) -> list[str]:
    return [line.partition(":")[0] for line in judge(original, replay)[1]]


def with_outputs(*outputs: Any, **changes: Any) -> Bundle:
    return bundles.bundle(outputs=outputs, **changes)


def test_a_run_is_identical_to_itself() -> None:
    bundle = bundles.bundle()
    judgements, missing = judge(Evidence(bundle=bundle), Evidence(bundle=bundle))
    assert [(j.name, j.verdict) for j in judgements] == [("out.csv", "identical"), ("exit-code", "identical")]
    assert overall(judgements, missing) == "reproduced"


def test_other_bytes_are_different_and_both_digests_are_named() -> None:
    found = judged(bundles.bundle(), with_outputs(bundles.artifact("out.csv", b"oux", "created")))["out.csv"]
    assert found == OutputJudgement(
        name="out.csv",
        verdict="different",
        recorded=of_bytes(b"out"),
        got=of_bytes(b"oux"),
        differences=("bytes: other content of the same 3 bytes",),
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"mode": 0o600}, "mode: recorded 0644, got 0600"),
        ({"type": "symlink", "target": "x"}, "type: recorded file, got symlink"),
        ({"digest": None}, "bytes: not known in the replay"),
    ],
)
def test_each_aspect_that_differs_is_named(facts: dict[str, Any], said: str) -> None:
    found = judged(bundles.bundle(), with_outputs(bundles.artifact("out.csv", b"out", "created", **facts)))["out.csv"]
    assert (found.verdict, found.differences) == ("different", (said,))


@pytest.mark.parametrize("facts", [{"mtime_ns": "5"}, {"uid": 77, "gid": 78}, {"sparse": True}])
def test_times_owners_and_holes_are_not_compared(facts: dict[str, Any]) -> None:
    again = with_outputs(bundles.artifact("out.csv", b"out", "created", **facts))
    assert judged(bundles.bundle(), again)["out.csv"].verdict == "identical"


def test_links_are_compared_by_target_alone() -> None:
    def link(target: str, mode: int) -> Bundle:
        return with_outputs(
            bundles.artifact("l", b"", "created", type="symlink", target=target, mode=mode, digest=None)
        )

    assert judged(link("a", 0o777), link("a", 0o755))["l"].verdict == "identical"
    assert judged(link("a", 0o777), link("b", 0o777))["l"].differences == ("target: recorded a, got b",)


def test_unknown_bytes_are_never_called_equal() -> None:
    unknown = with_outputs(bundles.artifact("out.csv", b"out", "created", digest=None))
    assert judged(unknown, unknown)["out.csv"].verdict == "different"


def test_missing_and_extra_outputs_are_named() -> None:
    one = with_outputs(bundles.artifact("a", b"a", "created"))
    other = with_outputs(bundles.artifact("b", b"b", "created"))
    found = judged(one, other)
    assert (found["a"].verdict, found["a"].got) == ("missing", None)
    assert (found["b"].verdict, found["b"].recorded, found["b"].got) == ("extra", None, of_bytes(b"b"))


def test_a_deletion_is_an_output() -> None:
    deleted = with_outputs(bundles.artifact("raw.csv", b"in", "deleted"))
    kept = with_outputs()
    assert judged(deleted, deleted)["raw.csv"].verdict == "identical"
    assert judged(deleted, kept)["raw.csv"].differences == ("it was not deleted",)
    assert judged(kept, deleted)["raw.csv"].verdict == "extra"
    rewritten = with_outputs(bundles.artifact("raw.csv", b"new", "updated"))
    assert judged(deleted, rewritten)["raw.csv"].differences == ("it was not deleted",)
    assert judged(rewritten, deleted)["raw.csv"].differences == ("it was deleted",)


def test_a_file_that_is_as_it_was_is_no_extra_output() -> None:
    """The overlay copies a file up when it is opened for writing, even if nothing is written."""
    assert "raw.csv" not in judged(with_outputs(), with_outputs(bundles.artifact("raw.csv", b"in", "updated")))
    assert (
        judged(with_outputs(), with_outputs(bundles.artifact("raw.csv", b"IN", "updated")))["raw.csv"].verdict
        == "extra"
    )


def test_a_file_of_the_environment_that_is_as_it_was_is_no_extra_output() -> None:
    """A lock in a virtual environment, for one; a change to such a file is one all the same."""
    environment = entry("/work/.venv/.lock", digest=of_bytes(b"in"), size_bytes=2, need="content")
    recorded = Evidence(bundle=with_outputs(), entries=(environment,))
    for content, verdicts in ((b"in", []), (b"IN", ["extra"])):
        lock = bundles.artifact(".venv/.lock", content, "updated", path="/work/.venv/.lock")
        judgements, _ = judge(recorded, Evidence(bundle=with_outputs(lock)))
        assert [j.verdict for j in judgements if j.name == ".venv/.lock"] == verdicts


def test_temporary_files_are_not_judged() -> None:
    left = bundles.artifact("__pycache__/x.pyc", b"1", "created", temporary=True)
    assert judged(with_outputs(left), with_outputs()).keys() == {"exit-code"}
    assert judged(with_outputs(), with_outputs(left)).keys() == {"exit-code"}


def test_what_was_temporary_is_no_extra_output_where_it_stays() -> None:
    left, stays = (bundles.artifact("/tmp/lock", b"1", "created", temporary=temporary) for temporary in (True, False))
    assert judged(with_outputs(left), with_outputs(stays)).keys() == {"exit-code"}


@pytest.mark.parametrize(("content", "verdict"), [(b"1", "identical"), (b"2", "different")])
def test_what_was_to_stay_is_judged_where_it_is_temporary(content: bytes, verdict: str) -> None:
    recorded = bundles.artifact("/tmp/out", b"1", "created")
    got = bundles.artifact("/tmp/out", content, "created", temporary=True)
    assert judged(with_outputs(recorded), with_outputs(got))["/tmp/out"].verdict == verdict


@pytest.mark.parametrize(
    ("recorded", "got", "verdict"), [(0, 0, "identical"), (0, 1, "different"), (-9, None, "different")]
)
def test_the_exit_status_is_judged(recorded: int, got: int | None, verdict: str) -> None:
    found = judged(bundles.bundle(exit_code=recorded), bundles.bundle(exit_code=got))["exit-code"]
    assert (found.verdict, found.recorded) == (verdict, str(recorded))


def test_an_exit_status_nobody_saw_is_not_judged() -> None:
    assert "exit-code" not in judged(bundles.bundle(exit_code=None), bundles.bundle())


def said(content: bytes | None, *, truncated: bool = False) -> Bundle:
    plain = bundles.bundle()
    pointer = None
    if content is not None:
        pointer = Pointer(digest=of_bytes(content), size_bytes=len(content), media_type="text/plain")
    stream = Stream(kind="pipe", pointer=pointer, truncated=truncated)
    return replace(plain, launch=replace(plain.launch, stdout=stream))


def test_standard_streams_are_judged_where_both_records_have_them() -> None:
    assert judged(said(b"x"), said(b"x"))["stdout"].verdict == "identical"
    assert judged(said(b"x"), said(b"yy"))["stdout"].differences == ("bytes: recorded 1 bytes, got 2",)
    assert judged(said(b"x"), said(b"x", truncated=True))["stdout"].verdict == "different"
    assert "stdout" not in judged(said(b"x"), said(None))
    assert "stdout" not in judged(said(None), said(b"x"))


# --- what the record does not hold


def test_reading_what_was_only_asked_about_is_unrecorded() -> None:
    asked = entry("/data/b", need="stat")
    read = entry("/data/b", need="content", digest=of_bytes(b""))
    bundle = bundles.bundle()
    assert unrecorded(Evidence(bundle=bundle, entries=(asked,)), Evidence(bundle=bundle, entries=(read,))) == [
        "/data/b"
    ]
    assert unrecorded(Evidence(bundle=bundle, entries=(read,)), Evidence(bundle=bundle, entries=(asked,))) == []


def test_reading_content_that_happens_to_be_kept_is_recorded() -> None:
    kept = entry("/data/b", need="stat", digest=of_bytes(b""))
    read = replace(kept, need="content")
    bundle = bundles.bundle()
    assert unrecorded(Evidence(bundle=bundle, entries=(kept,)), Evidence(bundle=bundle, entries=(read,))) == []


def test_reading_an_input_the_record_does_not_have_is_unrecorded() -> None:
    bundle = bundles.bundle()
    more = replace(bundle, inputs=(*bundle.inputs, bundles.artifact("other.csv", b"x")))
    assert unrecorded(Evidence(bundle=bundle), Evidence(bundle=more)) == [f"{bundles.ROOT}/other.csv"]


@pytest.mark.parametrize(("names", "expected"), [(None, ["/data"]), ((), []), (("a",), [])])
def test_listing_needs_recorded_names(names: tuple[str, ...] | None, expected: list[str]) -> None:
    def folder(**facts: Any) -> Entry:
        return entry("/data", "directory", **facts)

    bundle = bundles.bundle()
    original = Evidence(bundle=bundle, entries=(folder(names=names, need="stat" if names is None else "list"),))
    assert unrecorded(original, Evidence(bundle=bundle, entries=(folder(names=("a",), need="list"),))) == expected


def test_paths_looked_for_in_vain_must_have_been_looked_for_before() -> None:
    original = Evidence(
        bundle=with_outputs(bundles.artifact("made", None, "created")),
        absent=("/etc/app.conf", "/opt/none"),
        entries=(entry("/listed", "directory", need="list", names=("a",)), entry("/dev/x", "device")),
    )
    looked_for = {
        "/etc/app.conf": True,
        "/opt/none/deeper": True,  # a folder that is not there has nothing in it
        "/listed/b": True,
        "/listed/b/c": True,
        "/dev/x": True,
        f"{bundles.ROOT}/made/x": True,  # the job's own folder: what is in it is the job's own doing
        "/listed/a/c": False,
        "/etc/other.conf": False,
    }
    found = unrecorded(original, Evidence(bundle=original.bundle, absent=tuple(looked_for)))
    assert found == sorted(path for path, known in looked_for.items() if not known)


def test_anything_unrecorded_makes_the_whole_diverge() -> None:
    bundle = bundles.bundle()
    judgements, missing = judge(Evidence(bundle=bundle), Evidence(bundle=bundle, absent=("/etc/other.conf",)))
    assert overall(judgements, missing) == "diverged"
