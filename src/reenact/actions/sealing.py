"""Seal bundles and verdicts into a store: sign, put, log, in this order; and check what was sealed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reenact import clock
from reenact.digests import Digest, of_bytes
from reenact.ids import RunId
from reenact.seal import keys
from reenact.seal.keys import KeyFolders

if TYPE_CHECKING:
    from reenact.model.bundle import Bundle
    from reenact.model.verdict import Verdict
    from reenact.seal.keys import SigningKey
    from reenact.store.opening import Store

__all__ = ["check_signature", "fingerprint_key", "logged_statements", "seal_bundle", "seal_verdict", "signing_key"]


def _folders(location: str, store_id: str) -> KeyFolders:
    return KeyFolders(store_id, store_private=Path(location) / "private", environment=os.environ)


def fingerprint_key(location: str, store_id: str) -> bytes:
    """Give the secret that keys the fingerprints of redacted values in a store; see `reenact.seal.keys`."""
    return keys.fingerprint_key(_folders(location, store_id))


def signing_key(store: Store) -> SigningKey:
    """Give this user's signing key for a store, made on first use and made known to the store."""
    return keys.signing_key(_folders(store.location, store.id), store.keys, clock.timestamp())


def seal_bundle(store: Store, bundle: Bundle) -> None:
    """Sign a bundle, put the run, and log it. Durable when it returns.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.model.statement import dump_bundle  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.envelope import seal_payload  # noqa: PLC0415
    from reenact.seal.log import Leaf, Log  # noqa: PLC0415

    key = signing_key(store)
    payload = dump_bundle(bundle)
    run_id = RunId(bundle.run_id)
    store.runs.put_run(run_id, seal_payload(payload, key), bundle)
    leaf = Leaf(
        kind="run", run_id=run_id, statement_sha256=of_bytes(payload), key_id=key.key_id, time=clock.timestamp()
    )
    Log(store.backend).append(leaf)


def seal_verdict(store: Store, verdict: Verdict) -> None:
    """Sign a verdict, put it beside the run it is about, and log it. Durable when it returns.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.model.statement import dump_verdict  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.envelope import seal_payload  # noqa: PLC0415
    from reenact.seal.log import Leaf, Log  # noqa: PLC0415

    key = signing_key(store)
    payload = dump_verdict(verdict)
    run_id, replay_run_id = RunId(verdict.run_id), RunId(verdict.replay_run_id)
    store.runs.put_verdict(run_id, replay_run_id, seal_payload(payload, key))
    leaf = Leaf(
        kind="verdict",
        run_id=run_id,
        replay_run_id=replay_run_id,
        statement_sha256=of_bytes(payload),
        key_id=key.key_id,
        time=clock.timestamp(),
    )
    Log(store.backend).append(leaf)


def check_signature(store: Store, envelope: bytes) -> tuple[bytes, str]:
    """Check an envelope against the public keys the store knows; give its payload and the id of the key.

    Raises:
        SignatureInvalid: it is malformed, or not signed by any of them.
    """
    from reenact.seal.public import load_public_keys  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.verify import verify  # noqa: PLC0415

    verified = verify(envelope, load_public_keys(store.keys))
    return verified.payload, verified.key_ids[0]


def logged_statements(store: Store) -> frozenset[Digest]:
    """Give the digests of all signed payloads that were logged.

    Raises:
        IntegrityError: the log cannot be read.
    """
    from reenact.seal.log import Log  # noqa: PLC0415 - late, like all of sealing

    return frozenset(leaf.statement_sha256 for _, leaf in Log(store.backend).entries())
