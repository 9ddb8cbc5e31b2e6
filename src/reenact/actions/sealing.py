"""Seal bundles, verdicts and tombstones into a store: sign, put, log, in this order; and check what was sealed."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from reenact import atomic, clock
from reenact.errors import KeyAbsent, SignatureInvalid, SignerUnavailable, StoreError, UsageError
from reenact.ids import RunId
from reenact.store.description import is_remote, read_description, temporary
from reenact.store.own_folders import private_base

if TYPE_CHECKING:
    from reenact.digests import Digest
    from reenact.model.bundle import Bundle
    from reenact.model.verdict import Verdict
    from reenact.seal.interface import Signer
    from reenact.seal.log import Entry
    from reenact.seal.public import PublicKey
    from reenact.settings import Settings
    from reenact.store.opening import Store

__all__ = [
    "SealWith",
    "announce",
    "append",
    "check_signature",
    "ensure_logged",
    "fingerprint_key",
    "key_places",
    "log_arrival",
    "log_record",
    "logged_statements",
    "own_folder",
    "own_signers",
    "prepare_sealing",
    "put_sealed",
    "removed_runs",
    "seal_bundle",
    "seal_payload",
    "seal_tombstone",
    "seal_verdict",
    "seal_with",
    "signers",
    "signing_key",
]

_REASON_CHARACTERS = 4000
"""What an entry has room for, in any writing."""
_SIZE = "log-size"
"""In the local cache: spares the questions that finding the log's end takes, each a round trip where the store is remote."""
_LAST = 64
"""How far back an announcement is looked for."""


class SealWith(NamedTuple):
    """Who signs; see the settings of the same names."""

    signers: tuple[str, ...] = ("ed25519",)
    public_keys: tuple[str, ...] = ()
    timeout_seconds: float = 30.0
    root: str = "/"
    """What relative paths in them are relative to."""


def seal_with(settings: Settings) -> SealWith:
    """Take from the settings who signs."""
    signing = settings.signing
    return SealWith((signing.signer, *signing.also), signing.public_keys, signing.timeout_seconds, settings.root)


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
        described = read_description(location, os.environ)
        if described is None or described.encryption is None:
            return location
    return os.path.join(private_base(os.environ, "XDG_STATE_HOME", ".local/state") or temporary(), "reenact")


def signers(store: Store, how: SealWith = SealWith()) -> list[Signer]:  # noqa: B008 - immutable
    """Give those who sign for a store, their keys made on first use and made known to the store and its log.

    Raises:
        SignerUnavailable: one cannot be used now.
        StoreError: a key cannot be read or made, or the store cannot be written.
        SettingsError: the settings name no signer.
    """
    found = own_signers(store, how)
    for signer in found:
        announce(store, signer.public, signer)
    return found


def own_signers(store: Store, how: SealWith) -> list[Signer]:
    """Give those who sign for a store without telling the store of them; otherwise as :func:`signers`."""
    from reenact.seal import registry  # noqa: PLC0415 - late, like all of sealing

    folder = cache(lambda: own_folder(store))
    place = registry.SignerPlace(folder, store.id, how.root, how.public_keys, how.timeout_seconds, os.environ)
    return registry.signers(how.signers, place)


def own_folder(store: Store) -> str:
    """Give the folder of this user's private keys, making it."""
    from reenact.seal.keys import key_folder  # noqa: PLC0415 - late, like all of sealing

    return key_folder(os.environ, _beside(store.location))


def announce(store: Store, public: PublicKey, by: Signer) -> None:
    """Make a key known to a store, unless it is: first to the log, then by its record, which so is never without an entry."""
    if store.keys.exists(public.key_id):
        return
    import base64  # noqa: PLC0415 - once in a key's life

    from reenact.digests import PREFIX, Digest  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry  # noqa: PLC0415 - same

    entry = Entry(
        kind="key",
        event="new",
        subject=public.key_id,
        public_key=base64.b64encode(public.der).decode("ascii"),
        statement=Digest(PREFIX + public.key_id),
        key_id=by.public.key_id,
        time=clock.timestamp(),
    )
    index = _announced(store, public.key_id)
    if index is None:
        append(store, entry, by)
    else:
        _put_copy(store, index)
    store.keys.put(public.key_id, public.record())


def _announced(store: Store, key_id: str) -> int | None:
    """Find the entry of an announcement that was cut off before its record was put: it is among the last of the log."""
    from reenact.seal.log import Log  # noqa: PLC0415 - once in a key's life

    log = Log(store.backend)
    size = log.size()
    needle = f'"subject":"{key_id}"'.encode()
    return next((i for i in range(size - 1, max(size - _LAST, 0) - 1, -1) if needle in log.leaf(i)), None)


