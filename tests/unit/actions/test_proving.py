"""Proof files: whole ones hold, for us and for the script in the how-to; no changed one does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact.actions import keys as key_actions
from reenact.actions.checkpointing import checkpoint
from reenact.actions.proving import VerifiedProof, attest, verify_proof
from reenact.actions.sealing import SealWith, seal_verdict, signers
from reenact.actions.trusting import read_pin
from reenact.actions.whence import split, verify_files
from reenact.digests import of_bytes
from reenact.errors import IntegrityError, ReenactError, RunNotFound, SettingsError
from reenact.model.verdict import OutputJudgement
from reenact.seal.proof import dump_proof, load_proof
from reenact.settings import Settings
from reenact.settings.model import Signing
from reenact.store.opening import Store
from tests.bundles import artifact, bundle, run_id
from tests.records import add_run, add_verdict

SCRIPT = Path(__file__).parents[3] / "docs/how-to/check_proof.py"
FIRST = run_id(1)


@pytest.fixture
def proof(settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the proof of a run that was replayed, after its key was replaced."""
    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    made = add_run(store, 1)
    add_run(store, 2)
    verdict = add_verdict(store, made, 8, "diverged")
    judgement = OutputJudgement(name="out.csv", verdict="identical", recorded=of_bytes(b"out"), got=of_bytes(b"out"))
    seal_verdict(store, replace(verdict, replay_run_id=run_id(9), outputs=(judgement,), verdict="reproduced"))
    trust(settings, signers(store)[0].public.key_id)
    key_actions.rotate(settings, "yearly", None)
    (tmp_path / "out.csv").write_bytes(b"out")
    return Path(attest(settings, FIRST, str(tmp_path / "ship")).path)


def trust(settings: Settings, key_id: str, more: str = "") -> None:
    text = f'{more}[[owner]]\nname = "team"\nkeys = ["{key_id}"]\n'
    Path(settings.root, "reenact.trust.toml").write_text(text)


def trusted(settings: Settings) -> str:
    return Path(settings.root, "reenact.trust.toml").read_text().rsplit('"', 2)[1]


def codes(checked: VerifiedProof) -> set[str]:
    return {finding.code for finding in checked.findings}


