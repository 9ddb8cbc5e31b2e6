"""Which names of variables, parameters and options say that their value is a secret. Pure; no value is kept.

Two strengths. A *strong* name (``DB_PASSWORD``, ``--api-key``) makes any value but a trivial one a secret. A *weak* name
(``SESSION``, ``AUTH``, ``DSN``) does so only for a value that looks drawn by a machine, because just as often it holds a word,
a path or a date. A name whose last word says that it is *about* a secret (``TOKEN_FILE``, ``SSH_AUTH_SOCK``,
``PASSWORD_MIN_LENGTH``, ``TOKEN_URL``) does not count at all: what a URL carries is found by its form.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

__all__ = ["NEVER", "Strength", "is_secret", "strength", "words"]

Strength = Literal["strong", "weak", "none"]

NEVER: Final = frozenset(
    {
        # Names and addresses of a desktop or terminal session: not secrets, and jobs read them.
        "desktop_session",
        "gdmsession",
        "session_manager",
        "sessionname",
        "term_session_id",
        "iterm_session_id",
        "xdg_session_id",
        "xdg_session_path",
        "dbus_session_bus_address",
        "dbus_session_bus_pid",
        # Python's and R's hash and tokenizer switches sound like it.
        "tokenizers_parallelism",
    }
)
"""Names, in lower case, that sound secret and are not."""

_FOLDERS: Final = frozenset({"pwd", "oldpwd"})
"""The shell's working folder when it is a path; a password in connection strings."""

_STRONG: Final = frozenset(
    {
        "passphrase",
        "oldpwd",
        "password",
        "passwd",
        "pwd",
        "secret",
        "secrets",
        "token",
        "credential",
        "credentials",
        "jwt",
    }
)
_STRONG_INSIDE: Final = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "authtoken",
    "accesstoken",
    "encryptionkey",
    "signingkey",
    "accountkey",
    "sharedkey",
    "masterkey",
)
"""Found anywhere in a name once its separators are gone: ``PGPASSWORD``, ``AZURE_STORAGE_ACCOUNT_KEY``, ``apikey``."""

_WEAK: Final = frozenset(
    {"auth", "authorization", "bearer", "cookie", "cookies", "dsn", "pass", "pat", "sas", "session", "signature"}
)

_ABOUT: Final = frozenset(
    """
    address alg algorithm arn attempts audience backend budget bus class cmd column columns command count days dir
    directory disabled enabled encoding endpoint env exists expiration expires expiry field fields file filename
    folder format header helper host hostname interval issuer len length lifetime limit location manager max method
    min mode name names path pattern pid policy port program prompt provider rate realm ref refresh regex region
    required retries rotation scheme scope scopes size sock socket stdin store strategy table timeout ttl type types
    uri url user username uses vault version window
    """.split()  # noqa: SIM905 - a column of eighty words reads worse
)
"""Last words that make a name tell something about a secret instead of holding it."""

_FLAG: Final = frozenset(
    {
        "ask",
        "disable",
        "generate",
        "has",
        "hide",
        "is",
        "mask",
        "max",
        "min",
        "no",
        "num",
        "prompt",
        "require",
        "show",
        "skip",
        "use",
        "without",
    }
)
"""First words of switches (``--no-password``, ``USE_TOKEN``): they hold yes or no. And bounds (``MAX_TOKEN``)."""

_TRIVIAL: Final = frozenset({"", "0", "1", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "-"})
_PLAIN: Final = r"""(?xs) [A-Za-z]+ (?:[-_ ][A-Za-z]+)*   # words
      | [-+]?[0-9.,:]+                                    # a number, a version, a time
      | [0-9]{4}-[0-9]{2}(?:-[0-9]{2})? .{0,16}           # a date
      | \.{0,2}/.* | ~.*                                  # a path
      | [^\s@]*\.[A-Za-z][A-Za-z0-9]{0,7}                 # a file, a host
      | [A-Za-z][A-Za-z0-9+.-]*://[^\s@]*                 # a URL without a user
"""
_MACHINE_LENGTH: Final = 8
"""A weak name's value shorter than this is not taken for a secret."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def words(name: str) -> list[str]:
    """Split ``DB_PASSWORD``, ``db-password`` and ``dbPassword`` alike into lower-case words."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def strength(name: str) -> Strength:
    """Tell how surely a variable, parameter or option of this name holds a secret; leading dashes do not matter."""
    bare = name.lstrip("-")
    if bare.lower().replace("-", "_") in NEVER:
        return "none"
    # At most so much of a name is read: a longer one is no name a person chose.
    parts = [word for word in words(bare[:128]) if not word.isdigit()]
    if not parts or parts[-1] in _ABOUT or parts[0] in _FLAG or "public" in parts:
        return "none"
    compact = "".join(parts)
    if not _STRONG.isdisjoint(parts) or any(inside in compact for inside in _STRONG_INSIDE):
        return "strong"
    return "weak" if not _WEAK.isdisjoint(parts) else "none"


def is_secret(name: str, value: str) -> bool:
    """Tell whether `value` under `name` is to be kept out of every record.

    A value with a marker in it (see :mod:`reenact.capture.redact`) cannot be judged by its look any more, so a weak name no
    longer counts: redacting twice is redacting once.
    """
    how = strength(name)
    if how == "none" or value.strip().lower() in _TRIVIAL:
        return False
    if how == "strong":
        return not (name.lower() in _FOLDERS and value.startswith("/"))
    return (
        len(value) >= _MACHINE_LENGTH
        and "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}" not in value
        and not re.fullmatch(_PLAIN, value)
    )
