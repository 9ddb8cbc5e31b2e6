"""Time stamps by an authority of the openssl program, over HTTP on this machine."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reenact.actions.checkpointing import stamp
from reenact.actions.sealing import signers
from reenact.actions.verify import verify
from reenact.errors import ReenactError
from reenact.seal.checkpoint import Checkpoints
from reenact.settings import Settings
from reenact.store.opening import Store, open_store
from tests.records import add_run

CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.crt
signer_key = tsa.key
certs = ca.crt
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[ext]
extendedKeyUsage = critical,timeStamping
"""


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Give the address of an authority, and the file of its certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(CONFIGURATION)
    (folder / "serial").write_text("01\n")
    openssl(
        folder, "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca"
    )
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa")
    words = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "tsa.cnf", "-extensions", "ext"]
    openssl(folder, "x509", "-req", "-in", "tsa.csr", *words, "-out", "tsa.crt", "-days", "30")

    class Authority(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl(folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"nonsense" if self.path == "/bad" else (folder / "reply").read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Authority)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder / "ca.crt"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Settings(root=str(tmp_path), store=str(tmp_path / "store"))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = open_store(settings.store, create=True)
    add_run(opened, 1)
    yield opened
    opened.close()


def codes(settings: Settings) -> set[str]:
    return {finding.code for run in verify(settings, (), everything=True) for finding in run.findings}


def test_a_stamp_that_is_demanded(
    settings: Settings, store: Store, authority: tuple[str, Path], tmp_path: Path
) -> None:
    address, certificate = authority
    shutil.copy(certificate, tmp_path / "tsa.pem")
    trust = f'timestamp_ca = "tsa.pem"\n[[owner]]\nname = "team"\nkeys = ["{signers(store)[0].public.key_id}"]\n'
    (tmp_path / "reenact.trust.toml").write_text(trust)
    assert codes(settings) == {"timestamp-missing"}
    size, time = stamp(settings, address)
    assert (size, time.endswith("GMT")) == (2, True)
    assert codes(settings) == set()
    add_run(store, 2)
    assert codes(settings) == set()  # the log has grown since
    [(size, reply)] = Checkpoints(store.backend).stamps()
    Checkpoints(store.backend).put_stamp(3, reply)
    assert codes(settings) == {"timestamp-invalid"}
    for path in Path(store.location, "log/timestamps").glob("*2/*"):
        path.unlink()
    assert codes(settings) == {"timestamp-invalid", "timestamp-missing"}
    openssl(
        tmp_path, "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "k", "-out", "tsa.pem", "-subj", "/CN=x"
    )
    Checkpoints(store.backend).put_stamp(2, reply)
    assert "timestamp-missing" in codes(settings)


def test_what_is_no_stamp_is_not_kept(settings: Settings, store: Store, authority: tuple[str, Path]) -> None:
    address, _ = authority
    for wrong in (f"{address}/bad", "http://127.0.0.1:9/", "ftp://example.com"):
        with pytest.raises(ReenactError):
            stamp(settings, wrong)
    assert Checkpoints(store.backend).stamps() == []