def script(proof: Path, key_id: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(proof), key_id, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_proof_holds_without_its_store(settings: Settings, proof: Path, tmp_path: Path) -> None:
    shutil.rmtree(settings.store)
    checked = verify_proof(settings, str(proof), [str(tmp_path / "out.csv")])
    assert checked.findings == ()
    assert (checked.run_id, checked.job, checked.owners, checked.trusted) == (FIRST, "etl", ("team",), True)
    assert checked.verdicts == ("diverged", "reproduced")
    [file] = checked.files
    assert (file.output, file.reproduced) == ("out.csv", True)
    Path(settings.root, "reenact.trust.toml").unlink()
    alone = verify_proof(settings, str(proof), [])
    assert (alone.findings, alone.trusted) == ((), None)


def test_the_script_of_the_how_to_agrees(settings: Settings, proof: Path, tmp_path: Path) -> None:
    key_id = trusted(settings)
    done = script(proof, key_id, tmp_path / "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'out.csv'} is its output out.csv"
    assert f"run {FIRST} is entry 1 of" in done.stdout
    assert len(SCRIPT.read_text().splitlines()) <= 100
    (tmp_path / "other").write_bytes(b"other")
    for refused in (script(proof, "0" * 64), script(proof, key_id, tmp_path / "other")):
        assert refused.returncode == 1
        assert refused.stderr.startswith("REFUSED")


def changed(proof: Path, change: Any) -> Path:
    document = json.loads(proof.read_bytes())
    change(document)
    target = proof.with_name("changed.json")
    target.write_text(json.dumps(document))
    return target


def drop(document: dict[str, Any]) -> None:
    document["run"]["path"].pop()


def move(document: dict[str, Any]) -> None:
    document["run"]["index"] = 2


def swap(document: dict[str, Any]) -> None:
    document["run"]["envelope"] = document["verdicts"][0]["envelope"]


def size(document: dict[str, Any]) -> None:
    document["checkpoint"] = document["checkpoint"].replace("\n8\n", "\n9\n").replace("\n7\n", "\n8\n")


def event(document: dict[str, Any]) -> None:
    document["key_events"][0]["entry"] = document["run"]["entry"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop, "proof-invalid"),
        (move, "entry-moved"),
        (swap, "entry-differs"),
        (size, "checkpoint-invalid"),
        (event, "proof-invalid"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_changed_proof_is_refused_by_both(settings: Settings, proof: Path, change: Any, expected: str) -> None:
    forged = changed(proof, change)
    assert expected in codes(verify_proof(settings, str(forged), []))
    assert script(forged, trusted(settings)).returncode != 0


def test_no_flipped_byte_of_a_proof_makes_it_say_something_else(settings: Settings, proof: Path) -> None:
    whole = proof.read_bytes()
    target = proof.with_name("flipped.json")
    known = verify_proof(settings, str(proof), [])
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        target.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 7)]) + whole[place + 1 :])
        found = verify_proof(settings, str(target), [])
        # A witness's line, or bits that base64 passes over, may change; what the proof says may not.
        assert found.findings or found == known, place


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 100_000, b'{"format":"urn:reenact:proof:v9"}', b"\xff"])
def test_what_is_no_proof_is_told(settings: Settings, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    assert codes(verify_proof(settings, str(path), [])) == {"proof-malformed"}
    with pytest.raises(SettingsError, match="cannot be read"):
        verify_proof(settings, str(tmp_path / "nothing"), [])


def test_files_that_are_no_outputs_are_told(settings: Settings, proof: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/out.csv").write_bytes(b"changed")
    (tmp_path / "other").write_bytes(b"other")
    checked = verify_proof(settings, str(proof), [str(tmp_path / "sub/out.csv"), str(tmp_path / "other")])
    assert [(f.code, f.exit_code) for f in checked.findings] == [("file-differs", 4), ("file-unknown", 3)]


def test_a_proof_by_nobody_trusted_is_told(settings: Settings, proof: Path) -> None:
    trust(settings, "0" * 64)
    assert codes(verify_proof(settings, str(proof), [])) == {"key-untrusted"}


def test_a_proof_shows_that_the_log_began_with_a_pinned_checkpoint(
    settings: Settings, store: Store, proof: Path, tmp_path: Path
) -> None:
    pin = tmp_path / "seen.txt"
    pin.write_bytes(checkpoint(settings))
    add_run(store, 3)
    attest(settings, run_id(3), str(tmp_path / "later"), read_pin(str(pin)))
    path = tmp_path / "later" / f"{run_id(3)}.proof.json"
    seen = read_pin(str(pin))
    import base64

    def table(root: bytes) -> str:
        where = f'[checkpoint]\norigin = "{seen.origin}"\nsize = {seen.size}\n'
        return where + f'root = "{base64.b64encode(root).decode()}"\n'

    key_id = trusted(settings)
    trust(settings, key_id, table(seen.root))
    assert codes(verify_proof(settings, str(path), [])) == set()
    assert codes(verify_proof(settings, str(proof), [])) == {"log-rewound"} or seen.size == 7
    trust(settings, key_id, table(bytes(32)))
    assert codes(verify_proof(settings, str(path), [])) == {"log-forked"}
    without = changed(path, lambda document: document.pop("consistency"))
    assert codes(verify_proof(settings, str(without), [])) == {"checkpoint-missing"}


def test_a_proof_carries_the_witnesses_that_are_demanded(settings: Settings, proof: Path, tmp_path: Path) -> None:
    import base64

    from reenact.actions.checkpointing import cosign
    from reenact.seal.pem import load_private, new_private

    pem = new_private("ed25519", None)
    (tmp_path / "w.pem").write_bytes(pem)
    (tmp_path / "w.pem").chmod(0o600)
    raw = load_private(pem, None, "", "w").public.raw_ed25519() or b""
    table = f'[[witness]]\nname = "example.com/w"\nkey = "{base64.b64encode(raw).decode()}"\n'
    trust(settings, trusted(settings), table)
    assert codes(verify_proof(settings, str(proof), [])) == {"witness-missing"}
    cosign(settings, name="example.com/w", key_file=str(tmp_path / "w.pem"), since=None, passphrase=None)
    assert codes(verify_proof(settings, str(proof), [])) == {"witness-missing"}  # it was written before
    again = attest(settings, FIRST, str(tmp_path / "again"))
    assert codes(verify_proof(settings, again.path, [])) == set()
    assert "example.com/w" in load_proof(Path(again.path).read_bytes()).checkpoint


def test_a_run_that_is_not_what_was_signed_is_not_proven(settings: Settings, store: Store, tmp_path: Path) -> None:
    add_run(store, 1)
    for path in Path(store.location, "log/entries").iterdir():
        if path.name.endswith("1"):
            path.unlink()
    with pytest.raises(IntegrityError, match="no entry"):
        attest(settings, FIRST, str(tmp_path / "ship"))
    with pytest.raises(RunNotFound):
        attest(settings, "nothing", str(tmp_path / "ship"))


def test_a_proof_comes_back_from_its_file(proof: Path) -> None:
    assert dump_proof(load_proof(proof.read_bytes())) == proof.read_bytes()


def test_where_a_file_comes_from(settings: Settings, proof: Path, tmp_path: Path) -> None:
    assert proof.exists()
    [found] = verify_files(settings, [str(tmp_path / "out.csv")])
    assert [(maker.run.run_id, maker.output, maker.reproduced) for maker in found.made_by] == [
        (run_id(2), "out.csv", False),
        (FIRST, "out.csv", True),
    ]
    assert (found.exit_code, found.findings) == (0, ())
    (tmp_path / "out.csv").write_bytes(b"edited")
    (tmp_path / "strange").write_bytes(b"strange")
    edited, strange = verify_files(settings, [str(tmp_path / "out.csv"), str(tmp_path / "strange")])
    assert (edited.exit_code, [f.code for f in edited.findings]) == (4, ["file-differs"])
    assert (strange.exit_code, [f.code for f in strange.findings]) == (3, ["file-unknown"])


def test_a_file_by_a_run_nobody_vouches_for(settings: Settings, proof: Path, tmp_path: Path) -> None:
    assert proof.exists()
    trust(settings, "0" * 64)
    [found] = verify_files(settings, [str(tmp_path / "out.csv")])
    assert found.exit_code == 4
    assert {finding.code for maker in found.made_by for finding in maker.run.findings} == {"key-untrusted"}


def test_names_of_runs_and_of_files_are_told_apart(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(store, 1)
    monkeypatch.chdir(tmp_path)
    for name in ("etl", "out.csv"):
        Path(name).write_bytes(b"out")
    assert split(settings, ["etl", "out.csv", "./etl", str(tmp_path / "etl"), "nothing"]) == (
        ["etl", "nothing"],
        ["out.csv", "./etl", str(tmp_path / "etl")],
    )


# --- who signs


def signed_by(settings: Settings, **signing: Any) -> Settings:
    return settings._replace(signing=Signing(**signing))


@pytest.mark.parametrize("algorithm", ["ed25519", "p256"])
def test_a_new_key_signs_where_it_is_named(settings: Settings, store: Store, tmp_path: Path, algorithm: Any) -> None:
    made = key_actions.new_key(settings, str(tmp_path / "new.pem"), algorithm, b"secret")
    assert (tmp_path / "new.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    how = SealWith(("file:new.pem",), root=str(tmp_path))
    with pytest.raises(ReenactError, match="needs its passphrase"):
        signers(store, how)
    assert made.algorithm == ("ed25519" if algorithm == "ed25519" else "ecdsa-p256")
    with pytest.raises(ReenactError, match="already"):
        key_actions.new_key(settings, str(tmp_path / "new.pem"), algorithm, None)


def test_a_passphrase_opens_an_encrypted_key(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_actions.new_key(settings, str(tmp_path / "new.pem"), "p256", b"secret")
    how = SealWith(("file:new.pem",), root=str(tmp_path))
    monkeypatch.setenv("REENACT_KEY_PASSPHRASE", "wrong")
    with pytest.raises(ReenactError, match="passphrase is wrong"):
        signers(store, how)
    monkeypatch.setenv("REENACT_KEY_PASSPHRASE", "secret")
    assert signers(store, how)[0].public.algorithm == "ecdsa-p256"


def test_records_by_a_curve_key_and_a_command_hold(settings: Settings, store: Store, tmp_path: Path) -> None:
    from reenact.actions.sealing import seal_bundle
    from reenact.actions.verify import verify

    key_actions.new_key(settings, str(tmp_path / "device.pem"), "p256", None)
    program = tmp_path / "device.py"
    program.write_text(
        "import sys\n"
        "from reenact.seal.pem import load_private\n"
        f"key = load_private(open({str(tmp_path / 'device.pem')!r}, 'rb').read(), None, '', 'key')\n"
        "sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))\n"
    )
    how = SealWith((f"cmd:{sys.executable} {program}", "p256"), (str(tmp_path / "device.pem.pub"),))
    seal_bundle(store, bundle(run_id=run_id(4)), how)
    [run] = verify(settings, (run_id(4),))
    assert {finding.code for finding in run.findings} == {"object-missing"}
    assert len(run.signers) == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "ended with status 1"),
        ("cat", "no signature by key"),
        ("/nothing/at/all", "cannot be run"),
        ("sleep 9", "took more than"),
        ("'", "cannot be run"),
    ],
)
def test_a_run_that_cannot_be_signed_is_kept_and_signed_later(
    settings: Settings, store: Store, tmp_path: Path, command: str, message: str
) -> None:
    from reenact.actions.opening import opened, unfinished
    from reenact.actions.sealing import seal_bundle
    from reenact.actions.verify import verify

    key_actions.new_key(settings, str(tmp_path / "device.pem"), "ed25519", None)
    public = str(tmp_path / "device.pem.pub")
    broken = signed_by(settings, signer=f"cmd:{command}", public_keys=(public,), timeout_seconds=0.2)
    how = SealWith((f"cmd:{command}",), (public,), 0.2)
    seal_bundle(store, bundle(run_id=run_id(4)), how)
    assert not store.runs.exists(run_id(4))  # type: ignore[arg-type]
    [reason] = unfinished(store, broken).values()
    assert message in reason
    [found] = [run for run in verify(broken, (), everything=True) if run.run_id == run_id(4)]
    assert {finding.code for finding in found.findings} == {"not-sealed"}
    opened(settings).close()
    assert store.runs.ids() == [run_id(4)]
    assert unfinished(store, settings) == {}
    [run] = verify(settings, (run_id(4),))
    assert {finding.code for finding in run.findings} == {"object-missing"}


def test_a_signer_that_fails_for_the_entry_loses_nothing(settings: Settings, store: Store, tmp_path: Path) -> None:
    from reenact.actions.opening import unfinished
    from reenact.actions.sealing import seal_bundle
    from reenact.actions.verify import verify

    key_actions.new_key(settings, str(tmp_path / "device.pem"), "p256", None)
    program = tmp_path / "device.sh"
    # It signs once and no more until the file is gone.
    program.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/used ] && exit 1\ntouch {tmp_path}/used\nexec openssl dgst -sha256 -sign"
        f" {tmp_path}/device.pem\n"
    )
    program.chmod(0o755)
    device = signed_by(settings, signer=f"cmd:{program}", public_keys=(str(tmp_path / "device.pem.pub"),))
    how = SealWith((f"cmd:{program}",), (str(tmp_path / "device.pem.pub"),))
    seal_bundle(store, bundle(run_id=run_id(4)), how)
    [run] = verify(device, (run_id(4),))
    assert "not-logged" in {finding.code for finding in run.findings}
    [reason] = unfinished(store, device).values()
    assert "not signed yet" in reason
    (tmp_path / "used").unlink()
    assert unfinished(store, device) == {}
    [run] = verify(settings, (run_id(4),))
    assert {finding.code for finding in run.findings} == {"object-missing"}


