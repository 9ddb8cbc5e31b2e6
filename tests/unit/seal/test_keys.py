from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reenact import canonical
from reenact.errors import SignatureInvalid, StoreError
from reenact.seal.keys import PublicKey, key_folder, load_fingerprint_key, load_signing_key

STORE = "0b0c0d0e-0000-4000-8000-000000000000"


def _load_both(folder: Path) -> None:
    load_signing_key(folder, STORE)
    load_fingerprint_key(folder, STORE)


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = key_folder({"XDG_CONFIG_HOME": str(tmp_path / "config")}, tmp_path / "store")
    assert folder == str(tmp_path / "config" / "reenact" / "keys")
    key, secret = load_signing_key(folder, STORE), load_fingerprint_key(folder, STORE)
    assert load_signing_key(folder, STORE).public == key.public
    assert load_fingerprint_key(folder, STORE) == secret
    assert len(secret) == 32
    assert (Path(folder).stat().st_mode & 0o777) == 0o700
    assert {path.stat().st_mode & 0o777 for path in Path(folder).iterdir()} == {0o600}
    assert load_signing_key(folder, "another").public.key_id != key.public.key_id


def test_where_keys_go(tmp_path: Path) -> None:
    home, store = tmp_path / "home", tmp_path / "store"
    home.mkdir()
    own = store / "private" / str(os.geteuid())
    at_home = str(home / ".config" / "reenact" / "keys")
    assert key_folder({"HOME": str(home)}, store) == at_home
    assert key_folder({"HOME": str(home), "XDG_CONFIG_HOME": "relative"}, store) == at_home
    assert key_folder({"HOME": str(tmp_path / "nobody")}, store) == str(own)
    assert not (tmp_path / "nobody").exists()
    assert key_folder({}, store) == str(own)
    assert (own.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize(("suffix", "load"), [("pem", load_signing_key), ("fingerprint", load_fingerprint_key)])
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, suffix: str, load: Callable[[Path, str], object]
) -> None:
    load(tmp_path, STORE)
    (tmp_path / f"{STORE}.{suffix}").chmod(0o640)
    with pytest.raises(StoreError, match="not yours alone: mode 0640") as caught:
        load(tmp_path, STORE)
    assert "chmod 600" in caught.value.hint()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    for suffix in (".pem", ".fingerprint"):
        path = tmp_path / f"{STORE}{suffix}"
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(StoreError):
        load_signing_key(tmp_path, STORE)
    with pytest.raises(StoreError):
        load_fingerprint_key(tmp_path, STORE)
    assert (tmp_path / f"{STORE}.pem").read_bytes() == content


def test_processes_that_race_use_one_key(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from reenact.seal.keys import load_fingerprint_key, load_signing_key
sys.stdin.read()
folder = Path(sys.argv[1])
print(load_signing_key(folder, "s").public.key_id, load_fingerprint_key(folder, "s").hex())
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
    said = set()
    for racer in racers:
        assert racer.stdout is not None
        said.add(racer.stdout.read())
        racer.stdout.close()
        assert racer.wait() == 0
    assert len(said) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".fingerprint", ".pem"]


def test_our_framing_of_keys_is_that_of_cryptography(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    key = load_signing_key(tmp_path, STORE)
    pem = (tmp_path / f"{STORE}.pem").read_bytes()
    theirs = load_pem_private_key(pem, password=None)
    assert theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) == pem
    assert theirs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.public.der


def test_openssl_accepts_a_signature(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program is not installed")
    key = load_signing_key(tmp_path, STORE)
    (tmp_path / "message").write_bytes(b"signed")
    (tmp_path / "signature").write_bytes(key.sign(b"signed"))
    public = subprocess.run(
        [openssl, "pkey", "-in", f"{STORE}.pem", "-pubout"], cwd=tmp_path, capture_output=True, check=True
    )
    (tmp_path / "public").write_bytes(public.stdout)
    command = [
        openssl,
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        "public",
        "-in",
        "message",
        "-sigfile",
        "signature",
    ]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


def test_a_public_key_survives_its_record_and_no_changed_one_does(tmp_path: Path) -> None:
    key = load_signing_key(tmp_path, STORE).public
    record = key.record()
    assert PublicKey.parse(record) == key
    assert canonical.dumps_plain(json.loads(record)) == record
    kept_times = 0
    for place in range(len(record)):
        changed = record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]
        try:
            other = PublicKey.parse(changed)
        except SignatureInvalid:
            continue
        # The time is said, not proven: the log is what dates a key.
        assert (other.key_id, other.der) == (key.key_id, key.der)
        kept_times += 1
    assert kept_times <= len(key.valid_from)


def test_signing_does_not_bring_the_loaders_of_cryptography(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from reenact.seal.keys import load_signing_key
load_signing_key(Path(sys.argv[1]), "s").sign(b"")
print("cryptography.hazmat.primitives.serialization.ssh" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]


def test_a_place_that_cannot_be_used_is_passed_over_and_no_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    store = tmp_path / "store"
    assert key_folder(environment, store) == f"{store}/private/{os.geteuid()}"
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(StoreError, match=r"no place for a private key: .*Not a directory") as caught:
        key_folder(environment, tmp_path / "other")
    assert "XDG_CONFIG_HOME" in caught.value.hint()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "config/reenact/keys"
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    store = tmp_path / "store"
    assert key_folder({"XDG_CONFIG_HOME": str(tmp_path / "config")}, store) == f"{store}/private/{os.geteuid()}"


def test_a_folder_in_the_place_of_a_key_is_told(tmp_path: Path) -> None:
    for name, load in (("pem", load_signing_key), ("fingerprint", load_fingerprint_key)):
        (tmp_path / f"{STORE}.{name}").mkdir()
        with pytest.raises(StoreError, match="cannot be used"):
            load(tmp_path, STORE)


def test_a_key_of_another_kind_verifies_nothing(tmp_path: Path) -> None:
    key = load_signing_key(tmp_path, STORE).public
    for der in (b"", key.der[:-1], key.der + b"x", b"\0" * len(key.der)):
        with pytest.raises(SignatureInvalid, match="not an Ed25519 key"):
            PublicKey(key_id=key.key_id, der=der, valid_from="").verify(b"\0" * 64, b"data")
