"""Seal the report of an audit into the store it is about: sign, put, log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reenact import clock
from reenact.actions.audit import AuditRequest, audit
from reenact.actions.keeping import access
from reenact.actions.sealing import SealWith, append, seal_payload, seal_with, signers
from reenact.digests import PREFIX, Digest, of_bytes
from reenact.errors import IntegrityError, StoreError
from reenact.ids import RunId
from reenact.model.audit import PREDICATE_TYPE, AuditReport
from reenact.model.statement import dump
from reenact.seal.entry import Entry
from reenact.store.audits import Audits
from reenact.store.opening import Store, open_store

if TYPE_CHECKING:
    from reenact.settings import Settings

__all__ = ["Audited", "audit_and_seal", "seal_audit", "statement_of", "summary_of"]


def summary_of(report: AuditReport) -> str:
    """Say in a line what an audit came to."""
    counts = [f"{report.count(s)} {s}" for s in ("critical", "major", "minor", "notice") if report.count(s)]
    return f"{report.selection}: {', '.join(counts) or 'no findings'}"


def statement_of(report: AuditReport) -> bytes:
    """Give the bytes that are signed: a statement about the store's log as it was."""
    root = report.log_root or of_bytes(b"")
    subject = {
        "name": f"log of {report.store_id}, {report.log_size} entries",
        "digest": {"sha256": root[len(PREFIX) :]},
    }
    return dump(PREDICATE_TYPE, [subject], report)


def seal_audit(settings: Settings, report: AuditReport) -> int:
    """Sign a report, put it into the store, and log it; give the entry's index. Durable when it returns.

    Raises:
        StoreError: the store cannot be written, or a key cannot be used.
    """
    # Not as other commands open it: what was cut off is told in the report, and stays as it is.
    store = open_store(settings.store, create=False, access=access(settings, cached=False))
    try:
        return _seal(store, seal_with(settings), report)
    finally:
        store.close()


def _seal(store: Store, how: SealWith, report: AuditReport) -> int:
    by = signers(store, how)
    payload = statement_of(report)
    Audits(store.backend).put(RunId(report.audit_id), seal_payload(payload, by))
    entry = Entry(
        kind="audit",
        subject=report.audit_id,
        statement=Digest(of_bytes(payload)),
        key_id=by[0].public.key_id,
        time=clock.timestamp(),
        reason=summary_of(report),
    )
    return append(store, entry, by[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """An audit, and what became of its report."""

    report: AuditReport
    entry: int | None
    """Of the log; None where the report was not sealed."""
    not_sealed: str
    """Why not; empty where it was."""


def audit_and_seal(
    settings: Settings, request: AuditRequest, *, seal: bool | None, say: Callable[[str], None] = lambda _: None
) -> Audited:
    """Audit, and put the report into the store.

    Args:
        settings: Where the store is, and who signs.
        request: What to audit.
        seal: Whether to seal the report; None for an audit of the whole store, where the store can be written.
        say: Told what is being done.

    Raises:
        StoreError: the store cannot be opened; or the report was to be sealed and cannot be.
        RunNotFound, SettingsError: as :func:`reenact.actions.audit.audit`.
    """
    report = audit(settings, request, say)
    if seal is False or (seal is None and not request.everything):
        reason = "not asked for" if seal is None else "--no-seal"
        return Audited(report=report, entry=None, not_sealed=reason)
    try:
        return Audited(report=report, entry=seal_audit(settings, report), not_sealed="")
    except (StoreError, IntegrityError, OSError) as error:
        if seal:
            raise
        return Audited(report=report, entry=None, not_sealed=str(error))
