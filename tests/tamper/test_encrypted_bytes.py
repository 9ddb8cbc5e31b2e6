"""Every flipped bit in every byte of every file of an encrypted store is refused, or makes no difference; none gives wrong bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reenact.actions.checkpointing import make_checkpoint
from reenact.actions.sealing import SealWith
from reenact.actions.verify import verify
from reenact.errors import IntegrityError, ReenactError, StoreError, ValueDamaged
from reenact.settings import Settings
from reenact.store.backends.encrypted import EncryptedBackend
from reenact.store.backends.memory import MemoryBackend
from reenact.store.crypt.identities import own_recipient
from reenact.store.description import DESCRIPTION
from reenact.store.interface import Backend
from reenact.store.opening import Store, open_store
from reenact.store.pack_writer import SMALL_BYTES
from tests.records import add_run, add_verdict

pytest.importorskip("pyrage")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "REENACT_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Give a store with a run, a verdict, and an object in a file of its own."""
    opened = open_store(settings.store, create=True, encrypt_to=[own_recipient(os.environ)])
    made = add_run(opened, 1)
    add_verdict(opened, made, 2)
    make_checkpoint(opened, SealWith())
    writer = opened.writer(opened.runs.ids()[0])
    writer.add_bytes(bytes(SMALL_BYTES))
    writer.commit()
    yield opened
    opened.close()


def files(store: Store) -> list[Path]:
    root = Path(store.location)
    found = [path for path in root.rglob("*") if path.is_file() and ".tmp-" not in path.name]
    assert len(found) > 12
    return sorted(found)


def sealed(store: Store) -> EncryptedBackend:
    assert store.sealed is not None
    return store.sealed


class _Shown(MemoryBackend):
    """Values that a test changes as it likes."""

    def show(self, key: str, data: bytes) -> None:
        self._values[key] = data


def everything(backend: Backend) -> dict[str, bytes]:
    return {key: backend.get(key) for key in backend.list("")}


def test_every_byte_of_every_value(store: Store) -> None:
    """Read whole, and in ranges by one that knows no header yet."""
    inner = _Shown()
    for key, data in everything(sealed(store).inner).items():
        inner.put_if_absent(key, data)
    backend = EncryptedBackend(inner, sealed(store).ring, "/nowhere")
    values = {
        key: data for key, data in everything(backend).items() if not key.startswith(("encryption/", DESCRIPTION))
    }
    assert {key.partition("/")[0] for key in values} >= {"objects", "packs", "runs", "log", "keys"}
    flips = 0
    for key, content in values.items():
        hidden = backend._hide(key)
        whole = inner.get(hidden)
        for place in range(len(whole)):
            inner.show(hidden, whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
            flips += 1
            with pytest.raises(ValueDamaged):
                backend.get(key)
            fresh = EncryptedBackend(inner, sealed(store).ring, "/nowhere")
            try:
                # A range does not see what lies in other chunks; what it gives is right.
                assert fresh.get_range(key, 3, 50) == content[3:53]
            except ValueDamaged:
                continue
            assert place >= 88 + (64 << 10) + 16 or len(content) <= 3, (key, place)
        inner.show(hidden, whole)
    assert flips > 8000
    assert everything(backend) | values == everything(backend)


def test_every_byte_of_the_description_and_the_keys(store: Store, settings: Settings) -> None:
    plain = [Path(store.location, DESCRIPTION), *Path(store.location, "encryption").rglob("*.json")]
    assert len(plain) == 2
    before = everything(store.backend)
    refused = 0
    for path in plain:
        whole = path.read_bytes()
        path.chmod(0o600)
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
            try:
                again = open_store(settings.store, create=False)
            except (StoreError, IntegrityError):
                refused += 1
                continue
            # A field's name that nobody reads, or white space.
            assert again.id == store.id
            assert again.sealed is not None
            assert again.backend.get(f"runs/{again.runs.ids()[0]}/bundle.dsse.json.zst") in before.values()
        path.write_bytes(whole)
    assert refused > 500


@contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    """Change a file, or delete it, for a while."""
    whole = path.read_bytes()
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    yield
    path.unlink(missing_ok=True)
    path.write_bytes(whole)


def found(settings: Settings) -> str:
    """Verify as another host would; give what is said."""
    for path in Path(os.environ["HOME"], ".cache").rglob("*.sqlite*"):
        path.unlink()
    try:
        runs = verify(settings, (), everything=True)
    except ReenactError as error:
        assert error.exit_code in {1, 4}, error  # noqa: PT017 - what is refused at once
        return f"refused: {error}"
    return "; ".join(f"{finding.subject}: {finding.message}" for run in runs for finding in run.findings)


def test_every_changed_file_is_found_by_verify(store: Store, settings: Settings) -> None:
    assert found(settings) == ""
    silent = []
    for path in files(store):
        data = path.read_bytes()
        middle = len(data) // 2
        with changed(path, data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]):
            if not found(settings):
                silent.append(path.name)
        with changed(path, data[: len(data) - 1]):
            assert found(settings) or path.name in silent or path.name in {DESCRIPTION, "000001.json"}  # a newline
    # What no run refers to, and the file that keeps git away.
    loose = {
        sealed(store)._hide(key).rpartition("/")[2]
        for key in store.backend.list("")
        if key.startswith(("objects/", "writers/"))
    }
    assert set(silent) <= {".gitignore", *loose}
    for path in files(store):
        key = sealed(store)._reveal(str(path.relative_to(store.location))) or ""
        derived = key.startswith("log/") and not key.startswith("log/entries/")
        derived |= "/summaries/" in key  # follows from the verdict; a plain store does not miss it either
        with changed(path, None):
            assert found(settings) or derived or path.name in silent, key
    assert found(settings) == ""


def test_files_that_change_places_are_found(store: Store, settings: Settings) -> None:
    """Each file under the name of another of its kind: what is read is never the other's content."""
    before = everything(store.backend)
    values = [
        path for path in files(store) if "encryption" not in path.parts and path.name not in {DESCRIPTION, ".gitignore"}
    ]
    for one, two in zip(values, values[1:] + values[:1], strict=True):
        with changed(one, two.read_bytes()):
            again = open_store(settings.store, create=False)
            key = sealed(again)._reveal(str(one.relative_to(store.location)))
            assert key is not None
            with pytest.raises(ValueDamaged):
                again.backend.get(key)
    assert everything(store.backend) == before
