"""Keep secrets off the disk: everything a recording writes that a person or a program wrote goes through a Redactor first.

A secret is known by its name (:mod:`~reenact.capture.secret_names`), by its form (:mod:`~reenact.capture.secret_forms`), by the
option before it (:mod:`~reenact.capture.secret_options`), or because it equals or contains a value already learned. In its place stands
a marker, ``‹redacted:LABEL:FINGERPRINT12›``; the fingerprint is keyed, so that it can be compared and not guessed.

Values of :data:`MINIMUM_LENGTH` characters or more are replaced wherever they appear. Shorter ones only where their name, option
or form shows them: replacing every ``test`` or ``root`` would shred paths and protect nothing.

Texts are the inner form (surrogate-escaped), before :func:`reenact.model.paths.to_text`.
"""

from __future__ import annotations

import binascii
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reenact.capture import secret_forms, secret_names, secret_options
from reenact.capture.secret_spans import Span, choose, fill

__all__ = ["FINGERPRINT_PREFIX", "MARKER", "MINIMUM_LENGTH", "Redactor", "labels"]

MINIMUM_LENGTH: Final = 6
"""Shortest value, in characters, that is looked for outside the place it was learned at."""

FINGERPRINT_PREFIX: Final = "hmac-sha256:"
_SHORT: Final = 12
"""Hex digits of the fingerprint in a marker: 48 bits tell a run's few secrets apart."""

MARKER: Final = re.compile(r"‹redacted:([A-Za-z0-9_.-]{1,64}):([0-9a-f]{12})›")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")

_LINE_BYTES: Final = 4096
"""A line up to this length is held back until it is whole: forms are found in whole lines."""

_LINE_LENGTH: Final = 16
"""Lines of a multi-line secret (a key) from this length on are secrets of their own: logs indent and wrap them."""


def labels(text: str) -> tuple[str, ...]:
    """Name the secrets that were taken out of a text, in the order they stand in it."""
    return tuple(match[1] for match in MARKER.finditer(text))


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def _variants(value: str) -> Iterator[str]:
    """Give a secret as it stands and as programs write it: percent-encoded, in JSON, in base64, line by line."""
    yield value
    raw = value.encode("utf-8", "surrogateescape")
    yield binascii.b2a_base64(raw, newline=False).decode("ascii")
    if not (value.isascii() and value.isalnum()):
        import json  # noqa: PLC0415 - 5 ms together, which most launches do not need
        from urllib.parse import quote, quote_plus, unquote  # noqa: PLC0415

        yield from (quote(raw, safe=""), quote_plus(raw), unquote(value, errors="surrogateescape"))
        yield json.dumps(value)[1:-1]
    if "\n" in value:
        lines = (line.strip() for line in value.splitlines())
        yield from (line for line in lines if len(line) >= _LINE_LENGTH and not line.startswith("-----"))


