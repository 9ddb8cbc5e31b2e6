"""`reenact validate`: is a run what its job's baseline was?"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reenact.cli.differences import output_lines
from reenact.cli.progress import progress
from reenact.cli.text import printable
from reenact.cli.verb import EXITS, json_option, print_json, run_argument, settings_for, store_option, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reenact.actions.validate import Validation

__all__ = ["command"]


class _Percent(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """A number from 0 to 100, exactly as written."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401 - click's
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value).removesuffix("%"))
        except InvalidOperation:
            number = Decimal("NaN")
        if not 0 <= number <= 100:  # noqa: PLR2004 - percent
            self.fail(f"got {value!r}, expected a number from 0 to 100", param, ctx)
        return number


@verb(
    "validate",
    examples=(
        "reenact validate etl",
        "reenact validate etl --baseline etl~7 --max-changed-percent 0.5",
        "reenact validate 9f3a5b7c --junit report.xml",
    ),
    exits={
        **EXITS,
        0: "valid: the outputs are the baseline's, as declared and allowed",
        1: "not valid: an output differs",
        3: "bytes of an output that differs are not in the store",
    },
)
@run_argument
@click.option("--baseline", metavar="RUN", help="Another run, instead of the baseline that was set for the job.")
@click.option(
    "--max-changed-rows", type=click.IntRange(0), help="How many rows of a table may be changed, added or removed."
)
@click.option("--max-changed-percent", type=_Percent(), help="The same in percent of the baseline's rows.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the answer as a JUnit report too, one test case an output.",
)
@json_option
@store_option
def command(
    *,
    reference: str,
    baseline: str | None,
    max_changed_rows: int | None,
    max_changed_percent: Decimal | None,
    junit: Path | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Compare what a run made with what its job's baseline made. Nothing is executed.

    What counts as equal is declared in reenact.toml (see: reenact compare). The limits allow for more: a table with the same
    columns passes when no more rows than that differ.
    """
    from reenact.actions.validate import Limit, validate  # noqa: PLC0415 - help needs no action

    limit = Limit(rows=max_changed_rows, percent=max_changed_percent)
    with progress(f"validating {reference}"):
        result = validate(settings_for(store), reference, baseline, limit)
    if junit is not None:
        from reenact.cli.junit import write_validation  # noqa: PLC0415 - only where it is wanted

        write_validation(result, junit)
    if as_json:
        print_json(result)
    else:
        print("\n".join(_lines(result)))
    return 0 if result.valid else 1


def _lines(result: Validation) -> Iterator[str]:
    mark, word = ("✔", "valid") if result.valid else ("✘", "not valid")
    yield f"{mark} {word} {result.run_id} · baseline {result.baseline} ({printable(result.chosen)})"
    yield from output_lines(result.outputs, result.comparisons)
    for name, said in result.allowed.items():
        yield f"  allowed: {printable(name)}: {said}"
