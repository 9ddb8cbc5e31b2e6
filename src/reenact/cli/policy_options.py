"""The options that declare what counts as equal, for the verbs that take them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import click

from reenact.cli.verb import Pairs
from reenact.model.policy import Compare, Policy, Tolerance

__all__ = ["policy_from", "policy_options"]

_MEASURES: Final = ("absolute", "relative", "ulp", "seconds")
Function = Callable[..., int]


def policy_options(function: Function) -> Function:
    """Give a verb the options."""
    options = [
        click.option(
            "--compare",
            type=click.Choice(["bytes", "content", "rows"]),
            help="What counts as equal: the same bytes, the same content however it is encoded, or the same rows in any order.",
        ),
        click.option("--key", multiple=True, metavar="COLUMN", help="A column that tells which row is which."),
        click.option("--ignore-column", multiple=True, metavar="COLUMN", help="A column that does not count."),
        click.option("--any-order", is_flag=True, help="Rows, and columns, may come in another order."),
        *(
            click.option(
                f"--{measure}",
                type=Pairs(),
                multiple=True,
                metavar="COLUMN=AMOUNT",
                help={
                    "absolute": 'How far the values of a column may be apart; "*" is every column not named.',
                    "relative": "The same as a fraction of the greater magnitude.",
                    "ulp": "The same in steps between neighbouring floating-point numbers.",
                    "seconds": "The same for times, in seconds.",
                }[measure],
            )
            for measure in _MEASURES
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def policy_from(pattern: str, words: dict[str, Any]) -> Policy | None:
    """Make a policy of what the options say; None when they say nothing.

    Raises:
        click.UsageError: they contradict each other, or an amount is none.
    """
    tolerance: dict[str, dict[str, Any]] = {}
    for measure in _MEASURES:
        for column, amount in words[measure]:
            tolerance.setdefault(column, {})[measure] = _amount(measure, column, amount)
    said = bool(words["key"] or words["ignore_column"] or words["any_order"] or tolerance)
    if not said and words["compare"] is None:
        return None
    compare: Compare = words["compare"] or "content"
    if compare == "bytes" and said:
        raise click.UsageError("with --compare bytes there is nothing that the other options could say")
    return Policy(
        compare=compare,
        pattern=pattern,
        key=tuple(words["key"]),
        ignore_columns=tuple(words["ignore_column"]),
        order="any" if words["any_order"] else "same",
        tolerance={column: Tolerance(**measures) for column, measures in tolerance.items()},
    )


def _amount(measure: str, column: str, text: str) -> str | int:
    try:
        value = int(text) if measure == "ulp" else float(text)
    except ValueError:
        value = -1
    if not math.isfinite(value) or value < 0:
        raise click.UsageError(f"--{measure} {column}={text}: expected a number, 0 or more")
    return value if isinstance(value, int) else repr(value)
