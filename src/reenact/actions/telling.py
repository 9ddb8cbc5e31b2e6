"""Tell others what an audit found: a command, a web server, a file of metrics. Whatever fails there is said, and stops nothing."""

from __future__ import annotations

import http.client
import shlex
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import msgspec

from reenact import atomic
from reenact.actions.sealing_audits import Audited, summary_of
from reenact.errors import UsageError
from reenact.govern.metrics import metrics_text

if TYPE_CHECKING:
    from reenact.settings import Settings

__all__ = ["Listeners", "listeners", "tell"]

_TRIES: Final = 3
_PAUSE_SECONDS: Final = 1.0
"""After the first try; doubled after each."""
_HTTP_RETRY: Final = 500
"""Statuses from here on, and 429, may pass; others will not."""
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told."""

    command: tuple[str, ...] = ()
    webhook: str | None = None
    metrics: str | None = None
    timeout_seconds: float = 10.0


def listeners(settings: Settings, on_finding: str | None, webhook: str | None, metrics: str | None) -> Listeners:
    """Put together who is told: what is given, else what the settings say.

    Raises:
        UsageError: the command cannot be split into words, or the address is none.
    """
    chosen = settings.audit
    command, address = on_finding or chosen.on_finding, webhook or chosen.webhook
    try:
        words = tuple(shlex.split(command)) if command else ()
        there = urllib.parse.urlsplit(address) if address else None
        good = there is None or (there.scheme in {"http", "https"} and bool(there.hostname))
    except ValueError as error:
        raise UsageError(f"the command or the webhook of an audit cannot be used: {error}") from error
    if not good:
        raise UsageError("the webhook of an audit is no address", hint="it begins with http:// or https://")
    return Listeners(
        command=words,
        webhook=address,
        metrics=metrics or chosen.metrics,
        timeout_seconds=chosen.timeout_seconds,
    )


def tell(audited: Audited, who: Listeners, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Tell all; give what went wrong, in words without secrets. Bounded: a few tries, each with a limit of time."""
    return list(_tell(audited, who, sleep))


def _tell(audited: Audited, who: Listeners, sleep: Callable[[float], None]) -> Iterator[str]:
    if who.metrics is not None:
        try:
            text = metrics_text(audited.report, sealed=audited.entry is not None)
            atomic.replace(who.metrics, text.encode(), durable=False)
        except OSError as error:
            yield f"the metrics cannot be written to {who.metrics}: {error.strerror}"
    if audited.report.exit_code == 0:
        return
    document = msgspec.json.encode({"text": f"reenact audit: {summary_of(audited.report)}", "audit": audited})
    if who.command:
        yield from _run(who.command, document, who.timeout_seconds)
    if who.webhook is not None:
        yield from _post(who.webhook, document, who.timeout_seconds, sleep)


def _run(command: tuple[str, ...], document: bytes, timeout_seconds: float) -> Iterator[str]:
    try:
        done = subprocess.run(command, input=document, stdout=subprocess.DEVNULL, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        yield f"the command {command[0]} took longer than {timeout_seconds:g} seconds and was stopped"
    except OSError as error:
        yield f"the command {command[0]} cannot be run: {error.strerror}"
    else:
        if done.returncode != 0:
            yield f"the command {command[0]} ended with status {done.returncode}"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would turn the report into a question, perhaps to somebody else."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002 - the base's signature
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        """Take it for the error that it is here."""
        return


def _post(address: str, document: bytes, timeout_seconds: float, sleep: Callable[[float], None]) -> Iterator[str]:
    # The path and query of a webhook are often its secret.
    host = urllib.parse.urlsplit(address).hostname
    opener = urllib.request.build_opener(_Stay)
    failure = ""
    for attempt in range(_TRIES):
        if attempt:
            sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            request = urllib.request.Request(address, document, {"Content-Type": "application/json"})  # noqa: S310 - checked
            with opener.open(request, timeout=timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            failure = f"it answered {error.code}"
            error.close()
            if error.code < _HTTP_RETRY and error.code != _TOO_MANY:
                break
        except (OSError, ValueError, http.client.HTTPException) as error:
            failure = type(error).__name__
    yield f"the webhook at {host} was not told: {failure}"