class Redactor:
    """Replaces secrets by markers. Learn first, then redact; not thread-safe while learning.

    Redacting is stable (the same text gives the same text) and idempotent, and no learned value of :data:`MINIMUM_LENGTH` or
    more is left in what it returns, outside the markers themselves.
    """

    def __init__(self, key: bytes, *, patterns: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        """Make a redactor that knows no values yet.

        Args:
            key: Keys the fingerprints; whoever has it can test guesses, so it stays with the store's private keys.
            patterns: More names whose values are secret, as shell patterns, case ignored and ``-`` the same as ``_`` (``MY_*_CODE``).
            allow: Names whose values are never redacted for their name or form, compared likewise.
        """
        self._key = key
        self._patterns = tuple(map(_folded, patterns))
        self._allow = frozenset(map(_folded, allow))
        self._known: dict[str, str] = {}

    # Handing over

    def state(self) -> dict[str, Any]:
        """Give all it knows, secrets included, as JSON values: to be sent to another process, never to be written down."""
        return {
            "key": self._key.hex(),
            "patterns": list(self._patterns),
            "allow": sorted(self._allow),
            "known": self._known,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Redactor:
        """Make a redactor that knows what another one knew."""
        made = cls(bytes.fromhex(state["key"]), patterns=state["patterns"], allow=state["allow"])
        made._known.update(state["known"])
        return made

    # Learning

    def learn(
        self, environment: Mapping[str, str], argv: Sequence[str] = (), parameters: Mapping[str, str] | None = None
    ) -> None:
        """Collect the secret values of a launch. May be called again; a value keeps the label it was first given."""
        for mapping in (environment, parameters or {}):
            for name in sorted(mapping):
                if self._is_secret(name, mapping[name]):
                    self._remember(mapping[name], name)
                elif _folded(name) not in self._allow:
                    self._learn_forms(mapping[name], name)
        for index, span in secret_options.find(argv, self._is_secret):
            if _folded(span.label) not in self._allow:
                self._remember(argv[index][span.start : span.end], span.label)
        for word in argv:
            self._learn_forms(word, "")

    def _learn_forms(self, text: str, name: str) -> None:
        for span in sorted(secret_forms.find(text)):
            if _folded(span.label) not in self._allow:
                self._remember(text[span.start : span.end], name or span.label)

    def _remember(self, value: str, label: str) -> None:
        if MARKER.search(value):
            return  # Redacted before: there is nothing to learn from a marker.
        for variant in _variants(value):
            if len(variant) >= MINIMUM_LENGTH:
                self._known.setdefault(variant, label)

    def _is_secret(self, name: str, value: str) -> bool:
        if _folded(name) in self._allow:
            return False
        if value and any(fnmatch.fnmatchcase(_folded(name), pattern) for pattern in self._patterns):
            return True
        return secret_names.is_secret(name, value)

    # Redacting

    def fingerprint(self, value: str) -> str:
        """Give the keyed fingerprint of a secret: the same for the same value under the same key."""
        import hmac  # noqa: PLC0415 - 5 ms where there is no secret

        return FINGERPRINT_PREFIX + hmac.digest(self._key, value.encode("utf-8", "surrogateescape"), "sha256").hex()

    def text(self, text: str) -> str:
        """Replace every known value and every secret form in a text."""
        return self._until_stable(text, allow_forms=True)

    @property
    def longest_bytes(self) -> int:
        """So many bytes of a stream may have to be held back, lest a secret lie across two pieces of it; never zero."""
        known = max((len(value.encode("utf-8", "surrogateescape")) for value in self._known), default=0)
        return max(known, _LINE_BYTES)

    @property
    def longest_multiline_bytes(self) -> int:
        """Length of the longest known value that has several lines; zero without one."""
        lengths = (len(value.encode("utf-8", "surrogateescape")) for value in self._known if "\n" in value)
        return max(lengths, default=0)

    def secrets_in(self, text: str) -> list[Span]:
        """Find every known value and secret form in a text, in no particular order; stretches may overlap."""
        return [*self._known_in(text), *secret_forms.find(text)]

    def data(self, data: bytes) -> bytes:
        """Redact captured bytes; bytes that are not UTF-8 stay as they are.

        A secret that lies across two calls is missed:
        for a stream that comes in pieces see :mod:`reenact.capture.redact_stream`.
        """
        before = data.decode("utf-8", "surrogateescape")
        after = self.text(before)
        return data if after == before else after.encode("utf-8", "surrogateescape")

    def variables(self, environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Split environment variables into those kept (secret parts replaced) and those redacted (name to fingerprint).

        Nothing else is left out: what looks like noise (``_``, ``SHLVL``, terminal ids) the job may have read.
        """
        kept: dict[str, str] = {}
        redacted: dict[str, str] = {}
        for name in sorted(environment):
            value = environment[name]
            if self._is_secret(name, value):
                redacted[name] = self.fingerprint(value)
            else:
                kept[name] = self._until_stable(value, allow_forms=_folded(name) not in self._allow)
        return kept, redacted

    def parameters(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Redact a run's parameters: a secret one keeps its name and has a marker for its value."""
        redacted: dict[str, str] = {}
        for name in sorted(parameters):
            value = parameters[name]
            if self._is_secret(name, value):
                redacted[name] = self._replace(value, [Span(0, len(value), self._known.get(value, name))])
            else:
                redacted[name] = self._until_stable(value, allow_forms=_folded(name) not in self._allow)
        return redacted

    def argv(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Redact a command line, learned from or not."""
        words = tuple(argv)
        while True:
            after = self._argv_once(words)
            if after == words:
                return after
            words = after

    def _argv_once(self, words: tuple[str, ...]) -> tuple[str, ...]:
        spans: dict[int, list[Span]] = {}
        for index, span in secret_options.find(words, self._is_secret):
            if _folded(span.label) not in self._allow:
                spans.setdefault(index, []).append(span)
        return tuple(self.text(self._replace(word, spans.get(index, []))) for index, word in enumerate(words))

    def _until_stable(self, text: str, *, allow_forms: bool) -> str:
        # A marker can complete a form that was not there before. Each round turns more of the text into markers, which are
        # never touched again, so this ends; and what is stable is idempotent by construction.
        while True:
            spans = [s for s in secret_forms.find(text) if _folded(s.label) not in self._allow] if allow_forms else []
            after = self._replace(text, spans)
            if after == text:
                return after
            text = after

    def _replace(self, text: str, found: list[Span]) -> str:
        """Put markers in place of known values first, then of what is left of the spans found; earlier markers stay."""
        known = self._known_in(text)
        if not known and not found:
            return text
        taken = [Span(*match.span(), "") for match in MARKER.finditer(text)]
        chosen = choose(known, taken)
        chosen += fill(found, sorted([*taken, *chosen]))
        pieces: list[str] = []
        at = 0
        for span in sorted(chosen):
            pieces += [text[at : span.start], self._marker(text[span.start : span.end], span.label)]
            at = span.end
        return "".join([*pieces, text[at:]])

    def _known_in(self, text: str) -> list[Span]:
        # One search a value is many times faster on megabytes than one alternation of all of them.
        spans: list[Span] = []
        for value, label in self._known.items():
            start = text.find(value)
            while start >= 0:
                spans.append(Span(start, start + len(value), label))
                start = text.find(value, start + len(value))
        return spans

    def _marker(self, value: str, label: str) -> str:
        short = self.fingerprint(value)[len(FINGERPRINT_PREFIX) :][:_SHORT]
        return f"‹redacted:{_UNFIT.sub('_', label)[:64] or 'secret'}:{short}›"

    # Restoring

    def restore(self, text: str, candidates: Mapping[str, str]) -> str | None:
        """Put secrets back, each where a candidate's fingerprint matches the marker.

        Args:
            text: What redacting gave.
            candidates: Name to value: the variables and secrets at hand now. Secrets inside a value (a URL's password)
                count as candidates, too.

        Returns:
            The text without markers, or None when one of them matches no candidate (:func:`labels` names them).
        """
        if not MARKER.search(text):
            return text
        values = self._candidate_values(candidates)
        missing = False

        def put_back(match: re.Match[str]) -> str:
            nonlocal missing
            value = values.get(match[2])
            missing = missing or value is None
            return value or ""

        restored = MARKER.sub(put_back, text)
        return None if missing else restored

    def _candidate_values(self, candidates: Mapping[str, str]) -> dict[str, str]:
        values: dict[str, str] = {}
        for value in candidates.values():
            inside = (value[span.start : span.end] for span in secret_forms.find(value))
            for secret in (value, *inside):
                for variant in _variants(secret):
                    values.setdefault(self.fingerprint(variant)[len(FINGERPRINT_PREFIX) :][:_SHORT], variant)
        return values
