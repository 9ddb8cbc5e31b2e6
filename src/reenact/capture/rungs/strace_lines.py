"""Reading what strace writes with ``-f -y``: one system call a line, or two parts of one when others come between. Pure.

See: man 1 strace. Strings are C literals with octal escapes; after ``-y`` a descriptor is followed by its path in ``<>``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Call", "Ended", "Lines", "Replaced", "annotation", "flags_of", "text", "words"]

_LINE: Final = re.compile(rb"(\d+) +(.*)", re.DOTALL)
_RESUMED: Final = re.compile(rb"<\.\.\. (\w+) resumed>")
_ENDED: Final = re.compile(rb"\+\+\+ (?:exited with (\d+)|killed by (\w+)(?: \(core dumped\))?) \+\+\+")
_REPLACED: Final = re.compile(rb"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_UNFINISHED: Final = b"<unfinished ...>"
_NAME: Final = re.compile(rb"(\w+)\(")
_TOKEN: Final = re.compile(
    rb'"(?:[^"\\]|\\.)*"(?:\.\.\.)?'  # a string, perhaps cut
    rb"|<(?:->|[^<>\\]|\\.)*>"  # what a descriptor stands for
    rb"|/\*.*?\*/"
    rb'|[\[({]|[\])}]|,|[^"<,\[\](){}/]+|.',
    re.DOTALL,
)
_RESULT: Final = re.compile(rb"\s*= (-?\d+|0x[0-9a-f]+|\?)(<(?:->|[^<>\\]|\\.)*>)?(?: ([A-Z]\w+))?")
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|x[0-9a-f]{2}|.)", re.DOTALL)
_PLAIN_ESCAPES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}
_STRING: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(\.\.\.)?', re.DOTALL)
_FLAG_VALUES: Final = {
    "AT_SYMLINK_NOFOLLOW": 0x100, "AT_SYMLINK_FOLLOW": 0x400, "AT_EMPTY_PATH": 0x1000,
    "RENAME_NOREPLACE": 1, "RENAME_EXCHANGE": 2, "RENAME_WHITEOUT": 4,
    "CLONE_THREAD": 0x10000, "CLONE_NEWNS": 0x20000, "__O_TMPFILE": 0o20000000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that has returned."""

    thread: int
    name: str
    arguments: list[bytes]
    """As written."""
    result: int | None
    """None when it was not seen (the caller was killed meanwhile)."""
    error: str
    """``ENOENT`` and so on, or empty."""
    where: str
    """The path behind the descriptor it returned, or empty."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A thread has ended."""

    thread: int
    code: int | None
    """Its exit status; None when it was killed."""
    signal: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """A thread executed a program and goes on under its process's number."""

    thread: int
    process: int


class Lines:
    """Puts calls together from lines. Feed them in order."""

    def __init__(self) -> None:
        self._begun: dict[int, bytes] = {}

    def begun(self, *names: str) -> list[int]:
        """Give the threads that are in one of these calls, the latest last."""
        heads = tuple(name.encode() + b"(" for name in names)
        return [thread for thread, start in self._begun.items() if start.startswith(heads)]

    def read(self, line: bytes) -> Call | Ended | Replaced | None:
        """Read a line without its newline; None when it completes nothing we know."""
        match = _LINE.match(line)
        if match is None:
            return None
        thread, rest = int(match[1]), match[2]
        if rest.startswith(b"+++"):
            return self._event(thread, rest)
        if rest.startswith(b"---"):
            return None
        if rest.endswith(_UNFINISHED):
            self._begun[thread] = rest[: -len(_UNFINISHED)].rstrip(b" ")
            return None
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            start = self._begun.pop(thread, None)
            if start is None:
                return None
            rest = start + rest[resumed.end() :]
        return _call(thread, rest)

    def _event(self, thread: int, rest: bytes) -> Ended | Replaced | None:
        replaced = _REPLACED.match(rest)
        if replaced is not None:
            process = int(replaced[1])
            start = self._begun.pop(thread, None)
            if start is not None:
                self._begun[process] = start
            return Replaced(thread, process)
        ended = _ENDED.match(rest)
        if ended is None:
            return None
        self._begun.pop(thread, None)
        return Ended(thread, int(ended[1]) if ended[1] is not None else None, (ended[2] or b"").decode())


def _call(thread: int, rest: bytes) -> Call | None:
    name = _NAME.match(rest)
    if name is None:
        return None
    arguments, end = _split(rest, name.end())
    result = _RESULT.match(rest, end)
    if result is None:
        return None
    number = None if result[1] == b"?" else int(result[1], 0)
    where = annotation(result[2]) if result[2] else ""
    return Call(thread, name[1].decode(), arguments, number, (result[3] or b"").decode(), where)


def _split(rest: bytes, start: int) -> tuple[list[bytes], int]:
    """Split arguments at their outer commas; give them and the position behind the closing parenthesis."""
    arguments: list[bytes] = []
    depth, begun, at = 0, start, start
    for token in _TOKEN.finditer(rest, start):
        piece, at = token[0], token.end()
        if piece in (b"(", b"[", b"{"):
            depth += 1
        elif piece in (b"]", b"}") or (piece == b")" and depth):
            depth -= 1
        elif piece == b")":
            break
        elif piece == b"," and not depth:
            arguments.append(rest[begun : token.start()].strip())
            begun = at
    else:
        return arguments, at
    last = rest[begun : at - 1].strip()
    return ([*arguments, last] if last or arguments else arguments), at


def _unescape(data: bytes) -> bytes:
    if b"\\" not in data:
        return data

    def plain(match: re.Match[bytes]) -> bytes:
        found = match[1]
        if found[:1].isdigit():
            return bytes((int(found, 8) & 0xFF,))
        if len(found) > 1:
            return bytes((int(found[1:], 16),))
        return _PLAIN_ESCAPES.get(found, found)

    return _ESCAPE.sub(plain, data)


def text(argument: bytes) -> str | None:
    """Read a string argument, decoded like :func:`os.fsdecode`; None when it is none (NULL, an unreadable address)."""
    match = _STRING.match(argument)
    return os.fsdecode(_unescape(match[1])) if match is not None else None


def words(argument: bytes) -> list[tuple[str, bool]]:
    """Read an array of strings (argv): each with whether strace cut it off."""
    return [(os.fsdecode(_unescape(match[1])), bool(match[2])) for match in _STRING.finditer(argument)]


def annotation(argument: bytes) -> str:
    """Give the path in ``3</some/path>``; empty when there is none (a socket, a pipe, a descriptor that is not open)."""
    argument = argument.removesuffix(b"(deleted)")  # outside the brackets in newer versions, inside in older ones
    start = argument.find(b"<")
    if start < 0 or not argument.endswith(b">"):
        return ""
    path = os.fsdecode(_unescape(argument[start + 1 : -1]))
    return path.removesuffix(" (deleted)") if path.startswith("/") else ""


def flags_of(argument: bytes) -> int:
    """Give the value of flags written as ``O_WRONLY|O_CREAT|0x40``; names this system does not know count nothing."""
    value = 0
    for name in argument.decode("ascii", "replace").split("|"):
        word = name.strip()
        if word[:1].isdigit():
            try:
                value |= int(word.split(" ")[0], 0 if word[:2] == "0x" else 8)
            except ValueError:
                continue
        else:
            value |= _FLAG_VALUES.get(word, getattr(os, word, 0) if word.startswith("O_") else 0)
    return value