def _put_copy(store: Store, index: int) -> None:
    """Keep a copy of an entry about a key where it is found without reading the log."""
    from reenact.seal.log import Log  # noqa: PLC0415 - once in a key's life

    store.keys.put_event(index, Log(store.backend).leaf(index))


def signing_key(store: Store, how: SealWith = SealWith()) -> Signer:  # noqa: B008 - immutable
    """Give the first of those who sign for a store: it signs entries and checkpoints. See :func:`signers`."""
    return signers(store, how)[0]


def append(store: Store, entry: Entry, by: Signer) -> int:
    """Append an entry to the log; give its index. Durable when it returns. Now and then a tile is full and is kept, too."""
    from reenact.seal.log import Log  # noqa: PLC0415 - late, like all of sealing

    hint = os.path.join(store.cache, _SIZE)
    index = Log(store.backend, known=_thought(hint)).append(entry, by.sign)
    with contextlib.suppress(OSError):
        atomic.replace(hint, b"%d" % (index + 1), durable=False)
    if entry.kind == "key":
        _put_copy(store, index)
    if (index + 1) % 256 == 0:  # what TILE_LEAVES is; most recordings need not import it
        from reenact.seal.tiles import publish  # noqa: PLC0415 - one time in 256

        publish(store.backend, index + 1)
    return index


def _thought(path: str) -> int:
    """Read how many entries the log had when this host last appended; 0 where that is not known."""
    try:
        with open(path, "rb") as file:
            return int(file.read(20))
    except (OSError, ValueError):
        return 0


def prepare_sealing(store: Store, how: SealWith = SealWith()) -> None:  # noqa: B008 - immutable
    """Import what sealing needs, and make the key: 30 ms that are better spent while a job runs than after it."""
    from reenact.model import statement  # noqa: PLC0415 - see above
    from reenact.seal import log, verify  # noqa: PLC0415 - same

    _ = statement, log, verify
    with contextlib.suppress(StoreError, UsageError):  # sealing will meet it, too, and say so
        signing_key(store, how)


def seal_payload(payload: bytes, by: list[Signer]) -> bytes:
    """Sign a statement; give its envelope."""
    from reenact.model.statement import PAYLOAD_TYPE  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.verify import seal  # noqa: PLC0415 - same

    return seal(payload, PAYLOAD_TYPE, *by)


def seal_bundle(
    store: Store,
    bundle: Bundle,
    how: SealWith = SealWith(),  # noqa: B008 - immutable
    *,
    keep_unsealed: bool = True,
) -> None:
    """Sign a bundle, put the run, and log it. Durable when it returns.

    Where a signer cannot be used now, the statement is kept on this host, and the next command that opens the store seals it:
    a key service that is down loses no run.

    Args:
        store: Where to put it.
        bundle: What was recorded.
        how: Who signs.
        keep_unsealed: Whether to do so; else the error is raised.

    Raises:
        StoreError: the store cannot be written, or a key cannot be read.
        SignerUnavailable: only when it is not to be kept.
    """
    from reenact.model.statement import dump_bundle  # noqa: PLC0415 - late, like all of sealing

    payload = dump_bundle(bundle)
    try:
        by = signers(store, how)
        put_sealed(store, bundle, payload, seal_payload(payload, by), by[0])
    except (SignerUnavailable, UsageError) as error:
        if not keep_unsealed:
            raise
        from reenact.actions.unsealed import keep  # noqa: PLC0415 - rare

        keep(store, RunId(bundle.run_id), payload, str(error))


def put_sealed(store: Store, bundle: Bundle, payload: bytes, envelope: bytes, by: Signer) -> None:
    """Put a signed run, and log it."""
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry  # noqa: PLC0415 - same

    store.runs.put_run(RunId(bundle.run_id), envelope, bundle)
    entry = Entry(
        kind="run",
        run_id=bundle.run_id,
        statement=of_bytes(payload),
        key_id=by.public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, by)