def test_what_names_no_signer_is_told(store: Store) -> None:
    for spec in ("rsa", "file:", "cmd:", "cmd:true"):
        with pytest.raises(ReenactError):
            signers(store, SealWith((spec,)))


# --- keys


def test_keys_are_listed_with_what_became_of_them(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    add_run(store, 1)
    first = signers(store)[0].public.key_id
    assert key_actions.trust(settings, first[:8], 'the "team"').endswith("reenact.trust.toml")
    second = key_actions.rotate(settings, "yearly", None).key_id
    third = key_actions.rotate(settings, "again", None).key_id
    key_actions.trust(settings, third, "new team")
    key_actions.revoke(settings, second, "stolen", 1)
    listed = {key.key_id: key for key in key_actions.list_keys(settings)}
    assert [(listed[k].state, listed[k].reason, listed[k].signs_here) for k in (first, second, third)] == [
        ("retired", "yearly", False),
        ("revoked", "stolen", False),
        ("valid", None, True),
    ]
    assert listed[second].until == 1
    assert [listed[k].owner for k in (first, second, third)] == ['the "team"', 'the "team"', "new team"]
    with pytest.raises(ReenactError, match="names 0 keys"):
        key_actions.retire(settings, "ffff", "")
    with pytest.raises(ReenactError, match="signs what is recorded here"):
        key_actions.retire(settings, third, "")
    with pytest.raises(ReenactError, match="already"):
        key_actions.trust(settings, first, "team")


def test_what_a_stolen_key_announced_is_nobodys(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reenact.actions.logview import LogView
    from reenact.actions.trusting import load_trust

    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    first = signers(store)[0].public.key_id
    key_actions.trust(settings, first, "team")
    add_run(store, 1)
    second = key_actions.rotate(settings, "by the thief", None).key_id
    assert LogView(store, load_trust(settings)).keyring.owner(second) == "team"
    key_actions.revoke(settings, first, "stolen before entry 2", 2)
    keyring = LogView(store, load_trust(settings)).keyring
    assert keyring.owner(second) is None
    assert keyring.flaw_at(first, 1) is None
    assert keyring.flaw_at(first, 2) is not None


def test_a_rotation_that_was_cut_off_goes_on(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    old = signers(store)[0].public.key_id

    class CutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise CutError

    with monkeypatch.context() as patch:
        patch.setattr("os.rename", cut)
        with pytest.raises(CutError):
            key_actions.rotate(settings, "yearly", None)
    new = key_actions.rotate(settings, "yearly", None)
    states = {key.key_id: key.state for key in key_actions.list_keys(settings)}
    assert states == {old: "retired", new.key_id: "valid"}


@pytest.mark.parametrize(
    "text",
    [
        "threshold = 0",
        "threshold = 2\n[[owner]]\nname = 'a'\nkeys = []",
        "unknown = 1",
        "[[owner]]\nname = 'a'\nkeys = ['short']",
        "[[owner]]\nkeys = []",
        "owner = 7",
        "[[witness]]\nname = 'a b'\nkey = 'AAAA'",
        "[checkpoint]\norigin = 'x'\nsize = 1\nroot = 'AAAA'",
        "follow_rotation = 1",
        "max_log_delay_seconds = 'long'",
        "witnesses = 1",
        "not toml",
    ],
)
def test_a_trust_file_that_cannot_be_used_is_never_passed_over(settings: Settings, store: Store, text: str) -> None:
    from reenact.actions.verify import verify

    add_run(store, 1, outputs=(artifact("a", b"out", "created"),))
    Path(settings.root, "reenact.trust.toml").write_text(text + "\n")
    with pytest.raises(SettingsError):
        verify(settings, (), everything=True)
    with pytest.raises(SettingsError, match="there is no trust file"):
        verify(settings, (), everything=True, trust_file="/nothing")
