"""JSON Schemas of what a store keeps, generated from the models."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from reenact.model.audit import PREDICATE_TYPE as AUDIT
from reenact.model.audit import AuditReport
from reenact.model.baseline import Baseline
from reenact.model.bundle import PREDICATE_TYPE as RUN
from reenact.model.bundle import Bundle
from reenact.model.custody import Hold, Release, Tombstone
from reenact.model.environment import Manifest
from reenact.model.verdict import PREDICATE_TYPE as VERDICT
from reenact.model.verdict import Verdict

__all__ = ["SCHEMAS", "json_schema"]

SCHEMAS: Final[dict[str, tuple[str, type[Any]]]] = {
    "bundle": (RUN, Bundle),
    "verdict": (VERDICT, Verdict),
    "manifest": ("urn:reenact:manifest:v1", Manifest),
    "hold": ("urn:reenact:hold:v1", Hold),
    "release": ("urn:reenact:release:v1", Release),
    "baseline": ("urn:reenact:baseline:v1", Baseline),
    "audit": (AUDIT, AuditReport),
    "tombstone": ("urn:reenact:tombstone:v1", Tombstone),
}
"""File name to the schema's identifier and its model."""


def json_schema(name: str) -> dict[str, Any]:
    """Generate the JSON Schema (2020-12) of one of :data:`SCHEMAS`."""
    identifier, model = SCHEMAS[name]
    schema = msgspec.json.schema(model)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier, **schema}
