"""Check a proof file of reenact with nothing but `cryptography`: python check_proof.py PROOF TRUSTED_KEY_ID [FILE...]."""

import base64
import json
import sys
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

ENTRY = b"application/vnd.reenact.entry+json"
decode = base64.b64decode


def check(truth, what):
    if not truth:
        sys.exit(f"REFUSED: {what}")


def signed_by(key, signature, data):
    try:
        key.verify(signature, data, *([] if isinstance(key, Ed25519PublicKey) else [ECDSA(SHA256())]))
    except InvalidSignature:
        return False
    return True


def pae(kind, payload):  # DSSE's encoding of what is signed
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def root_of(index, leaf, path):  # RFC 9162, section 2.1.3.2
    first, last, found = index, size - 1, sha256(b"\0" + leaf).digest()
    for step in path:
        if first & 1 or first == last:
            found = sha256(b"\1" + step + found).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = sha256(b"\1" + found + step).digest()
        first, last = first >> 1, last >> 1
    return found if last == 0 else None


def counts(key_id, index):  # a trusted key that was neither retired nor revoked at that place of the log
    return key_id in trusted and key_id in keys and index < until.get(key_id, index + 1)


def entry_of(item):  # a leaf of the log: in the tree, in its place, signed by the key it names
    index, leaf = item["index"], decode(item["entry"])
    check(root_of(index, leaf, map(decode, item["path"])) == root, f"entry {index} is not in the log")
    entry = json.loads(leaf)
    fields = {name: value for name, value in entry.items() if name != "signature"}
    body = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    good = signed_by(keys[entry["key_id"]], decode(entry["signature"]), pae(ENTRY, body))
    check(good and entry["index"] == index, f"entry {index} is not signed by the key it names")
    return entry


def statement_of(item, kind):  # what was signed, by a trusted key that counted when it was logged
    entry, envelope = entry_of(item), json.loads(decode(item["envelope"]))
    payload = decode(envelope["payload"])
    ours = [s for s in envelope["signatures"] if counts(s["keyid"], item["index"])]
    body = pae(envelope["payloadType"].encode(), payload)
    check(ours, f"no key you trust, that counted at entry {item['index']}, signed the {kind}")
    check(all(signed_by(keys[s["keyid"]], decode(s["sig"]), body) for s in ours), "a signature does not match")
    digest = "sha256:" + sha256(payload).hexdigest()
    check((entry["kind"], entry["statement"]) == (kind, digest), f"the entry is not of this {kind}")
    return json.loads(payload), digest


proof = json.load(open(sys.argv[1], encoding="utf-8"))
keys = {sha256(der).hexdigest(): load_der_public_key(der) for der in map(decode, proof["public_keys"])}
trusted, until = {sys.argv[2]}, {}
text, _, lines = proof["checkpoint"].rpartition("\n\n")
origin, size, root = text.split("\n")[0], int(text.split("\n")[1]), decode(text.split("\n")[2])
for item in sorted(proof["key_events"], key=lambda item: item["index"]):
    index, event = item["index"], entry_of(item)
    if event["event"] == "new" and counts(event["key_id"], index):
        trusted.add(event["subject"])  # announced by a key you trust
    elif event["event"] != "new" and (event["key_id"] == event["subject"] or counts(event["key_id"], index)):
        first = min(index, event.get("from_index", index)) + (event["event"] == "retire")
        until[event["subject"]] = min(first, until.get(event["subject"], size))
signatures = [decode(line.rsplit(" ", 1)[1])[4:] for line in lines.splitlines()]
signers = [key for key_id, key in keys.items() if counts(key_id, size - 1)]
note = f"{text}\n".encode()
check(any(signed_by(key, s, note) for key in signers for s in signatures), "nobody you trust signed the log")
run, digest = statement_of(proof["run"], "run")
outputs = {one["digest"]["sha256"]: one["name"] for one in run["subject"]}
print(f"run {run['predicate']['run_id']} is entry {proof['run']['index']} of {size} in {origin}")
for verdict, _ in [statement_of(item, "verdict") for item in proof.get("verdicts", [])]:
    check(verdict["predicate"]["bundle_digest"] == digest, "a verdict is about another record")
    print(f"replayed {verdict['predicate']['judged_at']}: {verdict['predicate']['verdict']}")
for path in sys.argv[3:]:
    name = outputs.get(sha256(open(path, "rb").read()).hexdigest())
    check(name is not None, f"{path} is no output of that run")
    print(f"{path} is its output {name}")
