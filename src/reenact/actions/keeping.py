"""How the store keeps bytes and is reached, as the settings say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reenact.store.access import Access
from reenact.store.delta_policy import DeltaPolicy

if TYPE_CHECKING:
    from reenact.settings import Settings

__all__ = ["access", "delta_policy"]


def delta_policy(settings: Settings) -> DeltaPolicy:
    """Say which files may be kept as deltas."""
    chosen = settings.storage
    return DeltaPolicy(
        from_bytes=chosen.delta_from_bytes if chosen.deltas == "auto" else 0, most_depth=chosen.delta_depth
    )


def access(settings: Settings, *, cached: bool = True, looks_ahead: bool = True) -> Access:
    """Say how the store is reached.

    Args:
        settings: What was chosen.
        cached: Whether what this host kept of it may stand for what is there.
        looks_ahead: Whether a listing a minute old may.
    """
    chosen = settings.storage
    return Access(
        read_only=chosen.read_only,
        encrypted_only=chosen.encryption == "required",
        retry_seconds=chosen.retry_seconds,
        cache_max_bytes=chosen.cache_max_bytes if cached else 0,
        max_rate_bytes=chosen.max_rate,
        requests_at_once=chosen.requests_at_once,
        looks_ahead=looks_ahead,
    )
