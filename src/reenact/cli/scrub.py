"""`reenact scrub`: hash all that a store keeps."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import click

from reenact.cli.progress import progress
from reenact.cli.text import count, duration, printable, size
from reenact.cli.verb import EXITS, json_option, print_json, settings_for, store_option, verb

if TYPE_CHECKING:
    from reenact.actions.scrub import ScrubFinding, ScrubResult

__all__ = ["Rate", "Share", "command"]

_MOST_NEEDS: Final = 5
"""Runs that are named for one object; --json names all."""


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """Bytes a second: a number, or one with a unit such as ``50MiB`` or ``20MB``."""

    name = "rate"
    _FORM: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kMGT]i?)?B?(?:/s)?", re.IGNORECASE)
    _POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Read one."""
        if isinstance(value, int | float):
            return float(value)
        found = self._FORM.fullmatch(str(value).strip())
        rate = 0.0
        if found is not None:
            unit = (found[2] or "").lower()
            rate = float(found[1]) * (1024 if unit.endswith("i") else 1000) ** self._POWERS[unit[:1]]
        if rate <= 0:
            self.fail(f"got {value!r}, expected bytes a second, such as 50MiB", param, ctx)
        return rate


class Share(click.ParamType):  # type: ignore[type-arg]  # same
    """A share of all: ``5%`` or ``0.05``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's
        """Read one."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            self.fail(f"got {value!r}, expected a share of more than 0 and at most 100%, such as 5%", param, ctx)
        return share


@verb(
    "scrub",
    examples=(
        "reenact scrub",
        "reenact scrub --max-rate 50MiB",
        "reenact scrub --sample 5%",
        "reenact scrub --repair-from /mnt/archive/reenact",
    ),
    exits={
        **EXITS,
        0: "all is well, or was repaired",
        1: "files lie in the store that are no part of it; or it failed, for the reason printed",
        3: "something is missing",
        4: "something is damaged",
    },
)
@click.option("--deep", is_flag=True, help="Decode every object, too, and hash its content.")
@click.option("--sample", type=Share(), default="100%", help="Hash only so much of the objects, chosen at random.")
@click.option("--seed", help="Chooses the sample; the same seed the same one. Without it another each time.")
@click.option(
    "--max-rate", type=Rate(), metavar="RATE", help="Read no more than so many bytes a second, such as 50MiB."
)
@click.option("--restart", is_flag=True, help="Begin anew, also where a scrub was cut off.")
@click.option("--quarantine", is_flag=True, help="Put what is damaged aside, into the store's folder quarantine.")
@click.option(
    "--repair-from", metavar="STORE", help="Put what is damaged aside, and good copies from STORE in its place."
)
@json_option
@store_option
def command(
    *,
    deep: bool,
    sample: float,
    seed: str | None,
    max_rate: float | None,
    restart: bool,
    quarantine: bool,
    repair_from: str | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Hash everything that the store keeps, and name what is damaged or missing.

    Objects, packs and indexes; bundles, views, verdicts, holds and tombstones; the log, keys and the store's description. For
    each damaged or missing object the runs and artifacts that need it are named, also those whose delta is made against it.
    Nothing is changed, unless that is asked for, and nothing is ever deleted. A scrub that is cut off goes on where it was
    when it is called again.
    """
    from reenact.actions.scrub import ScrubRequest, scrub  # noqa: PLC0415 - help needs no action

    # A sample that was cut off is gone on with only under the seed it had.
    chosen = seed if seed is not None else secrets.token_hex(4) if sample < 1 else ""
    request = ScrubRequest(
        deep=deep,
        sample=sample,
        seed=chosen,
        max_bytes_per_second=max_rate or 0.0,
        restart=restart,
        quarantine=quarantine,
        repair_from=repair_from,
    )
    with progress("scrubbing") as say:
        result = scrub(settings_for(store), request, say)
    if as_json:
        print_json(result)
    else:
        _print(result)
    return result.exit_code


def _print(result: ScrubResult) -> None:
    for finding in result.findings:
        _print_finding(finding)
    sampled = (
        f" (a sample with --seed {result.seed}; {count(result.skipped, 'other')} left out)" if result.skipped else ""
    )
    went_on = ", going on where the last scrub was cut off" if result.resumed else ""
    print(
        f"{count(result.values, 'object')} or packs hashed{sampled}, {size(result.stored_bytes)} read"
        f" in {duration(result.seconds)}{went_on}"
    )
    left = sum(finding.outcome != "repaired" for finding in result.findings)
    mended = len(result.findings) - left
    if not result.findings:
        print("all is well")
    else:
        print(f"{count(left, 'problem')} left" + (f", {mended} repaired" if mended else ""))


def _print_finding(finding: ScrubFinding) -> None:
    outcome = "" if finding.outcome == "reported" else f" ({finding.outcome})"
    print(f"{finding.problem}: {printable(finding.subject)}{outcome}")
    if finding.object is not None and finding.object != finding.subject:
        print(f"        {finding.object}")
    print(f"        {printable(finding.detail)}")
    for need in finding.needed_by[:_MOST_NEEDS]:
        base = f", whose object {need.base_of} is made against it" if need.base_of else ""
        print(f"        needed by {need.run_id}  {printable(need.job)}  {printable(need.artifact)}{base}")
    if len(finding.needed_by) > _MOST_NEEDS:
        print(f"        and by {len(finding.needed_by) - _MOST_NEEDS} more (--json)")
