"""The report of an audit: what was looked at and what was found. The predicate of an in-toto Statement, when it is sealed."""

from __future__ import annotations

from typing import Literal

import msgspec

from reenact.digests import Digest

__all__ = ["PREDICATE_TYPE", "SEVERITIES", "AuditFinding", "AuditReport", "Severity", "Steward"]

PREDICATE_TYPE = "urn:reenact:audit:v1"

Severity = Literal["critical", "major", "minor", "notice"]
"""`critical`: evidence is not what was signed or logged; `major`: something that was kept is gone; `minor`: something should be looked
at; `notice`: worth knowing, and no reason to act."""
SEVERITIES: tuple[Severity, ...] = ("critical", "major", "minor", "notice")

Steward = Literal["data steward", "engineer", "store admin", "security"]
"""Who can put a finding right."""


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    code: str
    """See docs/reference/findings.md."""
    severity: Severity
    subject: str
    """Which artifact, object, key, entry, package or part of the store."""
    message: str
    expected: str | None = None
    """What was recorded."""
    got: str | None = None
    """What is there."""
    run_id: str = ""
    """The run it is of, or the first of `runs`; empty for the log, keys, and the store itself."""
    job: str = ""
    runs: tuple[str, ...] = ()
    """All runs that it harms."""
    environment: str = ""
    """For drift: the machine that was looked at."""
    who: Steward
    how: str
    """A command, or what to do."""


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one audit."""

    schema_version: str
    audit_id: str
    store_id: str
    began_at: str
    ended_at: str
    seconds: float
    audited_by: str
    """``user@host``."""
    tool_version: str
    selection: str
    """What of the store was looked at, in words."""
    sample: float
    """Share of the objects and packs that were hashed."""
    seed: str
    deep: bool
    resumed: bool
    """Whether one that was cut off was gone on with."""
    runs: int
    """Records that were checked."""
    jobs: int
    """Jobs whose latest runs were held against this machine."""
    values: int
    """Files of objects, and packs, that were hashed."""
    stored_bytes: int
    """Read now to hash them."""
    drift_bytes: int = 0
    """Hashed of this machine's files."""
    log_size: int
    log_root: Digest | None
    """Of the tree over the log's entries; None where they cannot all be read."""
    trusted_by: str | None
    """The trust file that was gone by; None where the store named its keys itself."""
    findings: tuple[AuditFinding, ...]
    """The gravest first."""
    not_checked: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @property
    def exit_code(self) -> int:
        """4 when integrity is broken, 1 when there are lesser findings, else 0; what is only a notice does not count."""
        found = {finding.severity for finding in self.findings}
        return 4 if found & {"critical", "major"} else 1 if "minor" in found else 0

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)
