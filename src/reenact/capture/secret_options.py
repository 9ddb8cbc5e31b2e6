"""Which words of a command line are secrets: by option, by assignment, and by the habits of well-known programs. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from reenact.capture import secret_names
from reenact.capture.secret_spans import Span

__all__ = ["Judge", "find"]

_OPTION: Final = re.compile(r"(?s)(?:-D|--?)([A-Za-z_][\w.-]*)(?:(=)(.*))?")
_ASSIGNMENT: Final = re.compile(r"(?s)([A-Za-z_][\w.-]{0,127})=(.+)")

_SHELLS: Final = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})

_INTERPRETERS: Final = re.compile(r"(?:bun|deno|lua|node|perl|php|pypy|python|Rscript|ruby)[0-9.]*")
_CODE_OPTIONS: Final = frozenset({"-c", "-e", "-E", "-p", "-r", "--eval", "--print"})
"""With these an interpreter's next word is a program: `TOKEN=read(...)` in it is code, left to the forms."""

_WHOLE: Final = ""
"""The option's value is the secret; any other rule is the text after which the secret begins."""

_PROGRAMS: Final[dict[str, dict[str, str]]] = {
    "7z": {"-p": _WHOLE},
    "7za": {"-p": _WHOLE},
    "bcp": {"-P": _WHOLE},
    "beeline": {"-p": _WHOLE},
    "curl": {
        "-u": ":",
        "--user": ":",
        "-U": ":",
        "--proxy-user": ":",
        "-b": "=",
        "--cookie": "=",
        "--oauth2-bearer": _WHOLE,
        "--pass": _WHOLE,
    },
    "docker": {"-p": _WHOLE},
    "http": {"-a": ":", "--auth": ":"},
    "https": {"-a": ":", "--auth": ":"},
    "ldapadd": {"-w": _WHOLE},
    "ldapmodify": {"-w": _WHOLE},
    "ldapsearch": {"-w": _WHOLE},
    "lftp": {"-u": ","},
    "mariadb": {"-p": _WHOLE},
    "mariadb-dump": {"-p": _WHOLE},
    "mongo": {"-p": _WHOLE},
    "mongodump": {"-p": _WHOLE},
    "mongoexport": {"-p": _WHOLE},
    "mongoimport": {"-p": _WHOLE},
    "mongorestore": {"-p": _WHOLE},
    "mongosh": {"-p": _WHOLE},
    "mysql": {"-p": _WHOLE},
    "mysqladmin": {"-p": _WHOLE},
    "mysqldump": {"-p": _WHOLE},
    "mysqlimport": {"-p": _WHOLE},
    "openssl": {"-k": _WHOLE, "-pass": "pass:", "-passin": "pass:", "-passout": "pass:"},
    "podman": {"-p": _WHOLE},
    "redis-cli": {"-a": _WHOLE},
    "skopeo": {"-p": _WHOLE},
    "smbclient": {"-U": "%"},
    "sqlcmd": {"-P": _WHOLE},
    "sshpass": {"-p": _WHOLE},
    "unzip": {"-P": _WHOLE},
    "wget": {"--user": ":"},
    "xh": {"-a": ":", "--auth": ":"},
    "zip": {"-P": _WHOLE},
}
"""Program to its options that carry a secret and do not say so by name."""

_ATTACHED_ONLY: Final = frozenset(
    {"7z", "7za", "mariadb", "mariadb-dump", "mysql", "mysqladmin", "mysqldump", "mysqlimport"}
)
"""Here the next word is not the option's value: `mysql -p shop` asks for the password of the database `shop`."""

_NEEDS_LOGIN: Final = frozenset({"docker", "podman", "skopeo"})
"""Here `-p` is a password only after the word `login`; elsewhere it publishes a port."""


Judge = Callable[[str, str], bool]
"""Tells whether a value under a name is a secret."""


def find(argv: Sequence[str], is_secret: Judge = secret_names.is_secret) -> Iterator[tuple[int, Span]]:
    """Find the secrets of a command line as (index of the word, stretch of it); stretches may overlap.

    A word that follows a secret option and itself begins with a dash is taken for the next option, not for a secret.
    Programs behind wrappers (``env``, ``sudo``, ``timeout 5``) and inside ``sh -c`` are seen too.
    """
    program = ""
    code_at = -1
    for index, word in enumerate(argv):
        following = argv[index + 1] if index + 1 < len(argv) else ""
        if word.startswith("-") and index != code_at:
            yield from _option(index, word, following, is_secret)
            if program in _PROGRAMS and (program not in _NEEDS_LOGIN or "login" in argv[:index]):
                yield from _habit(index, word, following, program)
            elif program in _SHELLS and word.endswith("c") and not word.startswith("--"):
                code_at = index + 1
                yield from ((code_at, span) for span in _script(following, is_secret))
            elif word in _CODE_OPTIONS and _INTERPRETERS.fullmatch(program):
                code_at = index + 1
        elif index != code_at:
            program = _program(word) or program
            match = _ASSIGNMENT.fullmatch(word)
            if match and is_secret(match[1], match[2]):
                yield index, Span(match.start(2), len(word), match[1])


def _program(word: str) -> str:
    """Name the program a word may be, if it is one whose habits are known."""
    name = os.path.basename(word)
    return name if name in _PROGRAMS or name in _SHELLS or _INTERPRETERS.fullmatch(name) else ""


def _option(index: int, word: str, following: str, is_secret: Judge) -> Iterator[tuple[int, Span]]:
    option = _OPTION.fullmatch(word)
    if option is None:
        return
    if option[2]:
        if is_secret(option[1], option[3]):
            yield index, Span(option.start(3), len(word), option[1])
    elif following and not following.startswith("-") and is_secret(option[1], following):
        yield index + 1, Span(0, len(following), option[1])


def _habit(index: int, word: str, following: str, program: str) -> Iterator[tuple[int, Span]]:
    for option, rule in _PROGRAMS[program].items():
        if word == option:
            if program not in _ATTACHED_ONLY and not following.startswith("-"):
                yield from ((index + 1, span) for span in _after(rule, following, 0, program))
        elif word.startswith(option + "=") and option.startswith("--"):
            yield from ((index, span) for span in _after(rule, word, len(option) + 1, program))
        elif word.startswith(option) and len(option) == 2:  # noqa: PLR2004 - a dash and a letter
            yield from ((index, span) for span in _after(rule, word, len(option), program))


def _after(rule: str, word: str, start: int, program: str) -> Iterator[Span]:
    found = word.find(rule, start)
    if found >= 0 and found + len(rule) < len(word):
        yield Span(found + len(rule), len(word), f"{program}-password")


def _script(text: str, is_secret: Judge) -> Iterator[Span]:
    """Find the secrets in the command line inside a word (``sh -c WORD``), wherever they stand in it."""
    import shlex  # noqa: PLC0415 - few commands need it

    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        inner = list(lexer)
    except ValueError:
        return  # Unbalanced quotes: the shell will refuse it, or it is no shell's text.
    for index, span in find(inner, is_secret):
        value = inner[index][span.start : span.end]
        if value.startswith(("$", "`")):
            continue  # An expansion: the word names a secret but does not hold it.
        start = text.find(value)
        while start >= 0:
            yield Span(start, start + len(value), span.label)
            start = text.find(value, start + len(value))
