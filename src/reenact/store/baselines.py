"""The choices of baselines, as bytes under their keys: ``baselines/<job>/<number>.json``. What they say is :mod:`reenact.model.baseline`'s.

A job's name may hold any character, a key few: what a key cannot have is written as ``_`` and two hexadecimal digits.
"""

from __future__ import annotations

import re
from typing import Final

from reenact.store.interface import Backend

__all__ = ["BASELINES", "Baselines", "folder_of"]

BASELINES: Final = "baselines"
_PLAIN: Final = re.compile(rb"[A-Za-z0-9]")
_INSIDE: Final = re.compile(rb"[A-Za-z0-9.-]")
_NUMBER: Final = re.compile(r"(\d{6,})\.json")


def folder_of(job: str) -> str:
    """Give the folder of a job's choices; different jobs have different ones."""
    raw = job.encode("utf-8", "surrogateescape")
    found = [
        chr(byte) if (_INSIDE if place else _PLAIN).match(bytes([byte])) else f"_{byte:02x}"
        for place, byte in enumerate(raw)
    ]
    return f"{BASELINES}/{''.join(found) or '_'}"


class Baselines:
    """The choices of one store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def numbers(self, job: str) -> list[int]:
        """Give the numbers of a job's choices, ascending."""
        return self._numbers(folder_of(job))

    def _numbers(self, folder: str) -> list[int]:
        return sorted(int(match[1]) for name in self._backend.names(folder) if (match := _NUMBER.fullmatch(name)))

    def get(self, job: str, number: int) -> bytes:
        """Give a choice.

        Raises:
            KeyAbsent: there is none of that number.
        """
        return self._backend.get(_key(folder_of(job), number))

    def put(self, job: str, number: int, data: bytes) -> bool:
        """Put a choice; tell whether there was none of that number. Durable on return."""
        return self._backend.put_if_absent(_key(folder_of(job), number), data)

    def withdraw(self, job: str, number: int) -> None:
        """Take back a choice that was not logged: the run is being pruned already."""
        self._backend.delete(_key(folder_of(job), number))

    def latest(self) -> list[bytes]:
        """Give the choice that holds, of each job that has any."""
        folders = [f"{BASELINES}/{name}" for name in self._backend.names(BASELINES)]
        return [
            self._backend.get(_key(folder, numbers[-1])) for folder in folders if (numbers := self._numbers(folder))
        ]


def _key(folder: str, number: int) -> str:
    return f"{folder}/{number:06d}.json"
