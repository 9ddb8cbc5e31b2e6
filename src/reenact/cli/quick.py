"""`reenact run` without click: reading its words, and starting the recording.

Understands only plainly written command lines. For anything else (help, a mistake, an unusual spelling) it gives None, and
click, which knows all options and writes all messages, reads the words again. Where both understand, both read the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Words", "parse_run", "start"]

_ONE: Final = {"--job": "job", "--rung": "rung", "--store": "store"}
_PAIR: Final = {"-p": "parameters", "--param": "parameters", "--label": "labels"}
_RUNGS: Final = frozenset({"auto", "kernel", "strace", "python", "declared"})


class Words(NamedTuple):
    """What was asked for on the command line of `reenact run`."""

    argv: tuple[str, ...]
    job: str | None = None
    parameters: dict[str, str] = {}  # noqa: RUF012 - never written to
    labels: dict[str, str] = {}  # noqa: RUF012 - same
    rung: str | None = None
    linger_seconds: float | None = None
    store: str | None = None


def parse_run(words: Sequence[str]) -> Words | None:
    """Read the words after `run`; None when they are not plain."""
    one: dict[str, str] = {}
    pairs: dict[str, dict[str, str]] = {"parameters": {}, "labels": {}}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            at += 1
            break
        name, given, value = words[at].partition("=")
        if given and not name.startswith("--"):
            return None
        if not given:
            at += 1
            if at == len(words) or words[at].startswith("-"):
                return None
            value = words[at]
        at += 1
        if name in _PAIR:
            key, equals, text = value.partition("=")
            if not key or not equals:
                return None
            pairs[_PAIR[name]][key] = text
        elif name in _ONE and value:
            one[_ONE[name]] = value
        else:
            return None
    if at == len(words) or one.get("rung", "auto") not in _RUNGS:
        return None
    return Words(
        tuple(words[at:]), one.get("job"), pairs["parameters"], pairs["labels"], one.get("rung"), None, one.get("store")
    )


def start(words: Words) -> int:
    """Record a command; give its exit status, or die of the signal it died of."""
    from reenact.capture.streams import occupy_closed  # noqa: PLC0415 - parsing alone needs none of it

    occupy_closed()
    from reenact.actions.record import RunRequest, record  # noqa: PLC0415 - same
    from reenact.settings import load  # noqa: PLC0415 - same

    result = record(load(os.getcwd(), os.environ, {"store": words.store}), RunRequest(**words._asdict()))
    if result.summary_line and sys.stderr is not None:
        print(result.summary_line, file=sys.stderr, flush=True)
    if result.signal is not None:
        _die_of(result.signal)
    return result.exit_code


def _die_of(number: int) -> None:
    """End by a signal, so that whoever started us sees what they would have seen from the command itself.

    Returns if the signal does not end a process; the exit status then has to say it.
    """
    import resource  # noqa: PLC0415 - a job killed by a signal is rare
    import signal  # noqa: PLC0415 - same

    sys.stdout.flush()
    sys.stderr.flush()
    # The job left its core file, if it was to; ours would be of no use to anyone.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
