"""Turn what an object store refuses into store errors that say what to do, and give no secret away.

The library puts the address of each request into its messages, and an address may hold a signature; so they are read for the
status and the server's code, and not repeated.
"""

from __future__ import annotations

import re
from typing import Final

from reenact.errors import StoreError, StoreUnavailable

__all__ = ["beyond_the_end", "refusal", "says_no_bucket"]

_STATUS: Final = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_METADATA_SERVICE: Final = "169.254.169.254"
_MAY_PASS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 509})
"""409: of two conditional puts at once Amazon answers one so; to ask again tells who was first."""

_VARIABLES: Final = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)",
    "gs": "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_ENDPOINT: Final = {"s3": "AWS_ENDPOINT_URL and AWS_REGION", "gs": "the network", "az": "AZURE_STORAGE_ACCOUNT_NAME"}


def refusal(error: BaseException, doing: str, url: str) -> StoreError:
    """Give the store error for what the library raised.

    Args:
        error: That.
        doing: What was tried (``write objects/ab/…``).
        url: The store.
    """
    text = str(error).partition("\n\nDebug source")[0]
    scheme = url.partition("://")[0]
    status, code = _status(text), _code(text)
    told = f"{status} {code}".strip() if status else ""
    message = f"cannot {doing} at {url}"
    if _METADATA_SERVICE in text or "token request" in text or "ccount must be specified" in text:
        return StoreError(f"{message}: there are no credentials", hint=f"set {_VARIABLES[scheme]}")
    if says_no_bucket(error):
        name = url.partition("://")[2].partition("/")[0]
        return StoreError(f"{message}: there is no bucket {name} ({told})", hint="make it, or name another store")
    if status in _MAY_PASS:
        return StoreUnavailable(f"{message}: the server says {told}", hint="try again later")
    if status in {401, 403}:
        hint = f"see that {_VARIABLES[scheme]} are right and allow to get, put and list there (docs/how-to/share-a-store.md)"
        return StoreError(f"{message}: it is denied ({told})", hint=hint)
    if status == 404:  # noqa: PLR2004 - HTTP's
        return StoreError(
            f"{message}: the server does not know the place ({told})", hint="see the bucket's name and rights"
        )
    if status:
        return StoreError(f"{message}: the server says {told}", hint="")
    if "builder error" in text:
        hint = f"see {_ENDPOINT[scheme]}; plain http needs an endpoint that begins with http://"
        return StoreError(f"{message}: the address cannot be used", hint=hint)
    if "HTTP error" in text or "error sending request" in text or "timed out" in text or "decoding response" in text:
        return StoreUnavailable(f"{message}: the server does not answer", hint=f"see {_ENDPOINT[scheme]}")
    return StoreError(f"{message}: {type(error).__name__}: {_without_addresses(text)}")


def says_no_bucket(error: BaseException) -> bool:
    """Tell whether what is missing is the bucket, not a value in it."""
    return _code(str(error)) in {"NoSuchBucket", "ContainerNotFound"}


def beyond_the_end(error: BaseException | None) -> bool:
    """Tell whether a range was refused because it begins behind the value's end."""
    return error is not None and _status(str(error)) == 416  # noqa: PLR2004 - HTTP's


def _status(text: str) -> int:
    found = _STATUS.search(text)
    return int(found[1] or found[2]) if found else 0


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _without_addresses(text: str) -> str:
    return re.sub(r"https?://\S+", "…", text)[:300]
