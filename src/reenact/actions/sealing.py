"""Seal bundles and verdicts into a store: sign, put, log, in this order; and check what was sealed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from reenact import clock
from reenact.errors import KeyAbsent, StoreError
from reenact.ids import RunId
from reenact.store.description import is_remote, private_base, temporary

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.model.bundle import Bundle
    from reenact.model.verdict import Verdict
    from reenact.seal.keys import PublicKey, SigningKey
    from reenact.store.opening import Store

__all__ = [
    "check_signature",
    "ensure_logged",
    "fingerprint_key",
    "key_places",
    "log_arrival",
    "logged_statements",
    "prepare_sealing",
    "removed_runs",
    "seal_bundle",
    "seal_tombstone",
    "seal_verdict",
    "signing_key",
]


def fingerprint_key(location: str, store_id: str) -> bytes:
    """Give the secret that keys the fingerprints of redacted values in a store; see `reenact.seal.keys`."""
    from reenact.seal.keys import key_folder, load_fingerprint_key  # noqa: PLC0415 - the one part of it needed early

    return load_fingerprint_key(key_folder(os.environ, _beside(location)), store_id)


def key_places(location: str) -> list[str]:
    """List the folders where this user's private keys for a store may be."""
    from reenact.seal import keys  # noqa: PLC0415 - the one part of it needed early

    return keys.key_places(os.environ, _beside(location))


def _beside(location: str) -> str:
    """Give the folder that holds the keys of users without a configuration folder: the store's, or one of this host's."""
    if not is_remote(location):
        return location
    return os.path.join(private_base(os.environ, "XDG_STATE_HOME", ".local/state") or temporary(), "reenact")


def signing_key(store: Store) -> SigningKey:
    """Give this user's signing key for a store, made on first use and made known to the store."""
    from reenact.seal.keys import key_folder, load_signing_key  # noqa: PLC0415 - cryptography comes with it

    key = load_signing_key(key_folder(os.environ, _beside(store.location)), store.id)
    if not store.keys.exists(key.public.key_id):
        store.keys.put(key.public.key_id, key.public.record())
    return key


def prepare_sealing(store: Store) -> None:
    """Import what sealing needs, and make the key: 30 ms that are better spent while a job runs than after it."""
    from reenact.model import statement  # noqa: PLC0415 - see above
    from reenact.seal import log, verify  # noqa: PLC0415 - same

    _ = statement, log, verify
    with contextlib.suppress(StoreError):  # sealing will meet it, too, and say so
        signing_key(store)


def seal_bundle(store: Store, bundle: Bundle) -> None:
    """Sign a bundle, put the run, and log it. Durable when it returns.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.model.statement import PAYLOAD_TYPE, dump_bundle  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry, Log  # noqa: PLC0415
    from reenact.seal.verify import seal  # noqa: PLC0415

    key = signing_key(store)
    payload = dump_bundle(bundle)
    store.runs.put_run(RunId(bundle.run_id), seal(payload, PAYLOAD_TYPE, key), bundle)
    entry = Entry(
        kind="run",
        run_id=bundle.run_id,
        statement=of_bytes(payload),
        key_id=key.public.key_id,
        time=clock.timestamp(),
    )
    Log(store.backend).append(entry, key.sign)


def seal_verdict(store: Store, verdict: Verdict) -> None:
    """Sign a verdict, put it beside the run it is about, and log it. Durable when it returns.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.model.statement import PAYLOAD_TYPE, dump_verdict  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry, Log  # noqa: PLC0415
    from reenact.seal.verify import seal  # noqa: PLC0415

    key = signing_key(store)
    payload = dump_verdict(verdict)
    store.runs.put_verdict(RunId(verdict.run_id), RunId(verdict.replay_run_id), seal(payload, PAYLOAD_TYPE, key))
    entry = Entry(
        kind="verdict",
        run_id=verdict.run_id,
        replay_run_id=verdict.replay_run_id,
        statement=of_bytes(payload),
        key_id=key.public.key_id,
        time=clock.timestamp(),
    )
    Log(store.backend).append(entry, key.sign)


def seal_tombstone(store: Store, run_id: RunId, statement: Digest, reason: str) -> int:
    """Log that a run is removed; give the entry's index. Durable when it returns, so call it before anything is deleted.

    Args:
        store: Where the run is.
        run_id: The run.
        statement: Digest of the signed payload of its bundle.
        reason: Why, in words.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.seal.log import Entry, Log  # noqa: PLC0415 - late, like all of sealing

    key = signing_key(store)
    entry = Entry(
        kind="tombstone",
        run_id=run_id,
        statement=statement,
        key_id=key.public.key_id,
        time=clock.timestamp(),
        reason=reason,
    )
    return Log(store.backend).append(entry, key.sign)


def ensure_logged(store: Store, run_id: RunId) -> None:
    """Log a run that is in the store and not in the log: its recording was killed between the two.

    Raises:
        IntegrityError: the record is not what was signed, or the log cannot be read.
        StoreError: the log cannot be written.
    """
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry, Log  # noqa: PLC0415 - same

    payload, _ = check_signature(store, store.runs.envelope(run_id))
    if of_bytes(payload) not in logged_statements(store):
        key = signing_key(store)
        entry = Entry(
            kind="run",
            run_id=run_id,
            statement=of_bytes(payload),
            key_id=key.public.key_id,
            time=clock.timestamp(),
        )
        Log(store.backend).append(entry, key.sign)


def log_arrival(store: Store, run_id: RunId, statement: Digest, replay_run_id: RunId | None = None) -> None:
    """Log a bundle, or the verdict of a replay, that was signed for another store and arrived in this one.

    Raises:
        StoreError: the log cannot be written, or the key cannot be used.
    """
    from reenact.seal.log import Entry, Log  # noqa: PLC0415 - late, like all of sealing

    key = signing_key(store)
    entry = Entry(
        kind="run" if replay_run_id is None else "verdict",
        run_id=run_id,
        replay_run_id=replay_run_id,
        statement=statement,
        key_id=key.public.key_id,
        time=clock.timestamp(),
    )
    Log(store.backend).append(entry, key.sign)


def check_signature(store: Store, envelope: bytes) -> tuple[bytes, str]:
    """Check an envelope against the public keys the store knows; give its payload and the id of the key.

    Raises:
        SignatureInvalid: it is malformed, or not signed by any of them.
    """
    from reenact.model.statement import PAYLOAD_TYPE  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.keys import PublicKey as Key  # noqa: PLC0415
    from reenact.seal.verify import verify  # noqa: PLC0415

    def find(key_id: str) -> PublicKey | None:
        try:
            return Key.parse(store.keys.get(key_id))
        except (KeyAbsent, ValueError):  # ValueError: what the envelope names cannot be the id of a key
            return None

    return verify(envelope, PAYLOAD_TYPE, find)


def removed_runs(store: Store) -> dict[str, str]:
    """Give the runs that were removed from a store on purpose, each with the reason.

    Raises:
        IntegrityError: the log cannot be read.
    """
    from reenact.seal.log import Log  # noqa: PLC0415 - late, like all of sealing

    return {entry.run_id: entry.reason or "" for entry in Log(store.backend).entries() if entry.kind == "tombstone"}


def logged_statements(store: Store) -> frozenset[Digest]:
    """Give the digests of all signed payloads that were logged.

    Raises:
        IntegrityError: the log cannot be read.
    """
    from reenact.seal.log import Log  # noqa: PLC0415 - late, like all of sealing

    return frozenset(entry.statement for entry in Log(store.backend).entries() if entry.kind in {"run", "verdict"})
