"""`reenact explain`: which difference between two runs made their outputs differ?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from reenact.cli.progress import progress
from reenact.cli.text import aligned, count, duration, printable, short_digest
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.explain import Explanation, SearchPlan
    from reenact.replay.factors import Factor

__all__ = ["command"]

_EXIT_OF: Final = {"same": 0, "explained": 0, "unsure": 1, "unreplayable": 3, "planned": 0}
_SHOWN: Final = 20
_LONGEST: Final = 60


@verb(
    "explain",
    examples=(
        "reenact explain etl~1 etl",
        "reenact explain etl~1 etl --json",
        "reenact explain etl~7 etl --max-replays 20",
    ),
    exits={
        **EXITS,
        0: "explained, or the outputs are the same",
        1: "unsure: the runs do not give the same again, or nothing that was recorded explains the difference",
        3: "unreplayable: something a replay needs is missing",
    },
)
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option(
    "--max-replays",
    type=click.IntRange(min=7),
    default=60,
    show_default=True,
    help="Stop searching after so many replays, and give the smallest set of differences found until then.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only tell what differs, and what finding out would cost; replay nothing."
)
@json_option
@store_option
def command(*, first: str, second: str, max_replays: int, dry_run: bool, as_json: bool, store: str | None) -> int:
    """Find the difference between two runs that made their outputs differ.

    The first run is replayed with some of what differs as it was in the second: code, input files, packages, variables, words of
    the command. What is named is a smallest set that is enough to give the outputs of the second run. Before that both are
    replayed as they are; outputs that a run does not give again by itself cannot be explained, and are named.
    """
    from reenact.actions.explain import explain  # noqa: PLC0415 - help needs no action

    with progress(f"comparing {first} with {second}") as say:
        result = explain(
            settings_for(store),
            first,
            second,
            max_replays=max_replays,
            dry_run=dry_run,
            announce=lambda plan: print(f"reenact: {_cost(plan)}", file=sys.stderr),
            say=say,
        )
    if as_json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return _EXIT_OF[result.answer]


def _cost(plan: SearchPlan) -> str:
    return (
        f"{count(plan.factors, 'difference')} to choose from, about {count(plan.replays, 'replay')}"
        f" (at most {plan.most_replays}), about {duration(plan.seconds)}"
    )


def _lines(result: Explanation) -> Iterator[str]:
    took = f"{count(result.replays, 'replay')} · {duration(result.seconds)}"
    mark = "✔" if _EXIT_OF[result.answer] == 0 else "✘"
    yield f"{mark} {result.answer} {result.first} → {result.second} · {took}"
    if result.answer == "same":
        yield "  the outputs of the two runs are the same"
    if result.answer == "planned" and result.plan is not None:
        yield f"  {_cost(result.plan)}"
    if result.outputs:
        yield f"  outputs that differ: {printable(', '.join(result.outputs))}"
    if result.cause:
        yield f"  {'cause' if result.answer == 'explained' else 'enough to make the difference'}:"
        yield from aligned([_factor(factor) for factor in result.cause], indent="    ")
    for title, items in (("unsure", result.reasons), ("not the same twice", result.noisy)):
        for item in items:
            yield f"  {title}: {printable(item)}"
    others = [factor for factor in result.factors if factor not in result.cause]
    if others:
        yield f"  {'also differs' if result.cause else 'differs'} ({len(others)}):"
        yield from aligned([_factor(factor) for factor in others[:_SHOWN]], indent="    ")
        if len(others) > _SHOWN:
            yield f"    … and {len(others) - _SHOWN:,} more; --json has all"


def _factor(factor: Factor) -> tuple[str, str]:
    return printable(factor.title), f"{_value(factor.before)} → {_value(factor.after)}"


def _value(value: str) -> str:
    if not value:
        return "(not there)"
    text = short_digest(value) if value.startswith("sha256:") else printable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
