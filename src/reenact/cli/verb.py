"""What all verbs share: how their help looks, and the options that more than one has."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from reenact.settings import Settings, load

__all__ = [
    "EXITS",
    "HELP_NAMES",
    "Moment",
    "Pairs",
    "family",
    "json_option",
    "print_json",
    "run_argument",
    "settings_for",
    "store_option",
    "verb",
]

EXITS: Final = {
    0: "done",
    1: "it failed, for the reason printed",
    2: "the command, a setting or a run's name cannot be used",
    3: "something needed is missing",
    4: "integrity: a signature or a digest is wrong",
    5: "denied by a policy or by access rights",
}
"""What exit statuses mean where a verb does not say it more exactly."""

HELP_NAMES: Final = {"help_option_names": ["-h", "--help"]}
"""What asks for help, of the program and of each of its verbs."""


class _Verb(click.Command):
    """A command whose help ends with examples and exit statuses."""

    def __init__(self, *args: Any, examples: Sequence[str], exits: Mapping[int, str] | str, **kwargs: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.exits = exits

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        with formatter.section("Exit status"):
            if isinstance(self.exits, str):
                formatter.write_text(self.exits)
            else:
                formatter.write_dl([(str(status), meaning) for status, meaning in self.exits.items()])


class _Family(_Verb, click.Group):
    """Verbs about one thing, under its name."""


def family(
    name: str,
    *commands: click.Command,
    help: str,  # noqa: A002 - click's name for it
    examples: Sequence[str],
    exits: Mapping[int, str],
) -> click.Group:
    """Make one verb of several: ``reenact NAME COMMAND``."""
    made = _Family(
        name=name, help=help, examples=examples, exits=exits, no_args_is_help=True, context_settings={**HELP_NAMES}
    )
    for command in commands:
        made.add_command(command)
    return made


def verb(
    name: str,
    *,
    examples: Sequence[str],
    exits: Sequence[int] | Mapping[int, str] | str,
    **settings: Any,  # noqa: ANN401 - click's
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a click command of a function that gives the exit status."""
    meanings = exits if isinstance(exits, str | Mapping) else {status: EXITS[status] for status in exits}
    # A command keeps the help option of the first context it is seen in: so the names are its own, not the group's.
    own = {**HELP_NAMES, **settings.pop("context_settings", {})}
    return click.command(name, cls=_Verb, examples=examples, exits=meanings, context_settings=own, **settings)


store_option = click.option(
    "--store", metavar="STORE", help="The store to use, instead of the one the settings name (REENACT_STORE)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
run_argument = click.argument("reference", metavar="RUN")


class Pairs(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """``key=value`` words, read into a pair."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:  # noqa: ANN401 - click's
        """Split at the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"got {value!r}, expected KEY=VALUE", param, ctx)
        return key, text


class Moment(click.ParamType):  # type: ignore[type-arg]  # same
    """A point in time: a date, an RFC 3339 time (UTC where it names no zone), or an age such as ``12h``."""

    name = "time"
    _AGE: Final = re.compile(r"(\d{1,6})([smhdw])")
    _SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401 - click's
        """Read one; an age counts back from now."""
        if isinstance(value, datetime):
            return value
        if age := self._AGE.fullmatch(value):
            return datetime.now(UTC) - timedelta(seconds=int(age[1]) * self._SECONDS[age[2]])
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"got {value!r}, expected a date, a time such as 2026-01-31T06:00, or an age such as 12h or 7d",
                param,
                ctx,
            )
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def settings_for(store: str | None) -> Settings:
    """Load the settings that hold in the current folder."""
    return load(os.getcwd(), os.environ, {"store": store})


def print_json(value: object) -> None:
    """Print one JSON document: UTF-8, two spaces of indentation, and a newline."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
