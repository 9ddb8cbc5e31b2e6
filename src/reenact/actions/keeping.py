"""How the store keeps bytes, as the settings say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reenact.store.delta_policy import DeltaPolicy

if TYPE_CHECKING:
    from reenact.settings import Settings

__all__ = ["delta_policy"]


def delta_policy(settings: Settings) -> DeltaPolicy:
    """Say which files may be kept as deltas."""
    chosen = settings.storage
    return DeltaPolicy(
        from_bytes=chosen.delta_from_bytes if chosen.deltas == "auto" else 0, most_depth=chosen.delta_depth
    )
