"""What each finding of an audit means to whom: its severity, who can put it right, and how. Pure.

Codes of flaws (:mod:`reenact.seal.flaws`) mean the same here; an audit has some more. The table in docs/reference/findings.md is
written from here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from reenact.model.audit import SEVERITIES, AuditFinding, Severity, Steward
from reenact.seal.flaws import FLAWS, MISSING

__all__ = ["AUDIT_FINDINGS", "AuditKind", "make_finding", "ordered"]


class AuditKind(NamedTuple):
    """What a code stands for in an audit."""

    severity: Severity
    who: Steward
    meaning: str
    how: str
    """A command, or what to do; ``{run}`` stands for the run, ``{subject}`` for what it is about."""


_RESTORE: Final = "reenact scrub --repair-from COPY"
_AGAIN: Final = "put it back, or record the job again: reenact run"

_OWN: Final[dict[str, AuditKind]] = {
    "orphan-object": AuditKind(
        "minor", "store admin", "Objects or packs that no run refers to take room.", "reenact prune --yes"
    ),
    "run-unfinished": AuditKind(
        "minor",
        "engineer",
        "A recording was cut off, or could not be signed; it is not in the store yet.",
        "reenact runs",
    ),
    "clock-run": AuditKind(
        "minor",
        "engineer",
        "A run says that it ended before it started.",
        "set the host's clock (NTP), then record it again",
    ),
    "clock-future": AuditKind(
        "minor",
        "store admin",
        "A run or an entry of the log bears a time that has not come yet.",
        "set the clock (NTP)",
    ),
    "logged-late": AuditKind(
        "notice",
        "security",
        "A run was logged long after it ended: its host was cut off, it came from another store, or its time is wrong.",
        "reenact show {run}",
    ),
    "drift-input": AuditKind(
        "minor",
        "data steward",
        "An input is not what the job's latest run read.",
        "reenact restore {run} --inputs --to DIR",
    ),
    "drift-pointer": AuditKind(
        "minor",
        "data steward",
        "An input of which only a pointer is kept is gone or changed: the run cannot be replayed.",
        "put it back where it was: reenact plan {run} tells where",
    ),
    "drift-code": AuditKind("minor", "engineer", "The code is not what the job's latest run executed.", _AGAIN),
    "drift-commit": AuditKind(
        "notice", "engineer", "The repository is at another commit than when the job ran last.", "git log"
    ),
    "drift-package": AuditKind(
        "minor", "engineer", "An installed package is not the one the job's latest run used.", _AGAIN
    ),
    "drift-system-package": AuditKind(
        "minor", "engineer", "A package of the operating system is not the one the job's latest run used.", _AGAIN
    ),
    "drift-interpreter": AuditKind(
        "minor", "engineer", "An interpreter is not the one that the job's latest run was executed by.", _AGAIN
    ),
    "drift-environment": AuditKind(
        "minor", "engineer", "Files of the environment are not those that the job's latest run read.", _AGAIN
    ),
    "drift-machine": AuditKind(
        "notice", "engineer", "The machine is not as it was: kernel, processor.", "reenact replay {run}"
    ),
    "drift-unknown": AuditKind(
        "notice", "engineer", "What a run read cannot be looked at by this user.", "audit as the user the job runs as"
    ),
}

_SECURITY: Final = frozenset(
    {
        "signature-invalid",
        "key-revoked",
        "key-retired",
        "key-not-yet",
        "key-untrusted",
        "threshold",
        "back-dated",
        "not-logged",
    }
    | {"log-forked", "log-rewound", "log-truncated", "log-gap", "entry-signature", "entry-moved", "entry-chain"}
    | {"entry-differs", "key-event-hidden", "other-run", "other-subjects", "other-bundle", "other-replay"}
    | {"replay-differs", "verdict-wrong", "timestamp-invalid", "timestamp-missing", "witness-missing"}
    | {
        "custody-not-logged",
        "tombstone-differs",
        "tombstone-missing",
        "audit-differs",
        "proof-invalid",
        "proof-malformed",
    }
)
_REPAIRABLE: Final = frozenset(
    {"integrity", "view-missing", "view-differs", "object-missing", "object-damaged", "run-missing", "verdict-missing"}
    | {"summary-differs", "malformed-bundle"}
)
_SPECIAL: Final[dict[str, tuple[Severity, Steward, str]]] = {
    "stray": ("minor", "store admin", "look at {subject}, and take it out of the store"),
    "not-finished": ("minor", "engineer", "reenact runs"),
    "not-sealed": ("minor", "security", "make the signer work, then: reenact runs"),
    "checkpoint-missing": ("major", "security", "reenact log checkpoint"),
    "witness-missing": ("critical", "security", "reenact log cosign"),
    "timestamp-missing": ("critical", "security", "reenact log timestamp"),
    "tile-differs": ("critical", "store admin", "delete it; it is made again from the entries: reenact log checkpoint"),
    "key-revoked": ("critical", "security", "reenact keys list; record the job again: reenact run"),
    "key-untrusted": ("critical", "security", "reenact keys list; reenact keys trust, if you know whose it is"),
    "log-forked": ("critical", "security", "compare with another copy: reenact verify --all --since CHECKPOINT"),
    "log-rewound": ("critical", "security", "compare with another copy: reenact verify --all --since CHECKPOINT"),
    "log-truncated": ("critical", "security", "restore log/ from a copy of the store; then reenact verify --all"),
    "not-logged": (
        "critical",
        "security",
        "reenact show {run}; find out who put it there, or reenact prune --run {run}",
    ),
    "not-checked": ("critical", "store admin", "make it readable to whoever audits, and audit again"),
    "file-unknown": ("major", "data steward", "reenact verify FILE"),
    "file-differs": ("critical", "data steward", "reenact verify FILE"),
}


def _of_flaw(code: str) -> AuditKind:
    flaw = FLAWS[code]
    severity: Severity = "major" if flaw.exit_code == MISSING else "critical"
    who: Steward = "security" if code in _SECURITY else "store admin"
    how = _RESTORE if code in _REPAIRABLE else flaw.remedy
    if code in _SPECIAL:
        severity, who, how = _SPECIAL[code]
    return AuditKind(severity, who, flaw.meaning, how)


AUDIT_FINDINGS: Final[dict[str, AuditKind]] = {**{code: _of_flaw(code) for code in FLAWS}, **_OWN}
"""Every code that an audit may report."""


def make_finding(code: str, subject: str, message: str, **more: Any) -> AuditFinding:  # noqa: ANN401 - fields of the finding
    """Make a finding of a code.

    Args:
        code: A key of :data:`AUDIT_FINDINGS`.
        subject: What it is about.
        message: What is wrong.
        more: Further fields of it.
    """
    kind = AUDIT_FINDINGS[code]
    how = kind.how.replace("{run}", more.get("run_id") or "RUN").replace("{subject}", subject)
    return AuditFinding(
        code=code, severity=kind.severity, subject=subject, message=message, who=kind.who, how=how, **more
    )


def ordered(findings: list[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Sort the gravest first, each once."""
    rank = {severity: place for place, severity in enumerate(SEVERITIES)}
    once = {(f.code, f.run_id, f.job, f.subject, f.message): f for f in findings}
    return tuple(sorted(once.values(), key=lambda f: (rank[f.severity], f.code, f.job, f.run_id, f.subject, f.message)))
