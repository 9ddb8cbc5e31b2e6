"""The sections ``[inputs."PATTERN"]``: which inputs are kept as pointers, and where their bytes can be had, as a person wrote it down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["INPUT_KEYS", "InputRule", "read_input_rules"]

_SCHEMES: Final = ("http", "https", "s3", "gs", "az")


class InputRule(NamedTuple):
    """One section."""

    pattern: str
    keep: str = "bytes"
    source: str | None = None
    """A URL or an absolute path, with ``{name}`` for the name of the input; the key ``from``."""
    repository: str | None = None
    """A local Git repository to take commits from that are not in the input's own one."""


def _keep(value: object) -> str:
    if isinstance(value, str) and value in ("bytes", "pointer"):
        return value
    raise ValueError("one of bytes, pointer")


def _source(value: object) -> str:
    if isinstance(value, str) and value.startswith("/"):
        return value
    scheme, separator, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not separator or scheme not in _SCHEMES or not rest:
        raise ValueError(f"an absolute path, or a URL that begins with {', '.join(f'{s}://' for s in _SCHEMES)}")
    if "@" in rest.partition("/")[0]:
        raise ValueError("a URL without a user or a password: it goes into records")
    return str(value)


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("the path of a folder")


INPUT_KEYS: Final[dict[str, tuple[str, Callable[[object], Any], str, str]]] = {
    "keep": (
        "keep",
        _keep,
        "`bytes` \\| `pointer`",
        (
            "`bytes`: the store keeps what the run read, and a replay needs nothing else. `pointer`: the record holds digest, size and"
            " where the bytes were; a replay fetches them again, and is impossible when they are gone or changed. Of several patterns"
            " that match, the first counts. What a run itself changes, and what belongs to its environment, is kept in any case."
        ),
    ),
    "from": (
        "source",
        _source,
        "URL or path",
        (
            "Where the bytes of a pointer can be had, besides at the path they were read from: `https://…`, `s3://…` (also `gs://`,"
            " `az://`), or an absolute path. `{name}` stands for the input's name. Without it a file that is committed as it is in a Git"
            " repository is fetched from there."
        ),
    ),
    "repository": (
        "repository",
        _text,
        "path",
        "A local Git repository that commits are also looked for in, when bytes are fetched again.",
    ),
}
"""What a section may say: the field it sets, how it is read, its kind and what it is for; the latter two for the reference page."""


def read_input_rules(tables: object) -> tuple[InputRule, ...]:
    """Read all sections, in the order they are written down.

    Raises:
        ValueError: with the dotted key, what it is, and what was expected.
    """
    if not isinstance(tables, dict):
        raise ValueError(f'inputs is {tables!r}, expected tables: [inputs."PATTERN"]')  # noqa: TRY004 - one kind for all
    return tuple(_rule(pattern, table) for pattern, table in tables.items())


def _rule(pattern: str, table: object) -> InputRule:
    at = f'inputs."{pattern}"'
    if not pattern or not isinstance(table, dict):
        raise ValueError(f"{at} is {table!r}, expected a table with any of {', '.join(INPUT_KEYS)}")
    values = {}
    for name, value in table.items():
        if name not in INPUT_KEYS:
            raise ValueError(f"there is no setting {at}.{name}{_near(name)}")
        field, read, _, _ = INPUT_KEYS[name]
        try:
            values[field] = read(value)
        except ValueError as error:
            shown = "not shown" if "@" in str(value) else repr(value)  # it may hold a password
            raise ValueError(f"{at}.{name} is {shown}, expected {error}") from error
    rule = InputRule(pattern, **values)
    if rule.keep == "bytes" and (rule.source or rule.repository):
        raise ValueError(f'{at}: only with keep = "pointer" is there anything to fetch')
    return rule


def _near(name: str) -> str:
    import difflib  # noqa: PLC0415 - only to explain an error

    near = difflib.get_close_matches(name, INPUT_KEYS, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f", only {', '.join(INPUT_KEYS)}"
