"""Records of every released schema version are read as what they were. The files are never edited; see README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from reenact import canonical
from reenact.digests import of_bytes
from reenact.errors import SignatureInvalid
from reenact.model import manifest
from reenact.model.bundle import Capture, Determinism, Gap, Hazard
from reenact.model.code import Code
from reenact.model.statement import PAYLOAD_TYPE, load_bundle, load_verdict
from reenact.seal.keys import PublicKey
from reenact.seal.verify import verify
from tests.bundles import artifact, bundle

V1_0 = Path(__file__).parent / "v1.0"


def test_a_bundle_of_version_1_0() -> None:
    expected = replace(
        bundle(),
        parameters={"day": "1"},
        labels={"team": "größe"},
        code=Code(commit="a" * 40, branch="main", dirty=True, uncommitted=("etl.py",)),
        outputs=(
            artifact("out \\xff.csv", b"out", "created"),
            artifact("link", None, "created", type="symlink", target="raw.csv"),
        ),
        determinism=Determinism(hash_seed="0", hazards=(Hazard(code="network", message="m", subject="192.0.2.1:443"),)),
        capture=Capture(method="kernel", tool="reenact", tool_version="0.1.0", gaps=(Gap(code="g", message="m"),)),
        unobserved={"code.repository": "the repository has no remote"},
    )
    assert load_bundle((V1_0 / "bundle.json").read_bytes()) == expected


def test_a_verdict_of_version_1_0() -> None:
    verdict = load_verdict((V1_0 / "verdict.json").read_bytes())
    assert (verdict.verdict, verdict.rung, verdict.unrecorded) == ("diverged", "world", ("/x",))
    assert [(o.name, o.verdict, o.differences) for o in verdict.outputs] == [("out.csv", "different", ("bytes",))]


def test_a_manifest_of_format_1() -> None:
    data = (V1_0 / "manifest.json").read_bytes()
    read = manifest.load(data)
    assert [entry.path for entry in read.entries] == ["/usr/bin/x", "/usr/lib"]
    assert read.entries[0].digest == of_bytes(b"elf")
    # The digest of equal environments stays equal from version to version: else no layer and no object would be shared.
    assert manifest.dump(list(read.entries)) == data


def test_a_signature_of_version_1_0_still_verifies() -> None:
    key = PublicKey.parse((V1_0 / "key.json").read_bytes())
    envelope = (V1_0 / "bundle.dsse.json").read_bytes()
    payload, key_id = verify(envelope, PAYLOAD_TYPE, {key.key_id: key}.get)
    assert payload == (V1_0 / "bundle.json").read_bytes()
    assert key_id == key.key_id
    changed = json.loads(envelope)
    changed["payload"] = changed["payload"][:-8] + changed["payload"][-8:].swapcase()
    with pytest.raises(SignatureInvalid):
        verify(canonical.dumps(changed), PAYLOAD_TYPE, {key.key_id: key}.get)
