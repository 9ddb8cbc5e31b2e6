from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from reenact.errors import SignatureInvalid
from reenact.seal.envelope import Envelope, Signature, dump, load, pre_authentication_encoding

KIND = "application/vnd.in-toto+json"
ENVELOPE = Envelope(payload_type=KIND, payload=b'{"a":1}', signatures=(Signature(key_id="k", signature=b"s" * 64),))


def changed(**fields: Any) -> bytes:
    document = json.loads(dump(ENVELOPE)) | fields
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def test_the_encoding_that_is_signed_is_that_of_the_specification() -> None:
    # The example of the DSSE specification, protocol.md.
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pre_authentication_encoding("", b"") == b"DSSEv1 0  0 "
    assert pre_authentication_encoding("ä", b"\xff ") == b"DSSEv1 2 \xc3\xa4 2 \xff "


def test_an_envelope_comes_back() -> None:
    assert load(dump(ENVELOPE), KIND) == ENVELOPE
    assert changed() == dump(ENVELOPE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        changed(payloadType="text/plain"),
        changed(payloadType=None),
        changed(signatures=[]),
        changed(signatures=None),
        changed(signatures=[{"keyid": "k"}]),
        changed(signatures=["x"]),
        changed(payload=7),
        changed(payload="####"),
        changed(payload=base64.b64encode(b"\0").decode().replace("AA", "AB")),
        changed(more=1),
        dump(ENVELOPE) + b"\n",
        b" " + dump(ENVELOPE),
        dump(ENVELOPE).replace(b'{"payload"', b'{"payload":"e30=","payload"', 1),
        dump(ENVELOPE).replace(b'"keyid":"k"', b'"keyid":"k","keyid":"k"', 1),
    ],
)
def test_what_is_not_exactly_an_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        load(data, KIND)
