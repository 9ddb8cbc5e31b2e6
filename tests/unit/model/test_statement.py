from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from reenact import canonical
from reenact.digests import of_bytes
from reenact.errors import MalformedBundle
from reenact.model.artifact import Pointer
from reenact.model.bundle import Stream
from reenact.model.statement import dump_bundle, dump_verdict, load_bundle, load_verdict
from reenact.model.verdict import OutputJudgement, Verdict
from tests.bundles import RUN_ID, artifact, bundle, run_id


def changed(payload: bytes, **fields: Any) -> bytes:
    statement = json.loads(payload)
    statement["predicate"].update(fields)
    return canonical.dumps(statement)


def test_a_bundle_comes_back_and_its_bytes_are_canonical() -> None:
    made = bundle(labels={"\U0001f600": "x", "\ufb33": "y"})
    payload = dump_bundle(made)
    assert load_bundle(payload) == made
    assert canonical.dumps(json.loads(payload)) == payload


def subjects(made: Any) -> list[tuple[str, str]]:
    return [(s["name"], "sha256:" + s["digest"]["sha256"]) for s in json.loads(dump_bundle(made))["subject"]]


def test_subjects_are_the_outputs_sorted() -> None:
    made = bundle(outputs=(artifact("b", b"2"), artifact("a", b"1"), artifact("gone", None, "deleted")))
    assert subjects(made) == [("a", of_bytes(b"1")), ("b", of_bytes(b"2"))]


def test_without_outputs_the_stdout_is_the_subject_and_without_that_the_data_version() -> None:
    plain = bundle(outputs=())
    pointer = Pointer(digest=of_bytes(b"s"), size_bytes=1, media_type="text/plain")
    with_stdout = replace(plain, launch=replace(plain.launch, stdout=Stream(kind="pipe", pointer=pointer)))
    assert subjects(with_stdout) == [("stdout", of_bytes(b"s"))]
    assert subjects(plain) == [("no-output", plain.target_version)]


def test_unknown_fields_of_a_later_minor_version_are_left_alone() -> None:
    made = bundle()
    later = changed(dump_bundle(made), schema_version="1.7", something_new={"a": [1]})
    assert load_bundle(later) == replace(made, schema_version="1.7")


def test_a_later_major_version_is_refused_with_a_way_out() -> None:
    with pytest.raises(MalformedBundle, match=r"schema 2\.0 is newer than this program reads \(1\.0\)") as caught:
        load_bundle(changed(dump_bundle(bundle()), schema_version="2.0", inputs="another shape"))
    assert "upgrade" in caught.value.hint()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"_type":"x","predicateType":"y","predicate":{}}',
        b"\xff",
        dump_bundle(bundle())[:-1],
    ],
)
def test_what_is_no_statement_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedBundle):
        load_bundle(payload)


@pytest.mark.parametrize("field", ["run_id", "inputs", "launch", "schema_version", "source_version"])
def test_a_bundle_without_a_needed_field_is_refused(field: str) -> None:
    statement = json.loads(dump_bundle(bundle()))
    del statement["predicate"][field]
    with pytest.raises(MalformedBundle, match=field):
        load_bundle(canonical.dumps(statement))


def verdict(**changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "schema_version": "1.0",
        "run_id": RUN_ID,
        "replay_run_id": run_id(2),
        "verdict": "reproduced",
        "rung": "world",
        "not_isolated": (),
        "judged_at": "2026-01-31T06:00:00.000000Z",
        "outputs": (OutputJudgement(name="a", verdict="identical", recorded=of_bytes(b"1"), got=of_bytes(b"1")),),
        "bundle_digest": of_bytes(b"payload"),
        **changes,
    }
    return Verdict(**values)


def test_a_verdict_comes_back_and_is_no_bundle() -> None:
    made = verdict()
    payload = dump_verdict(made)
    assert load_verdict(payload) == made
    with pytest.raises(MalformedBundle, match="expected a statement about urn:reenact:run:v1"):
        load_bundle(payload)


def test_a_verdict_without_outputs_is_about_the_bundle() -> None:
    [subject] = json.loads(dump_verdict(verdict(outputs=())))["subject"]
    assert subject == {"name": f"run:{RUN_ID}", "digest": {"sha256": of_bytes(b"payload")[7:]}}
