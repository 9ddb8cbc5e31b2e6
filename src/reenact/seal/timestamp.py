"""Time stamps over checkpoints by an authority outside (RFC 3161): that a log was so at a moment its keepers did not choose.

The openssl program makes requests and verifies replies; a library for it would be the only use of that library here. Sending is the
caller's.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Final

from reenact.errors import SignatureInvalid, SignerUnavailable

__all__ = ["MEDIA_TYPES", "check", "request", "time_of"]

MEDIA_TYPES: Final = ("application/timestamp-query", "application/timestamp-reply")
"""Of a request and of a reply over HTTP (RFC 3161 section 3.4)."""
_TIMEOUT_SECONDS: Final = 30.0
_TIME: Final = re.compile(r"^Time stamp: (.+)$", re.MULTILINE)


def request(text: bytes) -> bytes:
    """Make the request for a time stamp over a text; it asks for the authority's certificate, too.

    Raises:
        SignerUnavailable: there is no openssl program.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, "text", text)
        _openssl(folder, ["-query", "-data", "text", "-sha256", "-cert", "-out", "request"])
        with open(os.path.join(folder, "request"), "rb") as file:
            return file.read()


def check(text: bytes, reply: bytes, authority: str) -> None:
    """Verify the reply of an authority.

    Args:
        text: What was stamped.
        reply: A TimeStampResp, DER.
        authority: PEM file of the certificates that are trusted.

    Raises:
        SignatureInvalid: it is not a stamp over that text which leads to those certificates.
        SignerUnavailable: there is no openssl program.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, "text", text)
        _write(folder, "reply", reply)
        _openssl(folder, ["-verify", "-data", "text", "-in", "reply", "-CAfile", os.path.abspath(authority)])


def time_of(reply: bytes) -> str:
    """Give the time a reply says, in openssl's words; it is worth what :func:`check` says.

    Raises:
        SignatureInvalid: it is no reply, or one that refuses.
        SignerUnavailable: there is no openssl program.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, "reply", reply)
        said = _openssl(folder, ["-reply", "-in", "reply", "-text"])
    found = _TIME.search(said)
    if found is None:
        raise SignatureInvalid("the reply holds no time stamp: the authority refused, or it is none")
    return found[1]


def _write(folder: str, name: str, data: bytes) -> None:
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def _openssl(folder: str, words: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["openssl", "ts", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SignerUnavailable(f"time stamps need the openssl program: {error}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise SignatureInvalid(f"the time stamp does not hold: {said[-1] if said else 'openssl says no more'}")
    return done.stdout
