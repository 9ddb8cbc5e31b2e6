"""Evidence that was tampered with: each way is refused with a code of its own (docs/reference/findings.md)."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact import canonical, clock
from reenact.actions import keys as key_actions
from reenact.actions.checkpointing import make_checkpoint
from reenact.actions.sealing import SealWith, append, seal_bundle, seal_payload, seal_verdict, signers
from reenact.actions.verify import verify
from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.model.bundle import Bundle
from reenact.model.statement import dump_bundle
from reenact.model.verdict import OutputJudgement
from reenact.seal import note as notes
from reenact.seal.checkpoint import Checkpoint, Checkpoints, origin_of
from reenact.seal.flaws import FLAWS
from reenact.seal.interface import Signer
from reenact.seal.keys import load_signing_key
from reenact.seal.log import Entry, Log, entry_key
from reenact.seal.public import PublicKey
from reenact.seal.tiles import Tree, publish
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from reenact.store.runs import _pack
from tests.bundles import artifact, bundle, run_id
from tests.records import add_run, add_verdict

FIRST, SECOND = run_id(1), run_id(2)
REPLAY = run_id(9)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Give a store with a key (entry 0), two runs (1, 2), a verdict about the first (3), and a checkpoint."""
    opened = open_store(settings.store, create=True)
    first = add_run(opened, 1)
    add_run(opened, 2)
    add_verdict(opened, first, 9)
    make_checkpoint(opened, SealWith())
    opened.close()
    yield opened
    opened.close()


def codes(settings: Settings, *names: str, **more: Any) -> set[str]:
    checked = verify(settings, names, everything=not names, **more)
    return {finding.code for run in checked for finding in run.findings}


def at(store: Store, key: str) -> Path:
    return Path(store.location, key)


