"""Who can open an encrypted store, and what is told to who cannot."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reenact.errors import StoreError, StoreKeysChanged, StoreLocked, UsageError
from reenact.store.crypt import age
from reenact.store.crypt.identities import identity_places, own_recipient
from reenact.store.opening import Store, open_store


def someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "else"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_an_encrypted_store_opens_for_its_recipients(store: Store, location: str) -> None:
    store.backend.put_if_absent("a/b", b"content")
    again = open_store(location, create=False)
    assert again.sealed is not None
    assert again.id == store.id
    assert again.backend.get("a/b") == b"content"
    description = json.loads(Path(location, "store.json").read_bytes())
    assert (description["digest_names"], description["encryption"]) == ("keyed", "age-aes256gcm-v1")


def test_nobody_else_opens_it(store: Store, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_recipient(os.environ)
    folder = someone_else(tmp_path, monkeypatch)
    with pytest.raises(StoreLocked) as caught:
        open_store(location, create=False)
    assert caught.value.exit_code == 4
    for word in (store.location, mine, "none", str(folder / ".config/reenact/keys/identity.txt")):
        assert word in str(caught.value)
    assert "REENACT_IDENTITY" in caught.value.hint()
    own_recipient(os.environ)  # another's
    with pytest.raises(StoreLocked, match="1 of other keys"):
        open_store(location, create=False)
    monkeypatch.setenv("REENACT_IDENTITY", str(tmp_path / "home/.config/reenact/keys/identity.txt"))
    assert open_store(location, create=False).id == store.id


def test_an_identity_that_is_named_must_be_one(
    store: Store, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REENACT_IDENTITY", str(tmp_path / "nothing"))
    with pytest.raises(StoreLocked, match="not there"):
        open_store(store.location, create=False)
    (tmp_path / "junk").write_bytes(b"\xff\0")
    monkeypatch.setenv("REENACT_IDENTITY", str(tmp_path / "junk"))
    with pytest.raises(StoreLocked, match="holds no identity") as caught:
        open_store(location, create=False)
    assert "AGE-SECRET-KEY" in caught.value.hint()


@pytest.mark.usefixtures("store")
def test_ones_own_identity_is_for_oneself_alone(location: str) -> None:
    (place,) = map(Path, identity_places(os.environ))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    place.chmod(0o640)
    with pytest.raises(StoreError, match="not yours alone"):
        open_store(location, create=False)


def test_without_a_home_there_is_no_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in ("", "relative", str(tmp_path / "absent")):
        monkeypatch.setenv("HOME", value)
        assert identity_places(os.environ) == []
        with pytest.raises(StoreError, match="no place for an identity"):
            own_recipient(os.environ)
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_ssh_keys_will_do(kind: str, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a comment", "-f", str(key)], check=True)
    public = Path(f"{key}.pub").read_text()
    open_store(location, create=True, encrypt_to=[public, own_recipient(os.environ)])
    someone_else(tmp_path, monkeypatch)
    monkeypatch.setenv("REENACT_IDENTITY", str(key))
    assert open_store(location, create=False).sealed is not None
    shown = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] in age.fingerprint(age.parse_recipient(public))


@pytest.mark.usefixtures("store")
def test_an_ssh_key_with_a_passphrase_is_told(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    monkeypatch.setenv("REENACT_IDENTITY", str(key))
    with pytest.raises(StoreLocked) as caught:
        open_store(location, create=False)
    assert "passphrase" in caught.value.hint()


@pytest.mark.parametrize("text", ["junk", "age1junk", "ssh-ed25519 AAAA", "", "ssh-dss AAAA"])
def test_what_is_no_recipient(text: str) -> None:
    with pytest.raises(UsageError, match="no recipient"):
        age.parse_recipient(text)


def test_a_private_key_given_as_a_recipient_is_not_repeated() -> None:
    secret, _ = age.new_identity()
    with pytest.raises(UsageError) as caught:
        age.parse_recipient(secret)
    assert secret not in str(caught.value)


def test_a_plain_store_does_not_become_an_encrypted_one(location: str) -> None:
    open_store(location, create=True)
    with pytest.raises(StoreError, match="not encrypted"):
        open_store(location, create=True, encrypt_to=[own_recipient(os.environ)])


@pytest.mark.usefixtures("store")
def test_an_encrypted_store_does_not_become_a_plain_one(location: str) -> None:
    path = Path(location, "store.json")
    description = json.loads(path.read_bytes()) | {"digest_names": "plain", "encryption": None}
    path.unlink()
    path.write_text(json.dumps(description))
    with pytest.raises(StoreKeysChanged, match="says that it is none"):
        open_store(location, create=True)


@pytest.mark.usefixtures("store")
def test_without_the_library_the_extra_is_named(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(StoreError) as caught:
        open_store(location, create=False)
    assert "reenact[encryption]" in caught.value.hint()


def test_a_plain_store_is_opened_without_anything_of_this(tmp_path: Path) -> None:
    code = """
import sys
from reenact.store.opening import open_store
open_store(sys.argv[1], create=True)
print([name for name in sys.modules if name.startswith(("pyrage", "cryptography", "reenact.store.crypt"))])
"""
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_nothing_of_the_user_lies_in_the_store(store: Store, home: Path) -> None:
    for folder in (store.journals, store.cache, store.staging()):
        assert Path(folder).is_relative_to(home)
    assert stat.S_IMODE(Path(store.cache).stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(store.journals).parent.stat().st_mode) == 0o700


def test_of_many_that_make_a_store_at_once_all_open_the_same(location: str) -> None:
    recipient = own_recipient(os.environ)
    start = threading.Barrier(8)
    ids: list[str] = []

    def make() -> None:
        start.wait()
        made = open_store(location, create=True, encrypt_to=[recipient])
        made.backend.put_if_absent("k", b"content")
        ids.append(made.id + made.backend.get("k").decode())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1
