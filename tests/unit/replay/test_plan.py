from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from reenact.digests import Digest, of_bytes
from reenact.model.artifact import Pointer
from reenact.model.bundle import Bundle, Hazard, Stream
from reenact.model.environment import MANIFEST_FORMAT, Cpu, Manifest
from reenact.replay.drift import Host, drift
from reenact.replay.plan import Plan, Secret, make_plan
from reenact.replay.probe import Probe
from tests import bundles
from tests.worlds import Memory, entry

HERE = Probe(mode="user", scratch=Path("/scratch"), reasons=())
NOWHERE = Probe(mode=None, scratch=None, reasons=("user: EPERM", "user, in memory: EINVAL"))
MANIFEST = Digest("sha256:" + "e" * 64)


def manifest(*entries: Any) -> Manifest:
    return Manifest(format=MANIFEST_FORMAT, entries=entries)


def sealed(**changes: Any) -> Bundle:
    plain = bundles.bundle(**changes)
    return replace(plain, environment=replace(plain.environment, manifest=MANIFEST))


def store(*contents: bytes) -> Memory:
    made = Memory()
    for content in (b"in", b"print()", *contents):
        made.add(content)
    made.objects[MANIFEST] = b""
    return made


def planned(bundle: Bundle, objects: Memory, listed: Manifest | None = None, **more: Any) -> Plan:
    now = Host(system=bundle.environment.system, cpu=bundle.environment.cpu)
    return make_plan(bundle, listed or manifest(), objects, **{"now": now, "probe": HERE, **more})


def test_everything_there_is_replayable() -> None:
    libc = entry("/usr/lib/libc.so", need="content", digest=of_bytes(b"libc"), size_bytes=4)
    plan = planned(sealed(), store(b"libc"), manifest(libc))
    assert (plan.replayable, plan.rung, plan.way, plan.missing, plan.drift) == (True, "world", "user", (), ())
    assert [(piece.purpose, piece.name, piece.size_bytes) for piece in plan.pieces] == [
        ("code", "etl.py", 7),
        ("environment", "/usr/lib/libc.so", 4),
        ("input", "raw.csv", 2),
        ("manifest", "environment", 0),
    ]
    assert plan.size_bytes == 13


def test_missing_and_damaged_pieces_are_all_named_at_once() -> None:
    libc = entry("/usr/lib/libc.so", need="content", digest=of_bytes(b"libc"))
    objects = store(b"libc")
    del objects.objects[of_bytes(b"in")]
    objects.broken.add(of_bytes(b"libc"))
    plan = planned(sealed(), objects, manifest(libc), content=True)
    assert not plan.replayable
    assert [(lack.piece.name, lack.problem) for lack in plan.lacks] == [
        ("/usr/lib/libc.so", "damaged"),
        ("raw.csv", "missing"),
    ]
    assert plan.missing[1] == f"input raw.csv ({of_bytes(b'in')}): missing"


def test_one_lost_object_names_every_artifact_that_is_made_of_it() -> None:
    twins = (bundles.artifact("a", b"same"), bundles.artifact("b", b"same"))
    plan = planned(sealed(inputs=twins), store())
    assert [lack.piece.name for lack in plan.lacks] == ["a", "b"]


def test_bytes_that_were_not_kept_are_a_lack_with_the_recorded_cause() -> None:
    lost = bundles.artifact("big.bin", b"x", digest=None)
    bundle = sealed(inputs=(lost,), unobserved={"inputs[big.bin].pointer": "larger than the limit"})
    plan = planned(bundle, store())
    assert plan.missing == ("input big.bin: not kept: larger than the limit",)


def test_what_the_job_could_not_read_needs_no_bytes() -> None:
    bundle = sealed()
    bundle = replace(bundle, launch=replace(bundle.launch, uid=1000, gid=1000))
    shadow = entry("/etc/shadow", need="content", mode=0o640, uid=0, gid=42)
    assert planned(bundle, store(), manifest(shadow)).replayable
    as_root = replace(bundle, launch=replace(bundle.launch, uid=0))
    assert planned(as_root, store(), manifest(shadow)).missing == ("environment /etc/shadow: not kept",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "described"}, "described, not sealed"),
        ({"manifest": None}, "no sealed environment"),
    ],
)
def test_without_a_sealed_environment_no_world_is_possible(changes: dict[str, Any], said: str) -> None:
    bundle = sealed()
    plan = planned(replace(bundle, environment=replace(bundle.environment, **changes)), store())
    assert (plan.replayable, plan.rung) == (False, None)
    assert said in plan.obstacles[0]


