"""Write the reference pages that come from the code, and the JSON Schemas; with ``--check`` only say which ones lag."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click

import reenact.errors
from reenact.cli.group import VERBS, program
from reenact.errors import ReenactError
from reenact.govern.findings import AUDIT_FINDINGS
from reenact.model.schema import SCHEMAS, json_schema
from reenact.seal.flaws import FLAWS
from reenact.settings.inputs import INPUT_KEYS
from reenact.settings.load import DEFAULT_STORE, SECTIONS, variable_of
from reenact.settings.model import JOB
from reenact.settings.outputs import RULE_KEYS
from reenact.settings.values import Setting

__all__ = ["lagging", "pages"]

DOCS: Final = Path(__file__).parent
_WIDTH: Final = 100
_NOTICE: Final = "<!-- Written by `make schema` from the code. Change it there. -->\n"


def _help(command: click.Command, name: str) -> str:
    parent = None if name == "reenact" else click.Context(program, info_name="reenact", terminal_width=_WIDTH)
    last = name.partition(" ")[2] or name
    context = click.Context(
        command,
        info_name=last,
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context).rstrip()


def _command_line() -> str:
    lines = ["# The command line", "", _NOTICE, "```", _help(program, "reenact"), "```"]
    for name in VERBS:
        command = program.get_command(click.Context(program), name)
        if command is None:
            raise LookupError(name)
        lines += ["", f"## reenact {name}", "", "```", _help(command, f"reenact {name}"), "```"]
        for below, part in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
            lines += ["", f"### reenact {name} {below}", "", "```", _help(part, f"reenact {name} {below}"), "```"]
    lines += [
        "",
        "## Variables",
        "",
        (
            "`REENACT_STORE` and the other variables of [settings](settings.md) change what the options do not say."
            " `REENACT_DEBUG=1` lets an unexpected error show where in the program it happened."
            " `REENACT_IDENTITY` names a file with the private keys that encrypted stores are read with: lines of"
            " `AGE-SECRET-KEY-1…`, or an OpenSSH private key."
        ),
    ]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "`[]`" if not value else f"`{list(value)}`"
    if isinstance(value, int) and value >= 1 << 20:
        unit, name = (1 << 30, "GiB") if value % (1 << 30) == 0 else (1 << 20, "MiB")
        return f'`"{value // unit} {name}"`'
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


def _rows(settings: Mapping[str, Setting], prefix: str = "") -> Iterator[str]:
    for name, setting in settings.items():
        key = prefix + name
        kind = " \\| ".join(f"`{choice}`" for choice in setting.choices) or setting.kind
        yield f"| `{key}` | {kind} | {_shown(setting.default)} | {setting.documentation} | `{variable_of(key)}` |"


def _settings() -> str:
    head = ("| key | value | default | what it is for | variable |", "|---|---|---|---|---|")
    lines = [
        "# Settings",
        "",
        _NOTICE,
        (
            "Settings come from `reenact.toml`, then from variables, then from the command line; the later one wins. The file is"
            " looked for in the current folder and upward; its folder is the *root* of the job, which names in a record are"
            " relative to. Without a file the root is that of the git repository, and without one the current folder."
        ),
        "",
        (
            'A size is an integer of bytes or a text such as `"512 MiB"` (`B`, `KiB`, `MiB`, `GiB`, `TiB`). In a variable, the items'
            " of a list are separated by `:`. An unknown key in the file is an error."
        ),
        "",
        *head,
        (
            f'| `store` | text | `"{DEFAULT_STORE}"` | The store: a folder. Relative to the root when the file says it, else to the'
            f" current folder. | `{variable_of('store')}` |"
        ),
        *_rows({"job": JOB}),
    ]
    for section, model in SECTIONS.items():
        lines += [
            "",
            f"## [{section}]",
            "",
            (model.__doc__ or "").strip(),
            "",
            *head,
            *_rows(model.keys, f"{section}."),
        ]
    lines += [
        "",
        '## [inputs."PATTERN"]',
        "",
        (
            "What is kept of the inputs whose names fit a pattern, which is written as for outputs (below); one that begins with `/`"
            " has to fit the whole path. Only in the file; see [keep pointers](../how-to/keep-pointers.md)."
        ),
        "",
        "| key | value | what it is for |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {documentation} |" for name, (_, _, kind, documentation) in INPUT_KEYS.items()),
    ]
    lines += [
        "",
        '## [outputs."PATTERN"]',
        "",
        (
            "What counts as equal for the outputs whose names fit a pattern: `*` is any text without `/`, `**` any text, `?` one"
            " character; a pattern that ends in `/` makes one of all the files below that folder. The first section that fits holds."
            " Only in the file; see [decide what counts as equal](../how-to/decide-what-counts-as-equal.md)."
        ),
        "",
        "| key | value | what it is for |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {documentation} |" for name, (_, kind, documentation) in RULE_KEYS.items()),
    ]
    return "\n".join(lines) + "\n"


def _tree(root: type[ReenactError]) -> Iterator[type[ReenactError]]:
    yield root
    for below in sorted(root.__subclasses__(), key=lambda c: c.__name__):
        # Private families of one package are reported as what they descend from.
        if below.__module__ == reenact.errors.__name__:
            yield from _tree(below)


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        _NOTICE,
        (
            "An error is one line on standard error, `reenact: CODE: what happened, to which object, got and expected`, and often a"
            " second one with a hint. The code is stable: scripts may rely on it, and on the exit status."
        ),
        "",
        "| code | exit | what it means |",
        "|---|---|---|",
        *(
            f"| `{error.code}` | {error.exit_code} | {(error.__doc__ or '').strip().splitlines()[0]} |"
            for error in dict.fromkeys(_tree(ReenactError))  # one class has two parents
        ),
        "| `system` | 1 | The operating system refused something, and no better explanation is known. |",
        "| `internal` | 1 | A defect of reenact. |",
    ]
    return "\n".join(lines) + "\n"


def _how(text: str) -> str:
    """Write a command as one; its places for the run and the subject in words."""
    words = text.replace("{run}", "RUN").replace("{subject}", "it")
    return f"`{words}`" if words.startswith(("reenact ", "git ")) and not set(words) & set(";,") else words


def _findings() -> str:
    lines = [
        "# Findings",
        "",
        _NOTICE,
        (
            "What `reenact verify` may report of a record, the log, a key or a file, each with the exit status it gives; of several"
            " the highest counts. The codes are stable: scripts may rely on them (`reenact verify --json`)."
        ),
        "",
        "| code | exit | what it means | what to do |",
        "|---|---|---|---|",
        *(f"| `{code}` | {kind.exit_code} | {kind.meaning} | {kind.remedy} |" for code, kind in FLAWS.items()),
        "",
        "## In an audit",
        "",
        (
            "`reenact audit` reports the same codes and some more, each with a severity, who can put it right, and how. Its exit"
            " status is 4 when anything is critical or major, 1 when anything is minor, else 0: a notice is no reason to act."
        ),
        "",
        "| code | severity | who | what it means | how |",
        "|---|---|---|---|---|",
        *(
            f"| `{code}` | {kind.severity} | {kind.who} | {kind.meaning} | {_how(kind.how)} |"
            for code, kind in AUDIT_FINDINGS.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _schema(name: str) -> str:
    return json.dumps(json_schema(name), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def pages() -> dict[str, Callable[[], str]]:
    """Give every generated file, relative to the folder of this script, with what writes its text."""
    return {
        "reference/cli.md": _command_line,
        "reference/settings.md": _settings,
        "reference/errors.md": _errors,
        "reference/findings.md": _findings,
        **{f"spec/{name}.schema.json": lambda name=name: _schema(name) for name in SCHEMAS},  # type: ignore[misc]
    }


def lagging() -> list[str]:
    """Name the files that are not what the code says now."""
    return [
        name
        for name, write in pages().items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != write()
    ]


def main(words: list[str]) -> int:
    """Write the files, or check them; the exit status is 1 when a check finds one that lags."""
    late = lagging()
    if "--check" in words:
        for name in late:
            print(f"docs/{name} lags behind the code: run make schema", file=sys.stderr)
        return 1 if late else 0
    for name in late:
        target = DOCS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(pages()[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
