"""The keys of a store: list them, make and change one's own, retire and revoke them in the log, and trust them outside it."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from dataclasses import dataclass

from reenact import atomic, clock
from reenact.actions.checkpointing import make_checkpoint
from reenact.actions.logview import LogView
from reenact.actions.opening import opened
from reenact.actions.sealing import (
    SealWith,
    announce,
    append,
    key_places,
    own_folder,
    own_signers,
    seal_with,
    signers,
)
from reenact.actions.trusting import load_trust, trust_path
from reenact.digests import PREFIX, Digest
from reenact.errors import SettingsError, StoreError, UsageError
from reenact.seal.keyring import RETIRE, REVOKE, KeyState
from reenact.seal.log import Entry
from reenact.seal.pem import Algorithm, PemSigner, load_private, load_public, new_private
from reenact.seal.public import PublicKey
from reenact.seal.registry import OWN, own_key_path
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["KeyFacts", "list_keys", "new_key", "retire", "revoke", "rotate", "trust"]

SETTLE_SECONDS = 2.0
"""Between the change of the key file and the retirement of the old key: a recording that has just read it comes to its end."""
_SHORTEST = 4
"""Characters of a key's id that name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """A key as it is listed."""

    key_id: str
    algorithm: str
    state: str
    """``valid``, ``retired`` or ``revoked``."""
    since: int | None
    """The entry that announced it; None where the log does not."""
    until: int | None
    """The entry that retired it, or the first that its revocation covers."""
    reason: str | None
    owner: str | None
    """Whose it is, as the trust file has it."""
    signs_here: bool
    """Whether it signs what this user records."""


def list_keys(settings: Settings, trust_file: str | None = None) -> list[KeyFacts]:
    """List the keys of the store, in the order of their announcement."""
    store = opened(settings)
    view = LogView(store, load_trust(settings, trust_file))
    ours = _ours(store, settings)
    found = sorted(
        view.keyring.states.items(), key=lambda item: (item[1].since is not None, item[1].since or 0, item[0])
    )
    return [_facts(key_id, state, view.keyring.owner(key_id), key_id in ours) for key_id, state in found]


def _facts(key_id: str, state: KeyState, owner: str | None, signs_here: bool) -> KeyFacts:
    word = "revoked" if state.revoked is not None else "retired" if state.retired is not None else "valid"
    return KeyFacts(
        key_id=key_id,
        algorithm=state.public.algorithm,
        state=word,
        since=state.since,
        until=state.revoked if state.revoked is not None else state.retired,
        reason=state.reason,
        owner=owner,
        signs_here=signs_here,
    )


def _ours(store: Store, settings: Settings) -> set[str]:
    """Give the ids of the keys that sign here; none where that cannot be told, and no key is made to tell."""
    how = seal_with(settings)

    def is_there(spec: str) -> bool:
        paths = [own_key_path(folder, store.id, spec) for folder in key_places(store.location)] if spec in OWN else []
        return not paths or any(map(os.path.exists, paths))

    try:
        found = own_signers(store, how._replace(signers=tuple(filter(is_there, how.signers))))
    except (StoreError, SettingsError):
        return set()
    return {signer.public.key_id for signer in found}


def new_key(settings: Settings, path: str, algorithm: Algorithm, passphrase: bytes | None) -> KeyFacts:
    """Make a private key in a file, its public key beside it, and announce it in the log.

    Args:
        settings: Where the store is, and who announces it.
        path: Of the private key; the public one gets ``.pub`` behind it. Neither may be there.
        algorithm: Of the key.
        passphrase: Encrypts the file.

    Raises:
        UsageError: there is a file already.
        StoreError: a file cannot be written, or the log.
    """
    store = opened(settings)
    by = signers(store, seal_with(settings))[0]
    path = os.path.abspath(path)
    pem = new_private(algorithm, passphrase)
    made = load_private(pem, passphrase, clock.timestamp(), path)
    _put_file(path, pem, 0o600)
    _put_file(path + ".pub", _public_pem(made.public), 0o644)
    announce(store, made.public, by)
    return _one(store, settings, made.public.key_id)


def _put_file(path: str, data: bytes, mode: int) -> None:
    try:
        if not atomic.put_if_absent(path, data, mode=mode):
            raise UsageError(f"there is a file {path} already", hint="a key is never replaced: choose another name")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _public_pem(public: PublicKey) -> bytes:
    encoded = base64.b64encode(public.der)
    lines = [encoded[at : at + 64] for at in range(0, len(encoded), 64)]
    return b"-----BEGIN PUBLIC KEY-----\n" + b"\n".join(lines) + b"\n-----END PUBLIC KEY-----\n"


def _one(store: Store, settings: Settings, key_id: str) -> KeyFacts:
    view = LogView(store, load_trust(settings))
    state = view.keyring.states[key_id]
    return _facts(key_id, state, view.keyring.owner(key_id), key_id in _ours(store, settings))


