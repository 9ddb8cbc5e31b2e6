"""What a person may choose, from `reenact.toml`, ``REENACT_…`` variables and the command line; cheap to import."""

from __future__ import annotations

from reenact.settings.job import job_name
from reenact.settings.load import load
from reenact.settings.model import Capture, Compare, Declared, OutputRule, Redact, Replay, Settings, Storage
from reenact.settings.root import SETTINGS_FILE

__all__ = [
    "SETTINGS_FILE",
    "Capture",
    "Compare",
    "Declared",
    "OutputRule",
    "Redact",
    "Replay",
    "Settings",
    "Storage",
    "job_name",
    "load",
]