def seal_verdict(store: Store, verdict: Verdict, how: SealWith = SealWith()) -> None:  # noqa: B008 - immutable
    """Sign a verdict and its summary, put them beside the run they are about, and log it. Durable when it returns.

    A varied verdict has no summary: tools that know nothing of ours would take it for one about the run itself.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.model.statement import dump_verdict  # noqa: PLC0415 - same
    from reenact.model.summary_attestation import dump_summary  # noqa: PLC0415 - same
    from reenact.seal.log import Entry  # noqa: PLC0415 - same

    by = signers(store, how)
    payload = dump_verdict(verdict)
    run_id, replay_run_id = RunId(verdict.run_id), RunId(verdict.replay_run_id)
    if not verdict.variations:
        store.runs.put_summary(run_id, replay_run_id, seal_payload(dump_summary(verdict), by))
    store.runs.put_verdict(run_id, replay_run_id, seal_payload(payload, by))
    entry = Entry(
        kind="verdict",
        run_id=verdict.run_id,
        replay_run_id=verdict.replay_run_id,
        statement=of_bytes(payload),
        key_id=by[0].public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, by[0])


def log_record(
    store: Store,
    kind: str,
    run_id: RunId,
    statement: Digest,
    reason: str,
    how: SealWith = SealWith(),  # noqa: B008 - immutable
    time: str | None = None,
) -> int:
    """Log that a run is held, released or removed; give the entry's index. Durable when it returns.

    Args:
        store: Where the run is.
        kind: ``hold``, ``release`` or ``tombstone``.
        run_id: The run.
        statement: Digest of the bytes that say so; for a tombstone that of the signed payload that goes.
        reason: Why, in words; what is too long for an entry is cut.
        how: Who signs.
        time: When; None for now.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
    """
    from reenact.seal.log import Entry  # noqa: PLC0415 - late, like all of sealing

    key = signing_key(store, how)
    entry = Entry(
        kind=kind,
        run_id=run_id,
        statement=statement,
        key_id=key.public.key_id,
        time=time or clock.timestamp(),
        reason=reason[:_REASON_CHARACTERS],
    )
    return append(store, entry, key)


def seal_tombstone(
    store: Store,
    run_id: RunId,
    statement: Digest,
    reason: str,
    how: SealWith = SealWith(),  # noqa: B008 - immutable
    time: str | None = None,
) -> int:
    """Log that a run is removed; give the entry's index. Durable when it returns, so call it before anything is deleted.

    See :func:`log_record`.
    """
    return log_record(store, "tombstone", run_id, statement, reason, how, time)


def ensure_logged(store: Store, run_id: RunId, how: SealWith = SealWith()) -> None:  # noqa: B008 - immutable
    """Log a run that is in the store and not in the log: its recording was killed between the two.

    Raises:
        IntegrityError: the record is not what was signed, or the log cannot be read.
        StoreError: the log cannot be written.
    """
    from reenact.digests import of_bytes  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.log import Entry  # noqa: PLC0415 - same

    payload, _ = check_signature(store, store.runs.envelope(run_id))
    if of_bytes(payload) not in logged_statements(store):
        key = signing_key(store, how)
        entry = Entry(
            kind="run",
            run_id=run_id,
            statement=of_bytes(payload),
            key_id=key.public.key_id,
            time=clock.timestamp(),
        )
        append(store, entry, key)


def log_arrival(
    store: Store,
    run_id: RunId,
    statement: Digest,
    replay_run_id: RunId | None = None,
    how: SealWith = SealWith(),  # noqa: B008 - immutable
) -> None:
    """Log a bundle, or the verdict of a replay, that was signed for another store and arrived in this one.

    Raises:
        StoreError: the log cannot be written, or the key cannot be used.
    """
    from reenact.seal.log import Entry  # noqa: PLC0415 - late, like all of sealing

    key = signing_key(store, how)
    entry = Entry(
        kind="run" if replay_run_id is None else "verdict",
        run_id=run_id,
        replay_run_id=replay_run_id,
        statement=statement,
        key_id=key.public.key_id,
        time=clock.timestamp(),
    )
    append(store, entry, key)


def check_signature(store: Store, envelope: bytes) -> tuple[bytes, str]:
    """Check an envelope against the public keys the store knows; give its payload and the id of the key.

    Raises:
        SignatureInvalid: it is malformed, not signed by any of them, or only by one that was retired or revoked before.
    """
    from reenact.model.statement import PAYLOAD_TYPE  # noqa: PLC0415 - late, like all of sealing
    from reenact.seal.keyring import RETIRE, REVOKE  # noqa: PLC0415 - same
    from reenact.seal.public import PublicKey as Key  # noqa: PLC0415
    from reenact.seal.verify import verify  # noqa: PLC0415

    def find(key_id: str) -> PublicKey | None:
        try:
            return Key.parse(store.keys.get(key_id))
        except (KeyAbsent, ValueError):  # ValueError: what the envelope names cannot be the id of a key
            return None

    payload, key_id = verify(envelope, PAYLOAD_TYPE, find)
    endings = tuple(f'"event":"{event}"'.encode() for event in (RETIRE, REVOKE))
    if any(ending in entry for _, entry in store.keys.events() for ending in endings):
        from reenact.actions.logview import LogView  # noqa: PLC0415 - only where some key has come to its end

        flaws = LogView(store).ended(envelope, payload)
        if flaws:
            raise SignatureInvalid(flaws[0].message)
    return payload, key_id


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
