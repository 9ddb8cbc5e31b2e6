"""Bytes behind an HTTP or HTTPS address, read by one GET. A proxy that the environment names is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import reenact
from reenact.store.elsewhere.interface import BLOCK_BYTES, Place, Unavailable

__all__ = ["web_place"]

_TIMEOUT_SECONDS: Final = 60.0
"""Without a single byte for so long, a server is taken for gone."""


def web_place(url: str) -> Place:
    """Give the place of what is behind an address."""
    return Place(what=f"what is at {url}", blocks=lambda: _blocks(url))


def _blocks(url: str) -> Iterator[bytes]:
    from http.client import HTTPException  # noqa: PLC0415 - 20 ms, only where something is fetched so
    from urllib.error import HTTPError  # noqa: PLC0415
    from urllib.request import Request, urlopen  # noqa: PLC0415

    request = Request(url, headers={"User-Agent": f"reenact/{reenact.__version__}", "Accept-Encoding": "identity"})  # noqa: S310 - only http and https get here
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - same
            while block := answer.read(BLOCK_BYTES):
                yield block
    except HTTPError as error:
        raise Unavailable(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{url} cannot be read: {reason}") from error
