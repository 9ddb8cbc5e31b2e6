"""Other programs agree with our signatures: openssl, Node's sigstore library, and openssl on a checkpoint."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reenact.actions.checkpointing import checkpoint
from reenact.actions.keys import new_key
from reenact.actions.sealing import SealWith, seal_bundle
from reenact.ids import RunId
from reenact.seal import note
from reenact.seal.envelope import load, pre_authentication_encoding
from reenact.settings import Settings
from reenact.store.opening import open_store
from tests.bundles import RUN_ID, bundle

KIND = "application/vnd.in-toto+json"
NODE = """
const { dsse, crypto } = require('@sigstore/core');
const fs = require('fs');
const [envelopeFile, keyFile] = process.argv.slice(2);
const envelope = JSON.parse(fs.readFileSync(envelopeFile));
const payload = Buffer.from(envelope.payload, 'base64');
const data = dsse.preAuthEncoding(envelope.payloadType, payload);
const key = crypto.createPublicKey(fs.readFileSync(keyFile, 'utf8'));
const results = envelope.signatures.map((s) => crypto.verify(data, key, Buffer.from(s.sig, 'base64')));
console.log(JSON.stringify(results));
"""


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, dict[str, Path], bytes]:
    """Give settings, the files of the public keys, and an envelope signed by keys of both kinds."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = Settings(root=str(tmp_path), store=str(tmp_path / "store"))
    store = open_store(settings.store, create=True)
    keys = {}
    for algorithm in ("ed25519", "p256"):
        path = tmp_path / f"{algorithm}.pem"
        new_key(settings, str(path), algorithm, None)
        keys[algorithm] = Path(f"{path}.pub")
    how = SealWith(tuple(f"file:{tmp_path / name}.pem" for name in keys))
    seal_bundle(store, bundle(), how)
    envelope = store.runs.envelope(RunId(RUN_ID))
    store.close()
    return settings, keys, envelope


def openssl(*words: Any, cwd: Path) -> int:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("the openssl program is not installed")
    return subprocess.run([program, *map(str, words)], cwd=cwd, capture_output=True, check=False).returncode


def test_openssl_verifies_both_kinds_of_signature(
    signed: tuple[Settings, dict[str, Path], bytes], tmp_path: Path
) -> None:
    _, keys, data = signed
    envelope = load(data, KIND)
    body = pre_authentication_encoding(KIND, envelope.payload)
    for name, content in (("good", body), ("bad", body[:-1] + b"!")):
        (tmp_path / "message").write_bytes(content)
        for (algorithm, public), signature in zip(keys.items(), envelope.signatures, strict=True):
            (tmp_path / "signature").write_bytes(signature.signature)
            if algorithm == "ed25519":
                words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", "message"]
                status = openssl(*words, "-sigfile", "signature", cwd=tmp_path)
            else:
                status = openssl(
                    "dgst", "-sha256", "-verify", public, "-signature", "signature", "message", cwd=tmp_path
                )
            assert (status == 0) == (name == "good"), (name, algorithm)


def test_openssl_verifies_a_checkpoint(signed: tuple[Settings, dict[str, Path], bytes], tmp_path: Path) -> None:
    settings, keys, _ = signed
    from reenact.settings.model import Signing

    signing = Signing(signer=f"file:{tmp_path / 'ed25519.pem'}")
    found = note.load(checkpoint(settings._replace(signing=signing)))
    (tmp_path / "message").write_text(found.text)
    (tmp_path / "signature").write_bytes(found.signatures[0].signature)
    words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys["ed25519"], "-in", "message"]
    assert openssl(*words, "-sigfile", "signature", cwd=tmp_path) == 0
    (tmp_path / "message").write_text(found.text.replace("reenact/", "reenact:"))
    assert openssl(*words, "-sigfile", "signature", cwd=tmp_path) != 0


@pytest.mark.slow
def test_the_library_of_sigstore_verifies_the_envelope(
    signed: tuple[Settings, dict[str, Path], bytes], tmp_path: Path
) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed")
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}')
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "@sigstore/core@3.2.1"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"@sigstore/core cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    _, keys, data = signed
    (folder / "check.js").write_text(NODE)

    def checked(envelope: bytes, key: Path) -> list[bool]:
        (folder / "envelope.json").write_bytes(envelope)
        words = [node, "check.js", "envelope.json", str(key)]
        run = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
        return list(json.loads(run.stdout))

    for place, algorithm in enumerate(keys):
        assert checked(data, keys[algorithm])[place] is True
    document = json.loads(data)
    document["payload"] = base64.b64encode(base64.b64decode(document["payload"]) + b" ").decode()
    assert checked(json.dumps(document).encode(), keys["ed25519"])[0] is False