def test_a_record_that_was_cut_off_is_not_replayable() -> None:
    assert "cut off" in planned(sealed(status="incomplete"), store()).missing[0]


def test_a_machine_without_closed_worlds_is_named_with_its_reasons() -> None:
    plan = planned(sealed(), store(), probe=NOWHERE)
    assert (plan.replayable, plan.way) == (False, None)
    assert "user: EPERM; user, in memory: EINVAL" in plan.obstacles[0]


def test_another_kind_of_processor_is_an_obstacle_another_model_only_drift() -> None:
    bundle = sealed()
    here = Host(system=bundle.environment.system, cpu=bundle.environment.cpu)
    other = Host(cpu=here.cpu, system=replace(here.system, machine="aarch64"))
    assert not planned(bundle, store(), now=other).replayable
    newer = Host(system=here.system, cpu=replace(here.cpu, model="newer"))
    plan = planned(bundle, store(), now=newer)
    assert (plan.replayable, plan.drift) == (True, ("processor: recorded cpu, now newer",))


def test_hazards_come_from_the_record() -> None:
    hazard = Hazard(code="network", message="contacted 192.0.2.1:443")
    bundle = sealed()
    bundle = replace(bundle, determinism=replace(bundle.determinism, hazards=(hazard,)))
    plan = planned(bundle, store())
    assert (plan.hazards, plan.replayable) == ((hazard,), True)


def test_secrets_are_listed_with_where_they_go() -> None:
    bundle = sealed()
    marked = "postgres://u:\u2039redacted:password:0123456789ab\u203a@db"
    environment = replace(bundle.environment, redacted={"TOKEN": "hmac-sha256:00"}, variables={"DSN": marked, "A": "b"})
    launch = replace(bundle.launch, argv=("job", "--key", "\u2039redacted:KEY:0123456789ab\u203a"))
    plan = planned(replace(bundle, environment=environment, launch=launch), store())
    assert plan.secrets == (
        Secret(name="TOKEN", where="variable TOKEN", fingerprint="hmac-sha256:00"),
        Secret(name="password", where="variable DSN"),
        Secret(name="KEY", where="argument 2"),
    )


def test_a_plan_is_json() -> None:
    plan = planned(sealed(), store())
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_drift_names_only_what_differs() -> None:
    plain = bundles.bundle().environment
    recorded = Host(system=plain.system, cpu=Cpu(model="a", flags=("avx2", "fma"), cores=4))
    now = Host(
        system=replace(plain.system, kernel="6.8", hostname="elsewhere", libc="musl", name="Other"),
        cpu=Cpu(model="a", flags=("avx512f", "fma"), cores=2),
    )
    assert drift(recorded, recorded) == ()
    assert drift(recorded, now) == (
        "kernel: recorded 6.1, now 6.8",
        "processors: recorded 4, now 2",
        "processor features: recorded avx2, not here",
        "processor features: avx512f here, not recorded",
    )


def test_whatever_object_a_replay_reads_is_looked_for() -> None:
    """Else a replay that was said to be possible would stop in the middle."""
    digests = {name: of_bytes(name.encode()) for name in ("host_files", "absent", "stat_facts", "stdin", "tape")}
    plain = sealed()
    stdin = Pointer(digest=digests["stdin"], size_bytes=5, media_type="text/plain")
    bundle = replace(
        plain,
        capture=replace(plain.capture, **{name: digests[name] for name in ("host_files", "absent", "stat_facts")}),
        launch=replace(plain.launch, stdin=Stream(kind="pipe", pointer=stdin)),
        determinism=replace(plain.determinism, tapes={"http": digests["tape"]}),
    )
    for name, digest in digests.items():
        others = (other.encode() for other in digests if other != name)
        plan = planned(bundle, store(*others))
        assert not plan.replayable
        assert [(lack.piece.digest, lack.problem) for lack in plan.lacks] == [(digest, "missing")], name
    assert planned(bundle, store(*(name.encode() for name in digests))).replayable


@pytest.mark.parametrize(("exit_code", "when"), [(None, "before the job ended"), (0, "before all that the job did")])
def test_a_recording_that_was_cut_off_is_not_replayed(exit_code: int | None, when: str) -> None:
    plan = planned(sealed(status="incomplete", exit_code=exit_code), store())
    assert not plan.replayable
    [reason] = plan.missing
    assert reason.startswith(f"the recording was cut off {when}")
