"""The verdict of a replay as a SLSA Verification Summary, for tools that know nothing of ours.

It says less than the verdict and nothing beyond it: the same verdict gives the same bytes, which `verify` holds it to.

See: https://slsa.dev/spec/v1.0/verification_summary
"""

from __future__ import annotations

from typing import Any, Final

from reenact.digests import PREFIX
from reenact.model.statement import dump, verdict_subjects
from reenact.model.verdict import Verdict

__all__ = ["PREDICATE_TYPE", "dump_summary"]

PREDICATE_TYPE: Final = "https://slsa.dev/verification_summary/v1"
_VERIFIER: Final = "urn:reenact:replay"
_POLICY: Final = "urn:reenact:policy:same-outputs"
_LEVELS: Final = {"reproduced": "REENACT_REPRODUCED", "equivalent": "REENACT_EQUIVALENT"}


def dump_summary(verdict: Verdict) -> bytes:
    """Give the canonical statement bytes of the summary of a verdict."""
    level = _LEVELS.get(verdict.verdict)
    predicate: dict[str, Any] = {
        "verifier": {"id": _VERIFIER, "version": {"reenact": verdict.tool_version}},
        "timeVerified": verdict.judged_at,
        "resourceUri": f"urn:reenact:run:{verdict.run_id}",
        "policy": {"uri": _POLICY},
        "inputAttestations": [
            {
                "uri": f"urn:reenact:run:{verdict.run_id}",
                "digest": {"sha256": verdict.bundle_digest[len(PREFIX) :]},
            }
        ],
        "verificationResult": "PASSED" if level else "FAILED",
        "verifiedLevels": [level] if level else ["FAILED"],
    }
    return dump(PREDICATE_TYPE, verdict_subjects(verdict), predicate)
