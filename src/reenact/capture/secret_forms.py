"""Which stretches of a text are secrets by their form: tokens with a known prefix, passwords in URLs, headers, key blocks.

Pure. Each form has literal hints that are looked for first, so that its pattern is compiled only when it may match: a
recording pays microseconds for a text that holds nothing. Forms do not find a secret that looks like any other word; for
those there are names (:mod:`reenact.capture.secret_names`) and values already known (:mod:`reenact.capture.redact`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from reenact.capture import secret_names
from reenact.capture.secret_spans import Span

__all__ = ["find"]


class _Form(NamedTuple):
    kind: str
    hints: tuple[str, ...]
    """One of these is in every text the pattern matches, in lower case."""
    pattern: str
    """Group 1 is the secret; without a group the whole match is."""


# The secret of a key block is what lies between its lines; a block that was cut off counts to the end of the text.
_KEY_BLOCK: Final = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.+?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)

# RFC 3986 ends the authority at the first slash, but drivers accept slashes and @ in a password (SQLAlchemy's URLs), so only a
# port before a slash (`host:8080/a@b`) tells that there is none. The bound keeps a hostile text from costing quadratic time.
_URL_LOGIN: Final = (
    r"://[^\s/?#:@'\"]*+:(?!\d{1,5}/)((?:(?!://)[^\s'\"]){0,512}?[^\s'\"@])@(?=[^\s@'\"/?#]{0,256}+(?:[\s/?#'\"]|\Z))"
)
# A scheme may come first. What begins like an expansion is a reference to a secret, not one.
_AUTHORIZATION: Final = (
    r"(?i)authorization['\"]?[ \t]*[:=][ \t]*['\"]?(?:[A-Za-z][\w-]{2,15}[ \t]+)?+(?![$`{<%])([^\s'\",;]+)"
)

_FORMS: Final = (
    _Form("private-key", ("private key",), "(?s)" + _KEY_BLOCK),
    _Form("url-password", ("://",), _URL_LOGIN),
    _Form("url-password", ("jdbc:oracle:",), r"(?i)jdbc:oracle:\w+:[^/\s@]+/([^@\s]+)@"),
    _Form("authorization", ("authorization",), _AUTHORIZATION),
    _Form("bearer", ("bearer ",), r"(?i)\bbearer[ \t]+(?=[A-Za-z._~+/=-]*\d)([A-Za-z0-9._~+/=-]{8,})"),
    _Form("cookie", ("cookie:",), r"(?im)\b(?:set-)?cookie:[ \t]*([^\r\n'\"]+)"),
    _Form("aws-key", ("akia", "asia", "abia", "acca"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    _Form("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[opsur]_[A-Za-z0-9]{36,255}"),
    _Form("github-token", ("github_pat_",), r"\bgithub_pat_\w{22,255}"),
    _Form("gitlab-token", ("gl",), r"\bgl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|soat)-[\w-]{20,}"),
    _Form("slack-token", ("xox", "xapp-"), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"),
    _Form("slack-webhook", ("hooks.slack.com",), r"hooks\.slack\.com/services/([A-Za-z0-9/]{20,})"),
    _Form("jwt", ("eyj",), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    _Form("google-key", ("aiza",), r"\bAIza[\w-]{35}"),
    _Form("google-token", ("ya29.",), r"\bya29\.[\w-]{20,}"),
    _Form("stripe-key", ("_live_", "_test_"), r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    _Form("api-key", ("sk-",), r"\bsk-[\w-]{20,}"),
    _Form("npm-token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    _Form("pypi-token", ("pypi-",), r"\bpypi-A[\w-]{50,}"),
    _Form("huggingface-token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    _Form("databricks-token", ("dapi",), r"\bdapi[0-9a-f]{32}\b"),
    _Form("sendgrid-key", ("sg.",), r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    _Form("vault-token", ("hvs.", "hvb."), r"\bhv[sb]\.[\w-]{24,}"),
    _Form("age-key", ("age-secret-key-",), r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}"),
)

# `name=value`, `"name": "value"`. The name is bounded so that a long run of word characters costs linear time.
_NAMED: Final = r"(?<![\w./])([A-Za-z_][\w.-]{0,79})(=|['\"]?[ \t]*:[ \t]*)"
# A bare value that begins like an expansion ($X, `x`, {x}, <x>) or goes on like code (f(...), x[...]) is not a literal. The
# angle quotes are those of a marker.
_BARE: Final = r"[^\s&;,'\"()<>{}\[\]$`\u2039\u203a]++"
_VALUE: Final = (
    rf"\"(?P<double>(?:[^\"\\\n]|\\.)+)\"|'(?P<single>[^'\n]+)'|(?P<bare>{_BARE})(?![(\[{{])|(?P<code>{_BARE})"
)
_NAME_HINTS: Final = ("credential", "jwt", "key", "pass", "pwd", "secret", "token")
"""Every strong name has one of these in it."""

_TYPES: Final = frozenset({"any", "bool", "bytes", "float", "int", "optional", "str", "string"})


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _assigned(text: str) -> Iterator[Span]:
    named_at, value_at = _compiled(_NAMED), _compiled(_VALUE)
    at = 0
    while named := named_at.search(text, at):
        at = named.end()
        name = named[1]
        value = value_at.match(text, at) if secret_names.strength(name) == "strong" else None
        if value is None or value.lastgroup is None:
            continue
        at = value.end()  # Never read twice: a line of `password=password=...` costs linear time.
        kind = value.lastgroup
        before = text[max(0, named.start() - 2) : named.start()].rstrip(" \t")
        if kind == "bare" and (before.endswith(("(", ",")) or value[kind].lower() in _TYPES):
            continue  # A keyword argument or an annotation: what is bare there is a name, not a literal.
        if kind != "code" and secret_names.is_secret(name, value[kind]):
            yield Span(*value.span(kind), name)


def find(text: str) -> list[Span]:
    """Find what is secret by its form, in no particular order; stretches may overlap. Linear in the text's length.

    Every form but the key block lies within one line, so that a stream can be searched line by line.
    """
    lowered = text.lower()
    spans: list[Span] = []
    for form in _FORMS:
        if any(hint in lowered for hint in form.hints):
            pattern = _compiled(form.pattern)
            group = 1 if pattern.groups else 0
            spans.extend(Span(*match.span(group), form.kind) for match in pattern.finditer(text))
    if any(hint in lowered for hint in _NAME_HINTS):
        spans.extend(_assigned(text))
    return [span for span in spans if span.end > span.start]
