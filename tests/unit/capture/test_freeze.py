"""The bundle says what was observed, names what was not, and is the same for equal runs."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from reenact import clock
from reenact.capture.freeze import Frozen, data_version, freeze, launch_of, stream_of
from reenact.digests import of_bytes
from reenact.model.artifact import Pointer
from reenact.model.bundle import Bundle, Gap, Hazard, Stream
from reenact.model.code import Code
from reenact.model.statement import dump_bundle, load_bundle
from tests import bundles, journals
from tests.bundles import ROOT, artifact
from tests.journals import STARTED_NS

ENDED: list[Any] = ["end", STARTED_NS + 2_000_000_000, 42]
STREAMS = {name: Stream(kind="null") for name in ("stdin", "stdout", "stderr")}


def parts(**changes: Any) -> Frozen:
    plain: dict[str, Any] = {
        "inputs": [artifact("raw.csv", b"in"), artifact("asked", b"", "probed")],
        "outputs": [artifact("out.csv", b"out", "created")],
        "streams": STREAMS,
        "code": Code(),
        "environment": bundles.bundle().environment,
        "executables": {},
        "status": 0,
    }
    return Frozen(**{**plain, **changes})


def frozen(*records: list[Any], header: dict[str, Any] | None = None, ended: bool = True, **changes: Any) -> Bundle:
    observation = journals.observed(["run", header or journals.header(ROOT)], *records, *([ENDED] if ended else []))
    made = freeze(observation, parts(**changes))
    assert load_bundle(dump_bundle(made)) == made
    return made


# --- how it ended


@pytest.mark.parametrize(
    ("status", "exit_code", "word"),
    [(0, 0, "succeeded"), (3 << 8, 3, "failed"), (255 << 8, 255, "failed"), (signal.SIGKILL, -9, "killed")],
)
def test_the_end_is_as_the_kernel_tells_it(status: int, exit_code: int, word: str) -> None:
    made = frozen(status=status)
    assert (made.exit_code, made.status) == (exit_code, word)
    assert "exit_code" not in made.unobserved


@pytest.mark.parametrize(("code", "word"), [(0, "succeeded"), (2, "failed"), (-9, "killed")])
def test_where_nobody_waited_the_job_is_seen_to_end(code: int, word: str) -> None:
    made = frozen(["q", "1", code, STARTED_NS + 5], status=None)
    assert (made.exit_code, made.status) == (code, word)


def test_an_end_that_was_not_seen_is_unknown_with_its_cause() -> None:
    made = frozen(status=None, ended=False)
    assert (made.exit_code, made.status, made.ended_at) == (None, "incomplete", None)
    assert made.unobserved.keys() >= {"exit_code", "ended_at"}


def test_a_recording_that_was_cut_off_is_incomplete_however_the_job_ended() -> None:
    made = frozen(status=0, incomplete="the supervisor was killed", ended=False)
    assert (made.exit_code, made.status) == (0, "incomplete")
    assert [(gap.code, gap.message) for gap in made.capture.gaps] == [("cut-off", "the supervisor was killed")]
    assert "cut-off" in {hazard.code for hazard in made.determinism.hazards}


# --- what goes into it


def test_times_and_counts_are_those_of_the_journal() -> None:
    made = frozen(overhead_us=7)
    assert (made.timestamp, made.ended_at) == (clock.from_ns(STARTED_NS), clock.from_ns(ENDED[1]))
    assert (made.capture.calls, made.capture.overhead_us, made.capture.method) == (42, 7, "kernel")


def test_the_versions_are_those_of_the_data_that_was_read_and_left() -> None:
    made = frozen(
        inputs=[
            artifact("raw.csv", b"in"),
            artifact("etl.py", b"code", kind="code"),
            artifact("asked", b"a", "probed"),
        ],
        outputs=[
            artifact("out.csv", b"out", "created"),
            artifact("__pycache__/x.pyc", b"t", "created", temporary=True),
            artifact("gone", None, "deleted"),
        ],
    )
    assert made.input_checksums == {"raw.csv": of_bytes(b"in")}
    assert made.source_version == data_version({"raw.csv": of_bytes(b"in")})
    assert made.target_version == data_version({"out.csv": of_bytes(b"out")})


def test_equal_data_has_equal_versions_in_any_order_and_other_data_others() -> None:
    one, two = of_bytes(b"1"), of_bytes(b"2")
    assert data_version({"a": one, "b": two}) == data_version({"b": two, "a": one})
    assert len({data_version(sums) for sums in ({}, {"a": one}, {"a": two}, {"b": one}, {"a": one, "b": one})}) == 5


def test_the_header_becomes_the_launch() -> None:
    header = journals.header(
        ROOT, argv=["sh", "\udcff"], groups=[7, 8], umask=0o27, limits={"RLIMIT_NOFILE": [10, -1]}, affinity=[1, 3]
    )
    made = frozen(["t", True], ["x", "1", STARTED_NS, "/usr/bin/sh", ["sh"], ROOT], header=header).launch
    assert (made.argv, made.executable, made.cwd, made.root) == (("sh", "\\xff"), "/usr/bin/sh", ROOT, ROOT)
    assert (made.umask, made.groups, made.affinity) == (0o27, (7, 8), (1, 3))
    assert (made.limits, made.no_new_privileges) == ({"RLIMIT_NOFILE": (10, -1)}, True)


def test_what_the_journal_does_not_tell_of_the_launch_is_unknown() -> None:
    made = launch_of(journals.header(ROOT), STREAMS, None, None)
    assert (made.executable, made.no_new_privileges) == (None, None)


def test_the_program_is_the_first_that_was_executed() -> None:
    again = [
        ["x", "1", STARTED_NS + n, path, ["x"], ROOT] for n, path in enumerate(("/usr/bin/env", "/usr/bin/python"))
    ]
    assert frozen(*again).launch.executable == "/usr/bin/env"


def test_streams_are_described_by_what_was_seen_of_them() -> None:
    pointer = Pointer(digest=of_bytes(b"x"), size_bytes=1, media_type="text/plain")
    facts = {"kind": "file", "path": "/job/\udcff", "offset_bytes": 3, "append": True, "size_bytes": 9}
    made = stream_of(facts, pointer, truncated=True)
    assert made == Stream(kind="file", path="/job/\\xff", offset_bytes=3, append=True, pointer=pointer, truncated=True)
    assert stream_of({"kind": "null"}, None, truncated=False) == Stream(kind="null")


def test_parents_labels_and_parameters_are_passed_on() -> None:
    header = journals.header(
        ROOT,
        parent_run_id=bundles.run_id(5),
        replay_of=bundles.run_id(6),
        labels={"team": "x"},
        parameters={"day": "1"},
    )
    made = frozen(header=header)
    assert (made.parent_run_id, made.replay_of) == (bundles.run_id(5), bundles.run_id(6))
    assert (made.labels, made.parameters) == ({"team": "x"}, {"day": "1"})
    assert made.transformation_map[0].parameters == {"day": "1"}


@pytest.mark.parametrize("seed", ["0", None])
def test_the_hash_seed_is_the_jobs(seed: str | None) -> None:
    variables = {} if seed is None else {"PYTHONHASHSEED": seed}
    assert frozen(header=journals.header(ROOT, variables=variables)).determinism.hash_seed == seed


# --- what may be otherwise next time


def test_contacts_are_externals_and_hazards() -> None:
    made = frozen(
        ["k", STARTED_NS + 3, "unix-abstract", "@bus", "1.1"],
        ["k", STARTED_NS + 1, "ip", "192.0.2.1:443", "1"],
        ["k", STARTED_NS + 2, "vsock", "3:5", "1"],
    )
    assert [(call.kind, call.endpoint, call.transformation) for call in made.externals] == [
        ("ip", "192.0.2.1:443", "1"),
        ("other", "3:5", "1"),
        ("unix", "@bus", "1.1"),
    ]
    assert made.externals[0].time == clock.from_ns(STARTED_NS + 1)
    assert {(h.code, h.subject) for h in made.determinism.hazards} >= {("network", "192.0.2.1:443")}


def test_gaps_are_named_once_in_one_order_and_are_hazards() -> None:
    gap = Gap(code="stdin", message="not recorded", subject="stdin")
    made = frozen(["h", "stdin", "not recorded", "stdin"], ["h", "a", "m", "/x/\udcff"], gaps=[gap])
    assert [(g.code, g.subject) for g in made.capture.gaps] == [("a", "/x/\\xff"), ("stdin", "stdin")]
    assert [h.code for h in made.determinism.hazards] == ["a", "stdin"]


def test_hazards_that_were_found_elsewhere_are_kept() -> None:
    made = frozen(hazards=[Hazard(code="clock", message="m", exact=True)], unobserved={"inputs[x].pointer": "lost"})
    assert [h.code for h in made.determinism.hazards] == ["clock"]
    assert made.unobserved["inputs[x].pointer"] == "lost"


def test_equal_observations_make_equal_bundles() -> None:
    records: list[list[Any]] = [
        ["h", "b", "m", "s"],
        ["h", "a", "m", "s"],
        ["k", STARTED_NS, "ip", "192.0.2.1:1", "1"],
        ["k", STARTED_NS, "ip", "192.0.2.2:1", "1"],
    ]
    assert dump_bundle(frozen(*records)) == dump_bundle(frozen(*records[::-1]))
