"""The group of verbs, each imported only when it is used or listed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final, cast

import click

import reenact
from reenact.cli.verb import HELP_NAMES

__all__ = ["VERBS", "invoke", "program"]

VERBS: Final = (
    *("init", "run", "runs", "show", "replay", "compare", "expect", "plan", "restore", "verify"),
    *("attest", "keys", "log", "push", "pull"),
    *("du", "scrub", "audit", "hold", "release", "prune"),
    "recipients",
    *("explain", "baseline", "validate", "tolerate"),
)
"""In the order of a first day with the program; the module :mod:`reenact.cli` has one of the same name for each."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in VERBS:
            return None
        return cast(click.Command, importlib.import_module(f"reenact.cli.{cmd_name}").command)


program = _Verbs(
    name="reenact",
    help="Record any ETL run, reproduce it exactly, and prove it.",
    epilog="RUN is a whole run id, the beginning or end of one (4 characters or more), a job's name (its latest run),"
    " JOB~N (N before the latest), or latest.",
    context_settings={**HELP_NAMES, "max_content_width": 110},
    no_args_is_help=True,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=lambda ctx, _option, value: _show_version(ctx) if value else None,
            help="Show the version and exit.",
        )
    ],
)
"""The whole command line as click sees it."""


def _show_version(ctx: click.Context) -> None:
    click.echo(f"reenact {reenact.__version__}")
    ctx.exit()


def invoke(words: Sequence[str]) -> int:
    """Carry out the words and give the exit status; click's own errors are printed here.

    Raises:
        ReenactError: what an action raises passes through.
    """
    try:
        result = program.main(args=[*words], prog_name="reenact", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    return result if isinstance(result, int) else 0
