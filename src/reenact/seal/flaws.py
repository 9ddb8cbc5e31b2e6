"""What can be wrong with evidence: a stable code for each, the exit status it gives, and what it means.

A flaw is reported, not raised: whoever checks goes on and tells all of them. The table in docs/reference/findings.md is written
from here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["FLAWS", "MISSING", "WRONG", "Flaw", "FlawKind"]

MISSING: Final = 3
WRONG: Final = 4


class FlawKind(NamedTuple):
    """What a code stands for."""

    exit_code: int
    meaning: str
    remedy: str


FLAWS: Final[dict[str, FlawKind]] = {
    "integrity": FlawKind(WRONG, "A record's file is damaged.", "Restore it from a copy of the store."),
    "signature-invalid": FlawKind(
        WRONG, "No known key signed the record, or it was changed after it was signed.", "Do not trust the record."
    ),
    "malformed-bundle": FlawKind(WRONG, "What was signed cannot be read as a record.", "Upgrade, or restore a copy."),
    "not-checked": FlawKind(WRONG, "It could not be read, and so was not checked.", "See its message, and look again."),
    "run-not-found": FlawKind(WRONG, "The record vanished while it was looked at.", "Look again."),
    "other-run": FlawKind(WRONG, "The record is of another run than its place says.", "Restore it from a copy."),
    "other-subjects": FlawKind(
        WRONG, "What the statement is about are not the outputs of its run.", "Do not trust it."
    ),
    "other-bundle": FlawKind(
        WRONG, "A verdict is about another record than the one it lies beside.", "Do not trust it."
    ),
    "other-replay": FlawKind(WRONG, "A verdict is of another run or replay than its place says.", "Do not trust it."),
    "replay-differs": FlawKind(
        WRONG, "A verdict claims outputs that the recorded replay did not make.", "Do not trust it; replay again."
    ),
    "verdict-wrong": FlawKind(
        WRONG, "A verdict's summary does not follow from what it says of outputs.", "Replay again."
    ),
    "summary-differs": FlawKind(WRONG, "The summary beside a verdict says something else.", "Replay again."),
    "view-missing": FlawKind(
        MISSING, "A folder beside the bundle, for people and tools, is not there.", "Copy it back."
    ),
    "view-differs": FlawKind(WRONG, "A folder beside the bundle says something else than the bundle.", "Copy it back."),
    "object-missing": FlawKind(MISSING, "Bytes the record refers to are not in the store.", "Restore from a copy."),
    "object-damaged": FlawKind(WRONG, "Stored bytes are not what was stored.", "Restore from a copy."),
    "not-finished": FlawKind(WRONG, "A run was cut off and cannot be finished.", "See its message."),
    "not-sealed": FlawKind(
        WRONG, "A run is kept, and could not be signed yet.", "Make its signer work; then any command."
    ),
    "not-logged": FlawKind(WRONG, "The log has no entry for what is signed.", "Do not trust when it says it was made."),
    "entry-damaged": FlawKind(WRONG, "An entry of the log cannot be read.", "Restore it from a copy."),
    "entry-signature": FlawKind(WRONG, "An entry is not signed by the key it names.", "Restore it from a copy."),
    "entry-moved": FlawKind(WRONG, "An entry is in another place than it was signed for.", "Restore the log."),
    "entry-chain": FlawKind(WRONG, "An entry follows another one than it was signed to follow.", "Restore the log."),
    "entry-differs": FlawKind(WRONG, "A statement is logged as being of another run.", "Do not trust the entry."),
    "log-gap": FlawKind(WRONG, "Entries are missing from the middle of the log.", "Restore them from a copy."),
    "log-truncated": FlawKind(WRONG, "The log is shorter than a checkpoint says.", "Restore it from a copy."),
    "log-forked": FlawKind(
        WRONG, "The log is not the one a checkpoint or proof was made of.", "Find out who changed it."
    ),
    "log-rewound": FlawKind(WRONG, "The log is older than the pinned checkpoint.", "Ask for the whole log."),
    "tile-differs": FlawKind(WRONG, "A tile of the log is not what its entries give.", "Delete it; it is derived."),
    "checkpoint-invalid": FlawKind(WRONG, "A checkpoint is malformed, or no known key signed it.", "Delete it."),
    "checkpoint-missing": FlawKind(
        MISSING, "There is no signed checkpoint that covers the entry.", "reenact log checkpoint"
    ),
    "witness-missing": FlawKind(WRONG, "Fewer witnesses cosigned than are demanded.", "reenact log cosign"),
    "timestamp-missing": FlawKind(WRONG, "No checkpoint bears a time stamp that you demand.", "reenact log timestamp"),
    "timestamp-invalid": FlawKind(
        WRONG, "A time stamp is not of its checkpoint, or not by whom you trust.", "Delete it."
    ),
    "key-damaged": FlawKind(WRONG, "A public key's file is not what its name says.", "Restore it from a copy."),
    "key-missing": FlawKind(MISSING, "A public key the log announces has no file.", "Restore it from a copy."),
    "key-revoked": FlawKind(WRONG, "It was signed by a key that is revoked there.", "Do not trust it; record again."),
    "key-retired": FlawKind(WRONG, "It was logged after its key was retired.", "Do not trust it; record again."),
    "key-not-yet": FlawKind(WRONG, "It was logged before its key was announced.", "Do not trust it."),
    "key-event-hidden": FlawKind(WRONG, "A key event of the log is not where keys are looked up.", "Restore it."),
    "key-untrusted": FlawKind(WRONG, "None of the keys that signed it is one you trust.", "Check whose key it is."),
    "threshold": FlawKind(WRONG, "Fewer of those you trust signed it than you demand.", "Have it signed by more."),
    "back-dated": FlawKind(WRONG, "It bears a time that the log contradicts.", "Do not trust its time."),
    "proof-invalid": FlawKind(WRONG, "A proof does not lead to the checkpoint it names.", "Ask for a new proof."),
    "proof-malformed": FlawKind(WRONG, "A proof file cannot be read.", "Ask for a new one."),
    "run-missing": FlawKind(MISSING, "A run that was logged is gone, and was not pruned.", "Restore it from a copy."),
    "verdict-missing": FlawKind(MISSING, "A verdict that was logged is gone.", "Restore it from a copy."),
    "hold-missing": FlawKind(MISSING, "A hold that was logged is gone; it still holds.", "Restore it from a copy."),
    "release-missing": FlawKind(MISSING, "A release that was logged is gone, so its hold holds.", "Release it again."),
    "baseline-missing": FlawKind(MISSING, "A choice of a baseline that was logged is gone.", "Restore it from a copy."),
    "custody-not-logged": FlawKind(
        WRONG,
        "A baseline is not what was logged, or a hold or release is logged for another run.",
        "Restore it from a copy.",
    ),
    "audit-missing": FlawKind(MISSING, "The report of an audit that was logged is gone.", "Restore it from a copy."),
    "audit-differs": FlawKind(WRONG, "The report of an audit is not what was logged.", "Restore it from a copy."),
    "tombstone-missing": FlawKind(MISSING, "A tombstone that was logged is gone.", "Restore it from a copy."),
    "tombstone-differs": FlawKind(WRONG, "A tombstone is not what was logged.", "Restore it from a copy."),
    "store-damaged": FlawKind(WRONG, "The description of the store was changed.", "Restore it from a copy."),
    "stray": FlawKind(WRONG, "A file is no part of a store.", "Look what it is, and take it away."),
    "file-unknown": FlawKind(MISSING, "No run of the store made a file with these bytes.", "Ask where it comes from."),
    "file-differs": FlawKind(WRONG, "A run made a file of this name, with other bytes.", "Do not use the file."),
}


class Flaw(NamedTuple):
    """One thing that is wrong with evidence."""

    code: str
    """A key of :data:`FLAWS`."""
    message: str

    @property
    def exit_code(self) -> int:
        """What it makes a command exit with."""
        return FLAWS[self.code].exit_code
