"""Records of other versions of the schema, made by hand and properly signed with the store's own key."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reenact.ids import RunId
from reenact.model.statement import load_bundle
from reenact.store.opening import open_store
from tests.e2e.desk import Desk

OTHER_ID = "0199aaaa-0000-7000-8000-000000000001"


def add_version(desk: Desk, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Put beside the latest run one that differs by `change` and by its id; give its signed payload."""
    store = open_store(str(desk.store), create=False)
    envelope = json.loads(store.runs.envelope(store.runs.ids()[-1]))
    bundle = load_bundle(base64.b64decode(envelope["payload"]))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["run_id"] = OTHER_ID
    change(statement["predicate"])
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    kind = envelope["payloadType"].encode()
    # DSSE's pre-authentication encoding.
    signed = b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])
    (pem,) = desk.home.rglob("*.pem")
    key = load_pem_private_key(pem.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(key.sign(signed)).decode()
    data = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    assert store.runs.put_run(RunId(OTHER_ID), data, bundle)
    store.close()
    return payload


def test_a_record_of_a_newer_schema_is_refused_by_name_and_stands_in_nobodys_way(my_desk: Desk) -> None:
    desk = my_desk
    desk.write("in.csv", "b\na\n")
    assert desk.record("sh", "-c", "sort in.csv > out.csv").exit_code == 0
    ours = desk.runs()[0]
    kept = add_version(
        desk, lambda predicate: predicate.update(schema_version="2.0", inputs={"a": "whole other shape"})
    )
    for words in (("show", OTHER_ID), ("replay", OTHER_ID), ("plan", OTHER_ID), ("verify", OTHER_ID)):
        done = desk.reenact(*words)
        text = (done.stdout + done.stderr).decode()
        assert done.exit_code == 4, (words, text)
        assert "2.0" in text
        assert "Traceback" not in text
    listed = desk.reenact("runs", "--json")
    assert ours in listed.stdout.decode()
    assert desk.record("true").exit_code == 0
    done, answer = desk.replay(ours)
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)
    store = open_store(str(desk.store), create=False)
    assert base64.b64decode(json.loads(store.runs.envelope(store.runs.ids()[0]))["payload"]) == kept
    store.close()


def test_a_record_of_a_later_minor_version_is_read_and_its_new_fields_left_alone(my_desk: Desk) -> None:
    desk = my_desk
    desk.write("in.csv", "b\na\n")
    assert desk.record("sh", "-c", "sort in.csv > out.csv").exit_code == 0

    def later(predicate: dict[str, Any]) -> None:
        predicate["schema_version"] = "1.7"
        predicate["mood"] = {"new": ["field"]}
        predicate["launch"]["nice"] = 3
        predicate["inputs"][0]["entry"]["colour"] = "blue"

    add_version(desk, later)
    assert desk.show(OTHER_ID)["schema_version"] == "1.7"
    desk.clear()
    done, answer = desk.replay(OTHER_ID)
    assert (answer["verdict"], done.exit_code) == ("reproduced", 0)
    assert (desk.out / "out.csv").read_bytes() == b"a\nb\n"
