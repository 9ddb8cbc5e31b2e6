"""In-toto Statement v1: binds a predicate (a bundle, a verdict) to its subjects by digest.

See: https://github.com/in-toto/attestation, spec/v1/statement.md
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from reenact import canonical
from reenact.digests import PREFIX
from reenact.errors import MalformedBundle
from reenact.model import bundle as bundle_module
from reenact.model import verdict as verdict_module
from reenact.model.bundle import Bundle
from reenact.model.verdict import Verdict

__all__ = [
    "PAYLOAD_TYPE",
    "STATEMENT_TYPE",
    "dump",
    "dump_bundle",
    "dump_verdict",
    "load_bundle",
    "load_verdict",
    "verdict_subjects",
]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


def _subjects(bundle: Bundle) -> list[dict[str, Any]]:
    """Outputs with bytes; without any, the captured stdout; without that, the run itself has no subject but its id."""
    pointers = [(a.name, a.pointer.digest) for a in bundle.outputs if a.pointer is not None]
    if not pointers and bundle.launch.stdout.pointer is not None:
        pointers = [("stdout", bundle.launch.stdout.pointer.digest)]
    if not pointers:
        # In-toto wants one subject at least. A run that left no bytes is known by the data version it made: none.
        pointers = [("no-output", bundle.target_version)]
    return [{"name": name, "digest": {"sha256": digest[len(PREFIX) :]}} for name, digest in sorted(pointers)]


def dump(predicate_type: str, subjects: list[dict[str, Any]], predicate: object) -> bytes:
    """Give the canonical bytes of any statement."""
    statement = {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": predicate_type, "predicate": predicate}
    return canonical.dumps_plain(statement)


def dump_bundle(bundle: Bundle) -> bytes:
    """Give the canonical statement bytes of a bundle; these are what is signed."""
    return dump(bundle_module.PREDICATE_TYPE, _subjects(bundle), bundle)


def verdict_subjects(verdict: Verdict) -> list[dict[str, Any]]:
    """Name what a verdict is about: the outputs that the replay made; without any, the run's bundle."""
    return [
        {"name": o.name, "digest": {"sha256": o.got[len(PREFIX) :]}}
        for o in verdict.outputs
        if o.got is not None and o.got.startswith(PREFIX)
    ] or [{"name": f"run:{verdict.run_id}", "digest": {"sha256": verdict.bundle_digest[len(PREFIX) :]}}]


def dump_verdict(verdict: Verdict) -> bytes:
    """Give the canonical statement bytes of a verdict."""
    return dump(verdict_module.PREDICATE_TYPE, verdict_subjects(verdict), verdict)


class _Head(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: msgspec.Raw


class _Version(msgspec.Struct, frozen=True):
    schema_version: str


def _load(payload: bytes, predicate_type: str, model: type[Any]) -> Any:  # noqa: ANN401 - typed by its callers
    try:
        head = msgspec.json.decode(payload, type=_Head)
        if head.type != STATEMENT_TYPE or head.predicate_type != predicate_type:
            raise MalformedBundle(
                f"expected a statement about {predicate_type}, got {head.predicate_type} in {head.type}"
            )
        version = msgspec.json.decode(head.predicate, type=_Version).schema_version
        if version.partition(".")[0] != bundle_module.SCHEMA_VERSION.partition(".")[0]:
            raise MalformedBundle(
                f"schema {version} is newer than this program reads ({bundle_module.SCHEMA_VERSION})",
                hint="upgrade reenact; the stored record is untouched",
            )
        return msgspec.json.decode(head.predicate, type=model)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBundle(f"not a readable statement about {predicate_type}: {error}") from error


def load_bundle(payload: bytes) -> Bundle:
    """Read a bundle from statement bytes; unknown fields are ignored (the bytes themselves are what is kept).

    Raises:
        MalformedBundle: the bytes are no such statement, or of a schema this program does not know.
    """
    return cast(Bundle, _load(payload, bundle_module.PREDICATE_TYPE, Bundle))


def load_verdict(payload: bytes) -> Verdict:
    """Read a verdict from statement bytes; see :func:`load_bundle`."""
    return cast(Verdict, _load(payload, verdict_module.PREDICATE_TYPE, Verdict))