def rotate(settings: Settings, reason: str, passphrase: bytes | None) -> KeyFacts:
    """Replace this user's own key by a new one that the old announces, and retire the old. Safe to repeat after a crash.

    What the old key signed goes on verifying. Its private file stays beside the new one, with its id in its name.

    Raises:
        UsageError: no own key signs here, but a file or a command: make a key and name it in the settings.
        StoreError: a file or the log cannot be written, or the old key cannot be used.
    """
    how = seal_with(settings)
    algorithm = how.signers[0]
    if algorithm not in {"ed25519", "p256"}:
        raise UsageError(
            f"{algorithm} signs here, which is not this user's own key",
            hint="make another key, name it in signing.signer, then: reenact keys retire KEY",
        )
    store = opened(settings)
    old = signers(store, how)[0]
    path = own_key_path(own_folder(store), store.id, algorithm)
    new = _next_key(path + ".next", "ed25519" if algorithm == "ed25519" else "p256", passphrase)
    announce(store, new.public, old)
    try:
        with contextlib.suppress(FileExistsError):  # an earlier attempt was cut off behind this
            os.link(path, f"{path}.{old.public.key_id[:12]}")
        os.rename(path + ".next", path)
        atomic.sync_folder(os.path.dirname(path))
    except OSError as error:
        raise StoreError(f"{path} cannot be replaced: {error.strerror}") from error
    time.sleep(SETTLE_SECONDS)
    append(store, _event(RETIRE, old.public.key_id, old.public.key_id, reason), old)
    make_checkpoint(store, how)
    return _one(store, settings, new.public.key_id)


def _next_key(path: str, algorithm: Algorithm, passphrase: bytes | None) -> PemSigner:
    """Make the next key, or take up one that an earlier attempt left."""
    try:
        atomic.put_if_absent(path, new_private(algorithm, passphrase), mode=0o600)
        with open(path, "rb") as file:
            return load_private(file.read(), passphrase, clock.timestamp(), path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _event(event: str, subject: str, by: str, reason: str, from_index: int | None = None) -> Entry:
    return Entry(
        kind="key",
        event=event,
        subject=subject,
        statement=Digest(PREFIX + subject),
        key_id=by,
        time=clock.timestamp(),
        reason=reason or None,
        from_index=from_index,
    )


def retire(settings: Settings, key: str, reason: str) -> KeyFacts:
    """Say in the log that a key signs no more. What it signed before goes on verifying.

    Raises:
        UsageError: no such key, or it signs here.
        StoreError: the log cannot be written, or the own key cannot be used.
    """
    return _end(settings, key, RETIRE, reason, None)


def revoke(settings: Settings, key: str, reason: str, from_entry: int | None) -> KeyFacts:
    """Say in the log that a key is not to be believed, from now or from an earlier entry on.

    Args:
        settings: Where the store is.
        key: An id or its beginning.
        reason: Why.
        from_entry: The first entry that is not to be believed, as when a theft is found out later.

    Raises:
        UsageError: no such key, or it signs here.
        StoreError: the log cannot be written, or the own key cannot be used.
    """
    return _end(settings, key, REVOKE, reason, from_entry)


def _end(settings: Settings, key: str, event: str, reason: str, from_entry: int | None) -> KeyFacts:
    store = opened(settings)
    how: SealWith = seal_with(settings)
    by = signers(store, how)
    key_id = _find(LogView(store), key)
    if key_id in {signer.public.key_id for signer in by}:
        raise UsageError(f"key {key_id[:12]} signs what is recorded here", hint="replace it first: reenact keys rotate")
    append(store, _event(event, key_id, by[0].public.key_id, reason, from_entry), by[0])
    make_checkpoint(store, how)  # one of before may be signed by a key that does not count any more
    return _one(store, settings, key_id)


def _find(view: LogView, key: str) -> str:
    found = [key_id for key_id in view.keyring.states if key_id.startswith(key)] if len(key) >= _SHORTEST else []
    if len(found) != 1:
        raise UsageError(f"{key!r} names {len(found)} keys", hint="list them with: reenact keys list")
    return found[0]


def trust(settings: Settings, key: str, owner: str, trust_file: str | None = None) -> str:
    """Add a key to the trust file, which is made; give its path.

    Args:
        settings: Where the store and the trust file are.
        key: The id of a key of the store or its beginning, or the file of a public key.
        owner: Whose it is.
        trust_file: Instead of the one of the settings.

    Raises:
        SettingsError: the trust file cannot be used or written.
        UsageError: no such key.
    """
    if os.path.isfile(key):
        with open(key, "rb") as file:
            key_id = load_public(file.read(), key).key_id
    else:
        key_id = _find(LogView(opened(settings)), key)
    path = trust_path(settings, trust_file)
    known = load_trust(settings, trust_file if os.path.exists(path) else None)
    if known is not None and key_id in known.owners:
        raise UsageError(f"{path} names key {key_id[:12]} already, as of {known.owners[key_id]}")
    block = f'[[owner]]\nname = {_toml(owner)}\nkeys = ["{key_id}"]\n'
    try:
        before = b""
        if known is not None:
            with open(path, "rb") as file:
                before = file.read().rstrip(b"\n") + b"\n\n"
        atomic.replace(path, before + block.encode())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _toml(text: str) -> str:
    """Write a text as a TOML basic string (control characters do not belong into a name)."""
    if not text.isprintable() or not text:
        raise UsageError(f"an owner cannot be called {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
