from __future__ import annotations

import pytest

from reenact.capture import hazards
from reenact.capture.observation import Contact
from reenact.model.bundle import Gap, Hazard


def contact(kind: str, endpoint: str, actor: str = "1") -> Contact:
    return Contact(time_ns=1, kind=kind, endpoint=endpoint, actor=actor)


def test_a_server_is_named_once_whoever_contacted_it_and_how_often() -> None:
    found = hazards.from_contacts([contact("ip", "192.0.2.1:443"), contact("ip", "192.0.2.1:443", "1.2")])
    assert [(h.code, h.subject, h.exact) for h in found] == [("network", "192.0.2.1:443", False)]


@pytest.mark.parametrize("kind", ["unix", "unix-abstract"])
def test_a_local_server_may_have_worked_for_the_job(kind: str) -> None:
    [found] = hazards.from_contacts([contact(kind, "/run/docker.sock")])
    assert (found.code, found.subject, found.exact) == ("outside-server", "/run/docker.sock", False)


def test_a_name_that_is_no_text_is_still_a_name() -> None:
    [found] = hazards.from_contacts([contact("unix", "/run/\udcff")])
    found.subject.encode()
    assert "/run/" in found.message


def test_a_gap_is_a_hazard_unless_it_leaves_nothing_out() -> None:
    found = hazards.from_gaps(
        [Gap(code="cut-off", message="m", subject="s"), Gap(code="main-process-killed", message="k")]
    )
    assert [(h.code, h.message, h.subject, h.exact) for h in found] == [
        ("cut-off", "m", "s", False),
        ("main-process-killed", "k", "", True),
    ]


def test_lost_and_changed_inputs_are_told_apart() -> None:
    found = hazards.from_inputs([("a.csv", "too large")], ["b.csv"])
    assert [(h.code, h.subject) for h in found] == [("input-lost", "a.csv"), ("input-changed", "b.csv")]
    assert "too large" in found[0].message
    assert "something else" in found[1].message
    [cut] = hazards.from_inputs([], ["b.csv"], cut=True)
    assert "something else" not in cut.message


@pytest.mark.parametrize("kind", ["null", "closed", "file", "terminal"])
def test_standard_input_that_is_an_artifact_or_nothing_is_no_hazard(kind: str) -> None:
    assert hazards.from_streams(kind, kept=False, truncated=False) == []


@pytest.mark.parametrize("kind", ["pipe", "socket", "other"])
def test_standard_input_is_a_hazard_unless_all_of_it_is_kept(kind: str) -> None:
    assert hazards.from_streams(kind, kept=True, truncated=False) == []
    [unkept] = hazards.from_streams(kind, kept=False, truncated=False)
    assert (unkept.code, unkept.exact) == ("stdin", False)
    assert kind in unkept.message
    [cut] = hazards.from_streams(kind, kept=True, truncated=True)
    assert "longer" in cut.message


def test_hazards_are_named_once_and_in_one_order() -> None:
    one = Hazard(code="network", message="m", subject="b")
    two = Hazard(code="network", message="m", subject="a")
    harmless = Hazard(code="a", message="m", exact=True)
    assert hazards.sorted_hazards([harmless, one, two, one]) == (two, one, harmless)
    assert hazards.sorted_hazards([two, one, harmless]) == (two, one, harmless)
