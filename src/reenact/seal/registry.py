"""From what a settings file says to whoever signs: ``ed25519``, ``p256``, ``file:PATH``, ``cmd:COMMAND``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from reenact import atomic, clock
from reenact.errors import SettingsError, SignerUnavailable, StoreError
from reenact.seal.interface import Signer
from reenact.seal.keys import load_signing_key, read_secret

__all__ = ["OWN", "PASSPHRASE", "SignerPlace", "own_key_path", "signers"]

PASSPHRASE: Final = "REENACT_KEY_PASSPHRASE"  # noqa: S105 - the name of one
"""The variable with the passphrase of encrypted key files."""
OWN: Final = {"ed25519": "{}.pem", "p256": "{}.p256.pem"}
"""The files of a user's own keys for a store."""


class SignerPlace(NamedTuple):
    """Where signers find what they need."""

    key_folder: Callable[[], str]
    """Gives the folder of this user's own keys, making it."""
    store_id: str
    root: str
    """What relative paths are relative to."""
    public_keys: tuple[str, ...]
    """Files of the public keys of command signers, in their order."""
    timeout_seconds: float
    environment: Mapping[str, str]


def own_key_path(folder: str, store_id: str, algorithm: str) -> str:
    """Name the file of this user's own key of a kind for a store."""
    return os.path.join(folder, OWN[algorithm].format(store_id))


def signers(specs: tuple[str, ...], place: SignerPlace) -> list[Signer]:
    """Make signers; own keys that are not there are made.

    Raises:
        SettingsError: what is written there names no signer.
        StoreError: a key cannot be read or made.
        SignerUnavailable: a key needs something that is not there: a passphrase, its file.
    """
    publics = iter(place.public_keys)
    return [_signer(spec, place, lambda: next(publics, None)) for spec in specs]


def _signer(spec: str, place: SignerPlace, next_public: Callable[[], str | None]) -> Signer:
    if spec == "ed25519":
        return load_signing_key(place.key_folder(), place.store_id, _passphrase(place))
    if spec == "p256":
        path = own_key_path(place.key_folder(), place.store_id, spec)
        if not os.path.exists(path):
            from reenact.seal.pem import new_private  # noqa: PLC0415 - once in a store's life

            atomic.put_if_absent(path, new_private("p256", None), mode=0o600)
        return _from_file(path, place)
    kind, colon, rest = spec.partition(":")
    if kind == "file" and rest:
        return _from_file(os.path.join(place.root, os.path.expanduser(rest)), place)
    if kind == "cmd" and rest:
        return _command(rest, place, next_public())
    raise SettingsError(
        f"signing.signer is {spec!r}, expected ed25519, p256, file:PATH or cmd:COMMAND",
        hint="see docs/how-to/manage-keys.md" if not colon else "",
    )


def _passphrase(place: SignerPlace) -> bytes | None:
    return os.fsencode(place.environment.get(PASSPHRASE, "")) or None


def _from_file(path: str, place: SignerPlace) -> Signer:
    from reenact.seal.pem import load_private  # noqa: PLC0415 - its loaders are slow to import

    try:
        data = read_secret(path)
        made = clock.from_ns(os.stat(path).st_mtime_ns)
    except OSError as error:
        raise SignerUnavailable(f"the key {path} cannot be read: {error.strerror}") from error
    return load_private(data, _passphrase(place), made, path)


def _command(command: str, place: SignerPlace, public: str | None) -> Signer:
    from reenact.seal.command import CommandSigner  # noqa: PLC0415 - subprocess is not needed otherwise
    from reenact.seal.pem import load_public  # noqa: PLC0415 - its loaders are slow to import

    if public is None:
        raise SettingsError(
            "a signing command needs its public key", hint="name its file: public_keys = [...] in [signing]"
        )
    path = os.path.join(place.root, os.path.expanduser(public))
    try:
        with open(path, "rb") as file:
            key = load_public(file.read(), path)
    except OSError as error:
        raise StoreError(f"the public key {path} cannot be read: {error.strerror}") from error
    return CommandSigner(command, key, place.timeout_seconds)
