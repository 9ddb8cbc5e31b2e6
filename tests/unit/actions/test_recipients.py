from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.actions.initialise import init
from reenact.actions.recipients import add, first_recipients, readers, recipient_of_mine, reencrypt, remove, rotate
from reenact.errors import StoreError, StoreLocked, UsageError
from reenact.settings import Settings
from reenact.settings.model import Storage
from reenact.store.crypt import age
from reenact.store.opening import open_store
from tests.records import add_run

pytest.importorskip("pyrage")

SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJXadqUY9zM+5LsmwQ5DKzet92yZiUCETutGDupKPUHa"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "REENACT_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path), store=str(tmp_path / "encrypted"))


def made(place: Settings, *recipients: str) -> list[str]:
    folder = Path(place.root)
    return [part.what for part in init(folder, lambda: place, encrypt=True, recipients=recipients) if part.made]


def someone() -> str:
    return age.new_identity()[1]


def test_a_store_is_made_for_its_maker_and_those_named(place: Settings, tmp_path: Path) -> None:
    other, third = someone(), someone()
    file = tmp_path / "colleagues"
    file.write_text(f"# two of them\n{other}\n\n{SSH} a comment\n")
    assert made(place, third, str(file)) == ["identity", "settings", "store", "signing key"]
    found = readers(place)
    mine = recipient_of_mine(os.environ)
    assert set(found.recipients) == {mine, other, third, SSH}
    assert (found.yours, found.epoch, len(found.fingerprint)) == ((mine,), 1, 16)
    assert 'encryption = "required"' in (tmp_path / "reenact.toml").read_text()
    assert made(place) == []
    assert set(readers(place).recipients) == {mine, other, third, SSH}


def test_who_is_named_and_not_among_the_readers_is_told(place: Settings) -> None:
    made(place)
    with pytest.raises(UsageError, match="not for age1") as caught:
        made(place, someone())
    assert "recipients add" in caught.value.hint()


def test_a_maker_who_names_an_own_identity_is_not_added_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret, recipient = age.new_identity()
    (tmp_path / "identity").write_text(secret)
    monkeypatch.setenv("REENACT_IDENTITY", str(tmp_path / "identity"))
    other = someone()
    assert first_recipients([recipient, other], os.environ) == [recipient, other]
    assert first_recipients([other], os.environ) == [other, recipient]
    assert not (tmp_path / "home/.config").exists()


def test_recipients_come_and_go(place: Settings, tmp_path: Path) -> None:
    made(place)
    mine, other = recipient_of_mine(os.environ), someone()
    assert set(add(place, [other, SSH]).recipients) == {mine, other, SSH}
    (tmp_path / "file").write_text(f"{other}\n")
    gone = remove(place, [age.fingerprint(SSH), str(tmp_path / "file")])
    assert (gone.recipients, gone.epoch) == ((mine,), 2)
    with pytest.raises(UsageError, match=f"not among the recipients: {other}"):
        remove(place, [other])
    with pytest.raises(UsageError, match="none of your own"):
        remove(place, [mine])
    with pytest.raises(UsageError, match="no recipient of age"):
        add(place, ["somebody"])
    assert (readers(place).recipients, readers(place).epoch) == ((mine,), 2)


def test_everything_is_encrypted_anew_once(place: Settings) -> None:
    made(place)
    store = open_store(place.store, create=False)
    add_run(store)
    before = {key: store.backend.get(key) for key in store.backend.list("") if not key.startswith("encryption/")}
    assert rotate(place).epoch == 2
    first = reencrypt(place)
    assert (first.epoch, first.damaged) == (2, ())
    assert first.renewed >= len(before) - 1  # the description is not encrypted
    assert reencrypt(place).renewed == 0
    fresh = open_store(place.store, create=False)
    assert {key: fresh.backend.get(key) for key in before} == before


def test_what_is_damaged_is_named_and_keeps_nothing_else(place: Settings) -> None:
    made(place)
    store = open_store(place.store, create=False)
    add_run(store)
    assert store.sealed is not None
    key = next(iter(store.backend.list("packs/")))
    path = Path(place.store, store.sealed._hide(key))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    rotate(place)
    assert reencrypt(place).damaged == (key,)
    again = reencrypt(place)
    assert (again.damaged, again.renewed) == ((key,), 0)


def test_a_plain_store_has_no_recipients(place: Settings) -> None:
    open_store(place.store, create=True)
    for ask in (readers, rotate, reencrypt):
        with pytest.raises(StoreError, match="is not encrypted: whoever"):
            ask(place)
    with pytest.raises(StoreError, match="there already, and not encrypted"):
        made(place)


def test_where_encryption_is_required_nothing_else_is_opened_or_made(place: Settings, tmp_path: Path) -> None:
    from reenact.actions.opening import opened

    strict = place._replace(storage=Storage(encryption="required"), store=str(tmp_path / "plain"))
    with pytest.raises(StoreError, match="there is no store"):
        opened(strict)
    open_store(strict.store, create=True)
    with pytest.raises(StoreError, match="says it must be"):
        opened(strict)
    made(place)
    assert opened(strict._replace(store=place.store)).sealed is not None


def test_nobody_else_changes_anything(place: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(place)
    monkeypatch.setenv("HOME", str(tmp_path))
    for change in (lambda: add(place, [someone()]), lambda: rotate(place), lambda: made(place)):
        with pytest.raises(StoreLocked):
            change()
