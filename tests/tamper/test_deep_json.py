"""JSON nested so deep that a reader runs out of stack is damage like any other: it is told, and keeps nobody from the rest."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reenact.actions.verify import verify
from reenact.capture import npm_packages, packages
from reenact.capture.journal import decode
from reenact.cli.main import main
from reenact.errors import ReenactError
from reenact.model import manifest, statement
from reenact.seal.keys import PublicKey
from reenact.seal.log import Log, entry_key
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from reenact.store.runs import _pack
from tests.bundles import run_id
from tests.records import add_run

DEPTH = 100_000
NESTED = b"[" * DEPTH + b"]" * DEPTH
DEEP = b'{"a":' + NESTED + b"}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.store, create=True)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "read",
    [statement.load_bundle, statement.load_verdict, manifest.load, PublicKey.parse],
    ids=lambda f: f.__qualname__,
)
def test_what_is_signed_is_refused(read: Callable[[bytes], object]) -> None:
    with pytest.raises(ReenactError):
        read(DEEP)


def test_a_journal_is_damaged_from_there_on() -> None:
    body = b'["o",' + NESTED + b"]"
    assert decode(b"%08x %b" % (zlib.crc32(body), body)) is None


def test_a_store_description_is_refused(store: Store) -> None:
    path = Path(store.location, "store.json")
    path.unlink()
    path.write_bytes(DEEP)
    with pytest.raises(ReenactError, match="cannot be read"):
        open_store(store.location, create=False)


def test_a_log_entry_is_named(store: Store) -> None:
    add_run(store)
    store.backend.put_if_absent(entry_key(2), DEEP)
    with pytest.raises(ReenactError, match="log entry 2 cannot be read"):
        list(Log(store.backend).entries())


@pytest.mark.parametrize("where", ["envelope", "payload"])
def test_one_such_record_hides_no_other(
    settings: Settings, store: Store, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add_run(store, 1)
    add_run(store, 2)
    [path] = Path(store.location, "runs", run_id(1)).glob("bundle*")
    plain = DEEP if where == "envelope" else b'{"payload":"' + base64.b64encode(DEEP) + b'"}'
    path.unlink()
    path.write_bytes(_pack(plain))
    assert [run.findings != () for run in verify(settings, (), everything=True)] == [True, False]
    assert main(["runs", "--store", settings.store]) in {0, 4}
    said = capsys.readouterr()
    assert run_id(2).rpartition("-")[2] in said.out
    assert "internal" not in said.err


def test_packages_of_the_job_are_described_as_far_as_they_can_be(tmp_path: Path) -> None:
    package = tmp_path / "node_modules/deep/package.json"
    package.parent.mkdir(parents=True)
    package.write_bytes(DEEP)
    assert [found.source for found in npm_packages.find([str(package)])] in ([], [None])
    site = tmp_path / "lib/python3.11/site-packages"
    info = site / "deep-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "deep.py").write_text("")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deep\nVersion: 1.0\n")
    (info / "RECORD").write_text("deep.py,,\n")
    (info / "direct_url.json").write_bytes(DEEP)
    [found] = packages.distributions([str(site / "deep.py")])
    assert (found.name, found.source, found.editable) == ("deep", None, False)
