"""The error tree: every failure a person or a script can meet, with a stable code and exit status.

    ReenactError                     1
    ├── UsageError                   2   the command or a setting is wrong
    │   ├── SettingsError            2   reenact.toml or a variable cannot be used
    │   └── RunNotFound              2   a run reference names nothing, or more than one run
    ├── UnreplayableError            3   something a replay needs is not there
    ├── IntegrityError               4   bytes are not what their digest or signature says
    │   ├── ObjectMissing            3   an object is not in the store
    │   ├── ObjectDamaged            4   an object's bytes do not match its digest
    │   ├── SignatureInvalid         4   a signature does not verify, or its key is not trusted
    │   ├── MalformedBundle          4   a bundle cannot be read as any version we know
    │   ├── StoreLocked              4   no identity at hand unlocks the keys of an encrypted store
    │   ├── StoreKeysChanged         4   the keys of an encrypted store are not those known here
    │   └── ValueDamaged             4   a value of an encrypted store is not what was put there (also a StoreError)
    ├── PolicyDenied                 5   a policy or an access rule forbids it
    ├── StoreError                   1   the store cannot be read or written
    │   ├── KeyAbsent                1   the store holds nothing under that key
    │   ├── StoreUnavailable         1   the store cannot be reached now; trying again later may help
    │   └── SignerUnavailable        1   a key cannot be used to sign now
    ├── CaptureError                 1   a way of observing cannot be used here
    └── SandboxError                 1   a closed world cannot be set up here

A state that is *reported* (a finding of an audit, a hazard, a difference) is a value, never an exception.
"""

from __future__ import annotations

__all__ = [
    "CaptureError",
    "IntegrityError",
    "KeyAbsent",
    "MalformedBundle",
    "ObjectDamaged",
    "ObjectMissing",
    "PolicyDenied",
    "ReenactError",
    "RunNotFound",
    "SandboxError",
    "SettingsError",
    "SignatureInvalid",
    "SignerUnavailable",
    "StoreError",
    "StoreKeysChanged",
    "StoreLocked",
    "StoreUnavailable",
    "UnreplayableError",
    "UsageError",
    "ValueDamaged",
]


class ReenactError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code: int = 1
    """The process exit status the command line gives for it."""
    code: str = "error"
    """A stable name for scripts and for the error reference."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self._hint = hint

    def hint(self) -> str:
        """Say what the reader can do next; empty when nothing useful is known."""
        return self._hint


class UsageError(ReenactError):
    """The command, an option or an argument cannot be used as given."""

    exit_code = 2
    code = "usage"


class SettingsError(UsageError):
    """A settings file or a variable holds something that cannot be used."""

    code = "settings"


class RunNotFound(UsageError):
    """A run reference names no run, or more than one."""

    code = "run-not-found"

    def __init__(self, reference: str, *, candidates: tuple[str, ...] = (), hint: str = "") -> None:
        self.reference = reference
        self.candidates = candidates
        if candidates:
            message = f"{reference!r} names {len(candidates)} runs: {', '.join(candidates[:5])}"
        else:
            message = f"no run is called {reference!r}"
        super().__init__(message, hint=hint or "list the runs with: reenact runs")


class UnreplayableError(ReenactError):
    """A replay needs something that is not there."""

    exit_code = 3
    code = "unreplayable"

    def __init__(self, message: str, *, missing: tuple[str, ...] = (), hint: str = "") -> None:
        self.missing = missing
        super().__init__(message, hint=hint)


class IntegrityError(ReenactError):
    """Bytes are not what their digest, signature or proof says."""

    exit_code = 4
    code = "integrity"


class ObjectMissing(IntegrityError):
    """An object is not in the store."""

    exit_code = 3
    code = "object-missing"

    def __init__(self, digest: str, *, hint: str = "") -> None:
        self.digest = digest
        super().__init__(f"object {digest} is not in the store", hint=hint)


class ObjectDamaged(IntegrityError):
    """An object's stored bytes do not give the content its digest promises."""

    code = "object-damaged"

    def __init__(self, digest: str, got: str, *, hint: str = "") -> None:
        self.digest = digest
        self.got = got
        super().__init__(f"object {digest} is damaged: got {got}", hint=hint)


class SignatureInvalid(IntegrityError):
    """A signature does not verify, or nobody trusts the key that made it."""

    code = "signature-invalid"


class MalformedBundle(IntegrityError):
    """A bundle, verdict or manifest cannot be decoded."""

    code = "malformed-bundle"


class PolicyDenied(ReenactError):
    """A policy or an access rule forbids the action."""

    exit_code = 5
    code = "denied"


class StoreError(ReenactError):
    """The store cannot be read or written."""

    code = "store"


class KeyAbsent(StoreError):
    """The store holds nothing under a key."""

    code = "store-key-absent"

    def __init__(self, key: str, *, hint: str = "") -> None:
        self.key = key
        super().__init__(f"the store holds nothing under {key!r}", hint=hint)


class SignerUnavailable(StoreError):
    """A key cannot be used to sign now: no passphrase, no device, no service."""

    code = "signer"


class StoreLocked(IntegrityError):
    """None of the identities at hand unlocks the keys of an encrypted store."""

    code = "store-locked"


class StoreKeysChanged(IntegrityError):
    """The keys of an encrypted store are damaged, exchanged, or older than those this user has seen there."""

    code = "store-keys-changed"


class ValueDamaged(IntegrityError, StoreError):
    """A value of an encrypted store is not what was put there under its name.

    It is a store error, too: whoever reads what may be in another place goes on looking, as after a failing disk.
    """

    code = "value-damaged"

    def __init__(self, key: str, detail: str, *, hint: str = "") -> None:
        self.key = key
        super().__init__(
            f"the encrypted value {key!r} is damaged: {detail}",
            hint=hint or "the disk or a hand changed what the store keeps; look for it in a copy of the store",
        )


class StoreUnavailable(StoreError):
    """The store does not answer, or says that it cannot now: whether what was asked for was done is not known."""

    code = "store-unavailable"


class CaptureError(ReenactError):
    """A way of observing cannot be used on this machine."""

    code = "capture"


class SandboxError(ReenactError):
    """A closed world cannot be set up on this machine."""

    code = "sandbox"
