"""Stretches of a text, and which of several overlapping ones to take. Pure; linear after a sort."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Span", "choose", "fill"]


class Span(NamedTuple):
    """A stretch of a text that is a secret."""

    start: int
    end: int
    label: str
    """What it is, or the name it goes by: it stands in the marker."""


def _leftmost_longest(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start, -span.end, span.label))


def choose(spans: Iterable[Span], taken: list[Span]) -> list[Span]:
    """Choose leftmost-longest spans that overlap neither each other nor `taken` (sorted, disjoint); whole spans or none."""
    chosen: list[Span] = []
    at = nearest = 0
    for span in _leftmost_longest(spans):
        while nearest < len(taken) and taken[nearest].end <= span.start:
            nearest += 1
        free = nearest == len(taken) or taken[nearest].start >= span.end
        if free and span.start >= at:
            chosen.append(span)
            at = span.end
    return chosen


def fill(spans: Iterable[Span], taken: list[Span]) -> list[Span]:
    """Give the parts of spans that neither `taken` (sorted, disjoint) nor an earlier span covers."""
    parts: list[Span] = []
    at = nearest = 0
    for span in _leftmost_longest(spans):
        at = max(at, span.start)
        while nearest < len(taken) and taken[nearest].end <= at:
            nearest += 1
        for other in range(nearest, len(taken)):
            if taken[other].start >= span.end or at >= span.end:
                break
            if taken[other].start > at:
                parts.append(Span(at, taken[other].start, span.label))
            at = max(at, taken[other].end)
        if at < span.end:
            parts.append(Span(at, span.end, span.label))
            at = span.end
    return parts
