"""A signer that is another program: for keys in a device, a key service or a vault, which this program never sees.

The program gets the bytes on its standard input and gives the signature on its standard output: as raw bytes, or in base64.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import shlex
import subprocess

from reenact.errors import SignatureInvalid, SignerUnavailable
from reenact.seal.public import PublicKey

__all__ = ["CommandSigner"]

_SAID_CHARACTERS = 300
"""How much of a failing program's message is repeated."""


class CommandSigner:
    """Signs by running a program; see :class:`reenact.seal.interface.Signer`."""

    def __init__(self, command: str, public: PublicKey, timeout_seconds: float) -> None:
        """Describe it; nothing is run yet.

        Args:
            command: Words as a shell would split them; no shell is involved.
            public: The key its signatures must verify with.
            timeout_seconds: How long one signature may take.
        """
        self.public = public
        self._command = command
        self._timeout = timeout_seconds

    def sign(self, data: bytes) -> bytes:
        """See :class:`reenact.seal.interface.Signer`. What it gives is verified: a wrong key must not make a record."""
        found = self._run(data)
        candidates = [found]
        with contextlib.suppress(ValueError, binascii.Error):
            candidates.append(base64.b64decode(found.strip(), validate=True))
        for candidate in candidates:
            with contextlib.suppress(SignatureInvalid):
                if self.public.verify(candidate, data):
                    return candidate
        raise SignerUnavailable(
            f"what the signing command gave is no signature by key {self.public.key_id[:12]}: {len(found)} bytes",
            hint="compare signing.public_keys with the key the command signs with",
        )

    def _run(self, data: bytes) -> bytes:
        try:
            words = shlex.split(self._command)
            done = subprocess.run(words, input=data, capture_output=True, timeout=self._timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise SignerUnavailable(f"the signing command took more than {self._timeout:g} seconds") from error
        except (OSError, ValueError, IndexError) as error:
            raise SignerUnavailable(f"the signing command cannot be run: {error}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-_SAID_CHARACTERS:]
            raise SignerUnavailable(f"the signing command ended with status {done.returncode}: {said or 'no message'}")
        return done.stdout
