"""Records for tests: bundles sealed into a real store, with the bytes of their files."""

from __future__ import annotations

from typing import Any

from reenact.actions.sealing import seal_bundle, seal_verdict
from reenact.digests import of_bytes
from reenact.ids import RunId
from reenact.model.bundle import Bundle
from reenact.model.statement import dump_bundle
from reenact.model.verdict import Overall, Verdict
from reenact.store.opening import Store
from tests.bundles import bundle, run_id

__all__ = ["KEPT", "add_run", "add_verdict"]

KEPT = (b"in", b"print()", b"out")
"""The bytes of the files of `tests.bundles.bundle`."""


def add_run(store: Store, number: int = 1, *, kept: tuple[bytes, ...] = KEPT, **changes: Any) -> Bundle:
    """Seal a run into a store; larger numbers are later runs."""
    made = bundle(run_id=run_id(number), **changes)
    writer = store.writer(RunId(made.run_id))
    for content in kept:
        writer.add_bytes(content)
    writer.commit()
    seal_bundle(store, made)
    return made


def add_verdict(store: Store, of: Bundle, number: int, verdict: Overall = "reproduced") -> Verdict:
    """Seal a verdict about a run into a store."""
    made = Verdict(
        schema_version="1.0",
        run_id=of.run_id,
        replay_run_id=run_id(number),
        verdict=verdict,
        rung="world",
        not_isolated=(),
        judged_at="2026-02-01T00:00:00.000000Z",
        outputs=(),
        bundle_digest=of_bytes(dump_bundle(of)),
    )
    seal_verdict(store, made)
    return made
