"""`reenact expect`: declare what counts as equal for outputs."""

from __future__ import annotations

from typing import Any

import click

from reenact.cli.policy_options import policy_from, policy_options
from reenact.cli.verb import json_option, print_json, settings_for, verb

__all__ = ["command"]


@verb(
    "expect",
    examples=(
        'reenact expect "daily/*.parquet" --compare content',
        'reenact expect "daily/*.parquet" --compare rows --key id --relative price=1e-9 --dry-run',
    ),
    exits=(0, 1, 2),
)
@click.argument("pattern")
@policy_options
@click.option("--dry-run", is_flag=True, help="Only show the section.")
@json_option
def command(*, pattern: str, dry_run: bool, as_json: bool, **words: Any) -> int:  # noqa: ANN401 - the options of a policy
    """Declare in reenact.toml what counts as equal for the outputs whose names fit a pattern.

    A section is added at the end of the file; the rest of the file is not touched. In a pattern * is any text without a slash,
    ** any text; one that ends in a slash makes one artifact of all files below a folder.
    """
    from reenact.actions.expect import expect  # noqa: PLC0415 - help needs no action

    policy = policy_from(pattern, words)
    if policy is None:
        raise click.UsageError("say what counts as equal: --compare content, --compare rows, or another option")
    expected = expect(settings_for(None), policy, write=not dry_run)
    if as_json:
        print_json(expected)
        return 0
    print(expected.section, end="")
    print(f"# {'would be' if dry_run else 'was'} added to {expected.file}")
    for earlier in expected.before:
        print(f'# [outputs."{earlier}"] comes before it and fits the same names: the first that fits holds')
    return 0
