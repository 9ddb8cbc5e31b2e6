"""The entry point. `reenact run` takes a short way past click, whose import would cost more than the rest of the start."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and give its exit status.

    Args:
        words: The words after the program's name; None means this process's.
    """
    given = sys.argv[1:] if words is None else list(words)
    _stand_in()
    try:
        status = _dispatch(given)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`reenact runs | head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("REENACT_DEBUG"):
            raise
        from reenact.cli.errors import report  # noqa: PLC0415 - only when something went wrong

        return report(error)
    if words is None and given[:1] == ["run"]:
        _leave(status)
    return status


def _leave(status: int) -> NoReturn:
    """End this process at once: the run is in the store, and taking the interpreter down costs a short job 15 ms."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed from the start
            stream.flush()
    os._exit(status)


def _stand_in() -> None:
    """Where we were started without standard input, output or error, have one that leads nowhere.

    Python has None for it; and the next file that is opened, the store's, would take its number, and what is printed.
    """
    if None not in {sys.stdin, sys.stdout, sys.stderr}:
        return
    from reenact.capture.streams import occupy_closed  # noqa: PLC0415 - hardly ever

    occupy_closed()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - to the end of the process


def _dispatch(words: list[str]) -> int:
    if words[:1] == ["run"]:
        from reenact.cli import quick  # noqa: PLC0415 - the short way, see the module docstring

        if (request := quick.parse_run(words[1:])) is not None:
            return quick.start(request)
    from reenact.cli.group import invoke  # noqa: PLC0415 - same

    return invoke(words)


if __name__ == "__main__":
    sys.exit(main())