def put(path: Path, data: bytes) -> None:
    if path.exists():
        path.chmod(0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def entry_path(store: Store, index: int) -> Path:
    return at(store, entry_key(index))


def another(tmp_path: Path) -> Signer:
    return load_signing_key(tmp_path, "another")


def trusting(settings: Settings, *key_ids: str, more: str = "") -> None:
    lines = "".join(f'[[owner]]\nname = "owner {i}"\nkeys = ["{key_id}"]\n' for i, key_id in enumerate(key_ids))
    Path(settings.root, "reenact.trust.toml").write_text(more + lines)


def test_an_untouched_store_is_whole_for_whoever_trusts_its_key(settings: Settings, store: Store) -> None:
    assert codes(settings) == set()
    [run] = verify(settings, (FIRST,))
    assert (run.trusted, run.log_index, run.verdicts, run.exit_code) == (None, 1, ("reproduced",), 0)
    trusting(settings, signers(store)[0].public.key_id)
    assert codes(settings) == set()
    [run] = verify(settings, (FIRST,))
    assert (run.trusted, run.owners) == (True, ("owner 0",))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (f"runs/{FIRST}/bundle*", {"integrity"}),
        (f"runs/{FIRST}/verdicts/*", {"signature-invalid"}),
        (f"runs/{FIRST}/summaries/*", {"signature-invalid"}),
        (entry_key(1), {"entry-damaged", "entry-signature"}),
        (entry_key(0), {"entry-damaged", "entry-signature"}),
        ("log/tile/0/000.p/*", {"tile-differs"}),
        ("log/tile/entries/000.p/*", {"tile-differs"}),
        ("log/checkpoints/*/*", {"checkpoint-invalid"}),
        ("log/keys/*", {"key-event-hidden"}),
    ],
)
def test_every_flipped_byte_is_told_with_its_code(
    settings: Settings, store: Store, pattern: str, expected: set[str]
) -> None:
    [path] = Path(store.location).glob(pattern)
    whole = path.read_bytes()
    # So many that none of its parts is left out; the tests of each format flip every bit of every byte.
    for place in range(0, len(whole), max(1, len(whole) // 24)):
        put(path, whole[:place] + bytes([whole[place] ^ (1 << place % 7)]) + whole[place + 1 :])
        assert codes(settings) & expected, (place, codes(settings))
    put(path, whole)
    assert codes(settings) == set()


def test_every_flipped_byte_of_a_key_record_is_told(settings: Settings, store: Store) -> None:
    [path] = Path(store.location, "keys").iterdir()
    whole = path.read_bytes()
    times = 0
    for place in range(0, len(whole), 7):
        put(path, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if (found := codes(settings, FIRST)) == set():
            times += 1  # the moment it says it was made: the log is what dates a key
        else:
            assert "key-damaged" in found
    assert times <= len("2026-01-01T00:00:00.000000Z")


def test_entries_that_changed_places(settings: Settings, store: Store) -> None:
    one, two = entry_path(store, 1).read_bytes(), entry_path(store, 2).read_bytes()
    put(entry_path(store, 1), two)
    put(entry_path(store, 2), one)
    assert "entry-moved" in codes(settings)
    assert "entry-moved" in codes(settings, FIRST)


def test_an_entry_removed_from_the_middle(settings: Settings, store: Store) -> None:
    entry_path(store, 2).unlink()
    assert "log-gap" in codes(settings)
    assert "not-logged" in codes(settings, SECOND)


def test_entries_moved_up_to_hide_a_removed_one(settings: Settings, store: Store) -> None:
    put(entry_path(store, 2), entry_path(store, 3).read_bytes())
    entry_path(store, 3).unlink()
    assert {"entry-moved", "log-truncated"} <= codes(settings)


def test_the_last_entries_removed(settings: Settings, store: Store) -> None:
    entry_path(store, 3).unlink()
    assert "log-truncated" in codes(settings)
    assert {"log-truncated", "not-logged"} <= codes(settings, FIRST)


def test_an_entry_repeated(settings: Settings, store: Store) -> None:
    put(entry_path(store, 4), entry_path(store, 1).read_bytes())
    assert "entry-moved" in codes(settings)


def test_an_entry_in_the_place_of_another_by_the_same_key(settings: Settings, store: Store) -> None:
    signer = signers(store)[0]
    place = MemoryLog(store, 2)
    place.append(replace(place.entry(2), reason="rewritten", signature=None, index=None, previous=None), signer)
    assert {"entry-chain", "log-forked"} <= codes(settings)
    # Also where the entries behind it are rewritten to fit, and the tiles and the checkpoint are left as they were.
    place.append(replace(place.entry(3), signature=None, index=None, previous=None), signer)
    assert codes(settings, SECOND) == {"log-forked"}
    assert "log-forked" in codes(settings)


class MemoryLog:
    """Writes entries over those that are there, as whoever has the key and the disk can."""

    def __init__(self, store: Store, size: int) -> None:
        self._store, self._size = store, size

    def entry(self, index: int) -> Entry:
        from reenact.seal.entry import load

        return load(Log(self._store.backend).leaf(index), index)

    def append(self, entry: Entry, by: Signer) -> None:
        from reenact.seal.entry import signed

        before = of_bytes(Log(self._store.backend).leaf(self._size - 1))
        put(entry_path(self._store, self._size), signed(replace(entry, index=self._size, previous=before), by.sign))
        self._size += 1


def test_a_log_rewritten_from_one_entry_on_is_another_log(settings: Settings, store: Store, tmp_path: Path) -> None:
    kept = tmp_path / "seen.txt"
    size = make_checkpoint(store, SealWith())
    kept.write_bytes(Checkpoints(store.backend).merged(size).dump())
    from reenact.actions.trusting import read_pin

    assert codes(settings, since=read_pin(str(kept))) == set()
    forged = MemoryLog(store, 2)
    entries = [forged.entry(index) for index in (2, 3)]
    for entry in entries:
        forged.append(replace(entry, time="2026-11-30T00:00:00.000000Z"), signers(store)[0])
    for folder in ("log/tile", "log/checkpoints"):
        shutil.rmtree(at(store, folder))
    make_checkpoint(store, SealWith())
    assert "log-forked" not in codes(settings)
    assert "log-forked" in codes(settings, since=read_pin(str(kept)))
    assert "log-forked" in codes(settings, FIRST, since=read_pin(str(kept)))


def test_a_log_put_back_to_an_earlier_state(settings: Settings, store: Store, tmp_path: Path) -> None:
    from reenact.actions.trusting import read_pin

    kept = tmp_path / "seen.txt"
    kept.write_bytes(Checkpoints(store.backend).merged(4).dump())
    entry_path(store, 3).unlink()
    shutil.rmtree(at(store, "log/checkpoints"))
    shutil.rmtree(at(store, "log/tile"))
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    assert codes(settings) == set()
    assert codes(settings, since=read_pin(str(kept))) == {"log-rewound"}


def test_two_checkpoints_of_one_size_show_a_fork(settings: Settings, store: Store) -> None:
    signer = signers(store)[0]
    other = Checkpoint(origin_of(store.id), 4, bytes(32))
    signature = notes.sign(other.text(), other.origin, signer.public, signer.sign)
    Checkpoints(store.backend).put(other, signature, "shown-to-another")
    assert "log-forked" in codes(settings)
    assert "log-forked" in codes(settings, FIRST)


def test_a_checkpoint_by_nobody_known(settings: Settings, store: Store, tmp_path: Path) -> None:
    shutil.rmtree(at(store, "log/checkpoints"))
    signer = another(tmp_path)
    found = Checkpoint(origin_of(store.id), 4, Tree(store.backend, 4).root())
    Checkpoints(store.backend).put(found, notes.sign(found.text(), found.origin, signer.public, signer.sign), "x")
    assert codes(settings) == {"checkpoint-invalid"}


def test_a_tile_of_another_log(settings: Settings, store: Store) -> None:
    publish(store.backend, 3, partial_too=True)
    assert codes(settings) == set()
    put(at(store, "log/tile/0/000.p/3"), bytes(96))
    assert codes(settings) == {"tile-differs"}
    put(at(store, "log/tile/0/007"), bytes(8192))
    assert codes(settings) == {"tile-differs"}


def resign(store: Store, name: str, *by: Signer) -> Bundle:
    """Sign a run's record anew, as whoever has the disk can."""
    made = bundle(run_id=name, exit_code=7)
    put(at(store, f"runs/{name}/bundle.dsse.json.zst"), _pack(seal_payload(dump_bundle(made), list(by))))
    return made


def log_run(store: Store, made: Bundle, by: Signer, time: str = "") -> None:
    entry = Entry(
        kind="run",
        run_id=made.run_id,
        statement=of_bytes(dump_bundle(made)),
        key_id=by.public.key_id,
        time=time or clock.timestamp(),
    )
    append(store, entry, by)


def test_a_record_signed_anew_by_a_key_nobody_knows(settings: Settings, store: Store, tmp_path: Path) -> None:
    resign(store, FIRST, another(tmp_path))
    assert "signature-invalid" in codes(settings, FIRST)


def test_a_record_signed_anew_by_a_key_put_into_the_store(settings: Settings, store: Store, tmp_path: Path) -> None:
    trusting(settings, signers(store)[0].public.key_id)
    forger = another(tmp_path)
    put(at(store, f"keys/{forger.public.key_id}.json"), forger.public.record())
    log_run(store, resign(store, FIRST, forger), forger)
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    assert "key-untrusted" in codes(settings, FIRST)
    assert verify(settings, (FIRST,))[0].exit_code == 4
    # Without a trust file it holds, and says that nobody vouches for it.
    Path(settings.root, "reenact.trust.toml").unlink()
    [run] = verify(settings, (FIRST,))
    assert (run.exit_code, run.trusted) == (0, None)


def test_a_record_signed_anew_that_is_not_logged(settings: Settings, store: Store) -> None:
    resign(store, FIRST, signers(store)[0])
    assert "not-logged" in codes(settings, FIRST)


def test_a_record_signed_by_fewer_than_demanded(settings: Settings, store: Store, tmp_path: Path) -> None:
    first, second = signers(store)[0], another(tmp_path)
    trusting(settings, first.public.key_id, second.public.key_id, more="threshold = 2\n")
    assert codes(settings, FIRST) == {"threshold"}
    key = tmp_path / "another.pem"
    how = SealWith(("ed25519", f"file:{key}"))
    add_run(store, 3, kept=())
    seal_bundle(store, bundle(run_id=run_id(4)), how)
    assert "threshold" in codes(settings, run_id(3))
    [run] = verify(settings, (run_id(4),))
    assert (run.findings, run.owners, run.trusted) == ((), ("owner 0", "owner 1"), True)


def revoked(settings: Settings, store: Store, from_entry: int | None = None) -> PublicKey:
    """Take a new key into use and revoke the one before it; give that."""
    old = signers(store)[0].public
    key_actions.rotate(settings, "yearly", None)
    key_actions.revoke(settings, old.key_id, "stolen", from_entry)
    return old


def old_signer(store: Store, old: PublicKey, tmp_path: Path) -> Signer:
    """Give the key that was replaced, as a thief has it."""
    [path] = (tmp_path / "config/reenact/keys").glob(f"{store.id}.pem.{old.key_id[:12]}")
    target = tmp_path / "thief.pem"
    target.write_bytes(path.read_bytes())
    target.chmod(0o600)
    return load_signing_key(tmp_path, "thief")


def test_after_rotation_and_retirement_old_records_hold_and_later_ones_do_not(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    old = signers(store)[0].public
    new = key_actions.rotate(settings, "yearly", None)
    assert new.key_id != old.key_id
    add_run(store, 3)
    assert codes(settings) == set()
    trusting(settings, old.key_id)  # the old key announced the new one
    assert codes(settings) == set()
    trusting(settings, old.key_id, more="follow_rotation = false\n")
    assert "key-untrusted" in codes(settings, run_id(3))
    assert verify(settings, (FIRST,))[0].findings == ()
    thief = old_signer(store, old, tmp_path)
    log_run(store, resign(store, FIRST, thief), thief)
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    assert "key-retired" in codes(settings, FIRST)


def test_what_was_signed_before_a_revocation_holds_and_nothing_after(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    old = revoked(settings, store)
    assert codes(settings) == set()
    thief = old_signer(store, old, tmp_path)
    log_run(store, resign(store, FIRST, thief), thief, time="2026-01-31T06:00:02.000000Z")
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    assert "key-revoked" in codes(settings, FIRST)
    assert codes(settings, SECOND) == set()


def test_other_commands_refuse_what_a_revoked_key_signed(settings: Settings, store: Store, tmp_path: Path) -> None:
    from reenact.actions.opening import read_bundle
    from reenact.errors import SignatureInvalid

    old = revoked(settings, store)
    assert read_bundle(store, RunId(FIRST)).run_id == FIRST
    thief = old_signer(store, old, tmp_path)
    made = resign(store, FIRST, thief)
    with pytest.raises(SignatureInvalid, match="revoked"):
        read_bundle(store, RunId(FIRST))
    log_run(store, made, thief)
    with pytest.raises(SignatureInvalid, match="revoked"):
        read_bundle(store, RunId(FIRST))
    assert read_bundle(store, RunId(SECOND)).run_id == SECOND


def test_a_revocation_from_an_earlier_entry_on(settings: Settings, store: Store) -> None:
    revoked(settings, store, from_entry=2)
    assert codes(settings, SECOND) == {"key-revoked"}
    assert "key-revoked" in codes(settings, FIRST)  # its verdict is entry 3; the record itself is entry 1
    [run] = verify(settings, (FIRST,))
    assert {finding.subject for finding in run.findings} == {f"verdict {REPLAY}"}


def test_a_revocation_that_is_hidden(settings: Settings, store: Store) -> None:
    revoked(settings, store)
    max(at(store, "log/keys").iterdir()).unlink()
    assert "key-event-hidden" in codes(settings)


def test_a_revocation_whose_copy_is_changed(settings: Settings, store: Store) -> None:
    revoked(settings, store)
    copy = max(at(store, "log/keys").iterdir())
    put(copy, copy.read_bytes().replace(b"revoke", b"revoge"))
    assert "key-event-hidden" in codes(settings, FIRST)
    put(copy.with_name(f"{99:012d}"), b"{}")
    assert "key-event-hidden" in codes(settings, FIRST)


def test_a_revocation_by_somebody_without_a_say(settings: Settings, store: Store, tmp_path: Path) -> None:
    key = signers(store)[0].public
    trusting(settings, key.key_id)
    forger = another(tmp_path)
    put(at(store, f"keys/{forger.public.key_id}.json"), forger.public.record())
    entry = Entry(
        kind="key",
        event="revoke",
        subject=key.key_id,
        statement=of_bytes(b""),
        key_id=forger.public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, forger)
    assert codes(settings, FIRST, SECOND) == set()


def test_a_key_used_before_it_was_announced(settings: Settings, store: Store, tmp_path: Path) -> None:
    early = another(tmp_path)
    put(at(store, f"keys/{early.public.key_id}.json"), early.public.record())
    log_run(store, resign(store, FIRST, early), early)
    at(store, f"keys/{early.public.key_id}.json").unlink()
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    from reenact.actions.sealing import announce

    announce(store, early.public, signers(store)[0])
    assert "key-not-yet" in codes(settings, FIRST)


def test_a_run_that_is_dated_back(settings: Settings, store: Store) -> None:
    signer = signers(store)[0]
    made = resign(store, FIRST, signer)
    shutil.rmtree(at(store, f"runs/{FIRST}/verdicts"))
    log_run(store, made, signer, time="2026-01-31T06:00:05.000000Z")
    assert "back-dated" in codes(settings, FIRST)
    assert "back-dated" in codes(settings)


def test_a_run_that_is_logged_long_after_it_ended(settings: Settings, store: Store) -> None:
    trusting(settings, signers(store)[0].public.key_id, more="max_log_delay_seconds = 86400\n")
    assert "back-dated" in codes(settings, SECOND)
    trusting(settings, signers(store)[0].public.key_id, more="max_log_delay_seconds = 8640000000\n")
    assert codes(settings, SECOND) == set()


def test_a_run_that_ended_after_it_was_logged(settings: Settings, store: Store) -> None:
    add_run(store, 5, ended_at="2999-01-01T00:00:00.000000Z")
    assert "back-dated" in codes(settings, run_id(5))


def test_a_verdict_moved_to_another_run(settings: Settings, store: Store) -> None:
    name = f"verdicts/{REPLAY}.dsse.json"
    put(at(store, f"runs/{SECOND}/{name}"), at(store, f"runs/{FIRST}/{name}").read_bytes())
    assert codes(settings, SECOND) == {"other-bundle"}


def test_a_verdict_under_the_name_of_another_replay(settings: Settings, store: Store) -> None:
    folder = at(store, f"runs/{FIRST}/verdicts")
    put(folder / f"{run_id(8)}.dsse.json", (folder / f"{REPLAY}.dsse.json").read_bytes())
    assert codes(settings, FIRST) == {"other-replay"}


def test_a_verdict_by_nobody_known(settings: Settings, store: Store, tmp_path: Path) -> None:
    path = at(store, f"runs/{FIRST}/verdicts/{REPLAY}.dsse.json")
    payload = base64.b64decode(json.loads(path.read_bytes())["payload"])
    put(path, seal_payload(payload.replace(b"reproduced", b"equivalent"), [another(tmp_path)]))
    assert "signature-invalid" in codes(settings, FIRST)


def judged(store: Store, got: bytes, level: Any = "identical", overall: Any = "reproduced") -> None:
    """Record a replay that made other bytes, and seal a verdict that says what it likes."""
    add_run(store, 7, replay_of=FIRST)
    made = add_verdict(store, bundle(run_id=FIRST), 6)
    judgement = OutputJudgement(name="out.csv", verdict=level, recorded=of_bytes(b"out"), got=of_bytes(got))
    seal_verdict(store, replace(made, replay_run_id=run_id(7), outputs=(judgement,), verdict=overall))


def test_a_verdict_that_holds_against_its_replay(settings: Settings, store: Store) -> None:
    judged(store, b"out")
    assert codes(settings, FIRST) == set()
    assert "out.csv" in verify(settings, (FIRST,))[0].reproduced


def test_a_forged_verdict_claims_what_the_replay_did_not_make(settings: Settings, store: Store) -> None:
    judged(store, b"forged", level="equivalent", overall="equivalent")
    assert codes(settings, FIRST) == {"replay-differs"}


def test_an_output_that_is_called_as_a_stream_is(settings: Settings, store: Store) -> None:
    outputs = (artifact("stdout", b"a file", "created"),)
    first = add_run(store, 3, outputs=outputs, kept=(b"in", b"print()", b"a file"))
    add_run(store, 7, outputs=outputs, replay_of=first.run_id, kept=())
    verdict = add_verdict(store, first, 6)
    digests = [of_bytes(b"a file"), of_bytes(b"printed")]
    said = tuple(OutputJudgement(name="stdout", verdict="identical", recorded=d, got=d) for d in digests)
    seal_verdict(store, replace(verdict, replay_run_id=run_id(7), outputs=said))
    assert codes(settings, first.run_id) == set()


@pytest.mark.parametrize(("level", "overall"), [("identical", "diverged"), ("different", "reproduced")])
def test_a_forged_verdict_contradicts_itself(settings: Settings, store: Store, level: str, overall: str) -> None:
    judged(store, b"out", level=level, overall=overall)
    assert codes(settings, FIRST) == {"verdict-wrong"}


def test_a_summary_that_says_more_than_its_verdict(settings: Settings, store: Store) -> None:
    path = at(store, f"runs/{FIRST}/summaries/{REPLAY}.dsse.json")
    payload = base64.b64decode(json.loads(path.read_bytes())["payload"])
    put(path, seal_payload(payload.replace(b"REENACT_REPRODUCED", b"SLSA_BUILD_LEVEL_4"), signers(store)))
    assert codes(settings, FIRST) == {"summary-differs"}


def test_subjects_that_are_not_the_outputs(settings: Settings, store: Store) -> None:
    made = bundle(run_id=run_id(6))
    statement = json.loads(dump_bundle(made))
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    payload = canonical.dumps_plain(statement)
    by = signers(store)
    store.runs.put_run(RunId(made.run_id), seal_payload(payload, by), made)
    entry = Entry(
        kind="run",
        run_id=made.run_id,
        statement=of_bytes(payload),
        key_id=by[0].public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, by[0])
    assert "other-subjects" in codes(settings, made.run_id)


def test_an_entry_that_names_another_run(settings: Settings, store: Store) -> None:
    made = bundle(run_id=run_id(6))
    by = signers(store)
    store.runs.put_run(RunId(made.run_id), seal_payload(dump_bundle(made), by), made)
    entry = Entry(
        kind="run",
        run_id=FIRST,
        statement=of_bytes(dump_bundle(made)),
        key_id=by[0].public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, by[0])
    assert "entry-differs" in codes(settings, made.run_id)


def test_views_that_say_something_else(settings: Settings, store: Store) -> None:
    view = at(store, f"runs/{FIRST}/outputs/pointers.jsonl")
    put(view, view.read_bytes().replace(b"out.csv", b"out.tsv"))
    assert codes(settings, FIRST) == {"view-differs"}
    view.unlink()
    assert codes(settings, FIRST) == {"view-missing"}


def test_a_manifest_with_other_content_under_its_digest(settings: Settings) -> None:
    from reenact.model import manifest
    from reenact.model.environment import Environment

    store = open_store(settings.store, create=True)
    data = manifest.dump([artifact("/usr/lib/x.so", b"elf").entry])
    plain = bundle().environment
    environment = Environment(mode="sealed", manifest=of_bytes(data), system=plain.system, cpu=plain.cpu)
    add_run(store, kept=(b"in", b"print()", b"out", b"elf", data), environment=environment)
    assert codes(settings) == set()
    store.close()
    [pack] = at(store, "packs").glob("*.pack")
    whole = pack.read_bytes()
    swapped: Callable[[bytes], bytes] = lambda b: b.replace(b"x.so", b"y.so")  # noqa: E731
    put(pack, swapped(whole) if swapped(whole) != whole else whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    assert codes(settings) & {"object-damaged"}
    store.close()


def test_witnesses_that_are_demanded_must_have_seen_the_log(settings: Settings, store: Store, tmp_path: Path) -> None:
    witness = another(tmp_path)
    encoded = base64.b64encode(witness.public.raw_ed25519() or b"").decode()
    table = f'[[witness]]\nname = "example.com/w"\nkey = "{encoded}"\n'
    trusting(settings, signers(store)[0].public.key_id)
    path = Path(settings.root, "reenact.trust.toml")
    path.write_text(path.read_text() + table)
    assert codes(settings) == {"witness-missing"}
    found = Checkpoint(origin_of(store.id), 4, Tree(store.backend, 4).root())
    seen = notes.cosign(found.text(), "example.com/w", witness.public, witness.sign, 1_800_000_000)
    Checkpoints(store.backend).put(found, seen, "witness")
    assert codes(settings) == set()
    shutil.rmtree(at(store, "log/checkpoints"))
    assert "checkpoint-missing" in codes(settings, FIRST)


def test_every_code_has_a_meaning_and_a_remedy() -> None:
    assert all(kind.meaning and kind.remedy for kind in FLAWS.values())
