"""The name a job gets when nobody names it: its script's, or its program's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["job_name", "script_of"]

_INTERPRETER: Final = re.compile(
    r"(?:python|pypy|perl|ruby|lua|php|node|nodejs|deno|bun|tclsh)[0-9.]*|Rscript|(?:|ba|da|z|k|mk|fi)sh|java|julia"
)
"""Programs whose first word that is no option is the script, so that the script names the job better."""

_INLINE: Final = frozenset({"-c", "-e", "-E", "--eval", "-p", "--print", "-r"})
"""The program follows as text."""

_WITH_VALUE: Final = {
    "python": frozenset({"-W", "-X", "--check-hash-based-pycs"}),
    "java": frozenset({"-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules", "--add-opens"}),
    "node": frozenset({"-r", "--require", "--import", "--loader"}),
    "sh": frozenset({"-o", "-O", "+o", "+O"}),
    "perl": frozenset({"-I"}),
}
"""Options whose next word is their value, by the letters an interpreter's name begins or ends with."""


def job_name(argv: Sequence[str]) -> str:
    """Name a job by its command: ``python -u jobs/etl.py --day 1`` is ``etl``, ``dbt run`` is ``dbt``."""
    program = _base(argv[0]) if argv else ""
    found = script_of(argv)
    if found is None:
        return _stem(program) or "job"
    word, is_module = found
    return word if is_module else _stem(_base(word))


def script_of(argv: Sequence[str]) -> tuple[str, bool] | None:
    """Find the script an interpreter is given: the word, and whether it names a module (``-m``) rather than a file.

    None when the program is no interpreter, or is given its program as text or on standard input.
    """
    program = _base(argv[0]) if argv else ""
    if not _INTERPRETER.fullmatch(program):
        return None
    with_value = next(
        (options for name, options in _WITH_VALUE.items() if program.startswith(name) or program.endswith(name)),
        frozenset[str](),
    )
    words = iter(argv[1:])
    for word in words:
        if word in with_value:
            next(words, None)
        elif word == "-m" and not program.endswith("sh"):
            module = next(words, None)
            return (module, True) if module else None
        elif word in _INLINE or (program.endswith("sh") and re.fullmatch(r"-[a-z]*c", word)):
            return None
        elif not word.startswith(("-", "+")):
            return word, False
    return None


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _stem(name: str) -> str:
    """Take off one extension, but never the whole of a name such as ``.hidden``."""
    head, dot, extension = name.rpartition(".")
    return head if dot and head and not extension.isdecimal() else name
