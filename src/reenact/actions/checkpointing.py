"""Sign the state of a log, and cosign it as a witness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reenact import clock
from reenact.actions.logview import LogView
from reenact.actions.opening import opened
from reenact.actions.sealing import SealWith, seal_with, signing_key
from reenact.actions.trusting import read_pin
from reenact.errors import IntegrityError, StoreError, UsageError
from reenact.seal import note as notes
from reenact.seal import timestamp
from reenact.seal.checkpoint import Checkpoint, Checkpoints, origin_of
from reenact.seal.interface import Signer
from reenact.seal.keys import read_secret
from reenact.seal.log import Log
from reenact.seal.note import is_key_name
from reenact.seal.pem import load_private
from reenact.seal.tiles import Tree, publish
from reenact.settings import Settings
from reenact.store.opening import Store

__all__ = ["LoggedEntry", "checkpoint", "cosign", "covering", "log_entries", "make_checkpoint", "stamp"]

_TIMEOUT_SECONDS: Final = 30.0
_LARGEST_REPLY_BYTES: Final = 1 << 20
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEntry:
    """An entry as it is listed."""

    index: int
    time: str
    kind: str
    about: str
    """The run, the replay, or what became of which key."""
    key_id: str


def make_checkpoint(store: Store, how: SealWith) -> int:
    """Sign the present state of a store's log, keeping the tiles it needs; give its size.

    Raises:
        StoreError: the store cannot be written, or the key cannot be used.
        UsageError: the log is empty.
    """
    by = signing_key(store, how)
    size = Log(store.backend).size()
    if size == 0:
        raise UsageError("the log has no entries yet")
    publish(store.backend, size, partial_too=True)
    origin = origin_of(store.id)
    found = Checkpoint(origin, size, Tree(store.backend, size).root())
    kept = Checkpoints(store.backend)
    if by.public.key_id not in kept.at(size):
        kept.put(found, notes.sign(found.text(), origin, by.public, by.sign), by.public.key_id)
    return size


def covering(store: Store, index: int, how: SealWith) -> int:
    """Give the size of the newest checkpoint, made now if none covers an entry.

    Raises:
        StoreError: one has to be made, and the store cannot be written.
    """
    sizes = Checkpoints(store.backend).sizes()
    return sizes[-1] if sizes and sizes[-1] > index else make_checkpoint(store, how)


def checkpoint(settings: Settings) -> bytes:
    """Sign the present state of the log; give the note with all signatures kept for it."""
    store = opened(settings)
    return Checkpoints(store.backend).merged(make_checkpoint(store, seal_with(settings))).dump()


def stamp(settings: Settings, authority: str) -> tuple[int, str]:
    """Have an authority put its time under the present state of the log; give the number of entries, and that time.

    Args:
        settings: Where the store is.
        authority: The URL of a time-stamping authority (RFC 3161 over HTTP).

    Raises:
        StoreError: it cannot be reached, or the store cannot be written.
        IntegrityError: what it answers is no time stamp.
    """
    if not authority.startswith(("http://", "https://")):
        raise UsageError(f"{authority!r} is no address of a time-stamping authority", hint="it begins with http(s)://")
    store = opened(settings)
    kept = Checkpoints(store.backend)
    size = make_checkpoint(store, seal_with(settings))
    reply = _ask(authority, timestamp.request(kept.merged(size).text.encode()))
    time = timestamp.time_of(reply)
    kept.put_stamp(size, reply)
    return size, time


def _ask(authority: str, query: bytes) -> bytes:
    import urllib.request  # noqa: PLC0415 - only here

    asked = urllib.request.Request(authority, query, {"Content-Type": timestamp.MEDIA_TYPES[0]})  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - same
            return bytes(answer.read(_LARGEST_REPLY_BYTES))
    except (OSError, ValueError) as error:
        raise StoreError(f"the time-stamping authority {authority} does not answer: {error}") from error


def cosign(settings: Settings, *, name: str, key_file: str, since: str | None, passphrase: bytes | None) -> bytes:
    """Check the log and cosign its newest checkpoint as a witness; give the note.

    Args:
        settings: Where the store is.
        name: Of the witness, such as ``example.com/audit``.
        key_file: Its private key, Ed25519, PEM.
        since: The checkpoint it cosigned last; without it, nothing is known of an earlier state.
        passphrase: Of the key.

    Raises:
        IntegrityError: the log is not what a witness may vouch for.
        SignerUnavailable: the key cannot be used.
    """
    if not is_key_name(name):
        raise UsageError(f"a witness cannot be called {name!r}: no spaces, no plus")
    store = opened(settings)
    kept = Checkpoints(store.backend)
    sizes = kept.sizes()
    if not sizes:
        raise UsageError("there is no checkpoint yet", hint="make one: reenact log checkpoint")
    view = LogView(store, pinned=read_pin(since) if since is not None else None)
    flaws = view.all_flaws()
    if flaws:
        said = "; ".join(f"{flaw.code}: {flaw.message}" for flaw in flaws[:3])
        raise IntegrityError(f"the log is not cosigned: {said}")
    by = _witness(key_file, passphrase)
    note = kept.merged(sizes[-1])
    signature = notes.cosign(note.text, name, by.public, by.sign, clock.now_ns() // _NANOSECONDS)
    if notes.cosigned_at(note, name, by.public) is None:
        found = Checkpoint(view.origin, sizes[-1], Tree(store.backend, sizes[-1]).root())
        kept.put(found, signature, f"witness-{by.public.key_id}")
    return kept.merged(sizes[-1]).dump()


def _witness(path: str, passphrase: bytes | None) -> Signer:
    try:
        return load_private(read_secret(path), passphrase, "", path)
    except OSError as error:
        raise StoreError(f"the key {path} cannot be read: {error.strerror}") from error


def log_entries(settings: Settings, limit: int) -> list[LoggedEntry]:
    """List the last entries of the log, the newest first.

    Raises:
        IntegrityError: one cannot be read.
    """
    from reenact.seal.entry import load  # noqa: PLC0415 - only here

    store = opened(settings)
    log = Log(store.backend)
    size = log.size()
    found = []
    for index in range(size - 1, max(size - limit, 0) - 1, -1):
        entry = load(log.leaf(index), index)
        about = (
            f"{entry.event} {entry.subject}"
            if entry.kind == "key"
            else entry.replay_run_id or entry.run_id or entry.subject or ""
        )
        found.append(LoggedEntry(index=index, time=entry.time, kind=entry.kind, about=about, key_id=entry.key_id))
    return found
