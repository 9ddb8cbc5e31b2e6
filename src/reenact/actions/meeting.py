"""Meet a store in a bucket for the first time: in a process of its own.

A recording forks, and the threads of the library that speaks to buckets do not survive that. So the process that will fork
never uses it: what it has to know of the store it is told through a pipe, once; later it is kept on this host.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from reenact.errors import ReenactError, StoreError
from reenact.store.description import DESCRIPTION, Description, parse_description

if TYPE_CHECKING:
    from reenact.store.opening import Store

__all__ = ["meet"]

_GOOD, _BAD = b"+", b"-"


def meet(location: str, open_store: Callable[[], Store]) -> Description:
    """Open a store elsewhere, so that it is there and known; give what it says of itself.

    Raises:
        StoreError: it cannot be made or read.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _tell(writer, open_store)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if answer[:1] == _GOOD:
        return parse_description(answer[1:], location)
    message, _, hint = answer[1:].decode(errors="replace").partition("\n")
    raise StoreError(message or f"{location} cannot be opened", hint=hint)


def _tell(writer: int, open_store: Callable[[], Store]) -> None:
    """Open the store, say how that went, and end this process."""
    try:
        answer = _GOOD + open_store().backend.get(DESCRIPTION)
    except ReenactError as error:
        answer = _BAD + f"{error}\n{error.hint()}".encode()
    except BaseException as error:  # noqa: BLE001 - nothing may run on in a forked copy of the caller
        answer = _BAD + f"{type(error).__name__}: {error}".encode()
    with open(writer, "wb") as pipe:
        pipe.write(answer)
    os._exit(0)
