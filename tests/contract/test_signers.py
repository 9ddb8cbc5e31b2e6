from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reenact.seal.interface import Signer
from reenact.seal.keys import load_signing_key
from reenact.seal.pem import load_private, new_private
from reenact.seal.registry import SignerPlace, signers
from reenact.testing.signer import SignerContract

PROGRAM = """
import sys
from reenact.seal.pem import load_private
key = load_private(open(sys.argv[1], "rb").read(), None, "", "key")
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))
"""


class TestOwnKey(SignerContract):
    @pytest.fixture
    def signer(self, tmp_path: Path) -> Signer:
        return load_signing_key(tmp_path, "store")


class TestEncryptedOwnKey(SignerContract):
    @pytest.fixture
    def signer(self, tmp_path: Path) -> Signer:
        path = tmp_path / "store.pem"
        path.write_bytes(new_private("ed25519", b"secret"))
        path.chmod(0o600)
        return load_signing_key(tmp_path, "store", b"secret")


@pytest.mark.parametrize("signer", ["ed25519", "p256"], indirect=True)
class TestFile(SignerContract):
    @pytest.fixture
    def signer(self, request: pytest.FixtureRequest) -> Signer:
        return load_private(new_private(request.param, None), None, "", "test")


class TestCommand(SignerContract):
    @pytest.fixture
    def signer(self, tmp_path: Path) -> Signer:
        pem = new_private("ed25519", None)
        (tmp_path / "key.pem").write_bytes(pem)
        (tmp_path / "sign.py").write_text(PROGRAM)
        (tmp_path / "key.der").write_bytes(load_private(pem, None, "", "").public.der)
        command = f"cmd:{sys.executable} {tmp_path / 'sign.py'} {tmp_path / 'key.pem'}"
        place = SignerPlace(lambda: str(tmp_path), "store", str(tmp_path), ("key.der",), 30.0, {})
        [found] = signers((command,), place)
        return found
