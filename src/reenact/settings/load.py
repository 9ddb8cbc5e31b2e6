"""Putting settings together: defaults, then `reenact.toml`, then ``REENACT_…`` variables, then the command line.

A key is dotted (``capture.rung``); its variable is ``REENACT_`` and the key in capitals with underscores
(``REENACT_CAPTURE_RUNG``). An unknown key in the file is an error; an unknown variable is not, as other programs may use it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from reenact.errors import SettingsError
from reenact.settings.inputs import InputRule, read_input_rules
from reenact.settings.model import (
    JOB,
    Audit,
    Capture,
    Compare,
    Declared,
    OutputRule,
    Redact,
    Replay,
    Settings,
    Signing,
    Storage,
)
from reenact.settings.outputs import read_rules
from reenact.settings.root import find_root
from reenact.settings.section import Section
from reenact.settings.values import Setting, text

__all__ = ["DEFAULT_STORE", "SECTIONS", "STORE_KEY", "load", "variable_of"]

_T = TypeVar("_T")

SECTIONS: Final[dict[str, type[Section]]] = {
    "capture": Capture,
    "compare": Compare,
    "declared": Declared,
    "redact": Redact,
    "replay": Replay,
    "signing": Signing,
    "storage": Storage,
    "audit": Audit,
}
STORE_KEY: Final = "store"
INPUTS_KEY: Final = "inputs"
OUTPUTS_KEY: Final = "outputs"
"""Tables by pattern: in the file alone, as no variable could hold them."""
DEFAULT_STORE: Final = ".reenact"
"""Beside the settings file, or in the root."""


class _Given(NamedTuple):
    value: object
    source: str
    """Where it was found, for messages."""
    folder: str
    """What a relative path in it is relative to."""


def variable_of(key: str) -> str:
    """Name the environment variable of a dotted key."""
    return "REENACT_" + key.upper().replace(".", "_")


def _settings() -> dict[str, Setting]:
    """Every key that can be set."""
    found: dict[str, Setting] = {STORE_KEY: text("Where the store is."), "job": JOB}
    for section, model in SECTIONS.items():
        found.update({f"{section}.{name}": setting for name, setting in model.keys.items()})
    return found


def load(folder: str, environment: Mapping[str, str], overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Give the settings that hold in a folder.

    Args:
        folder: Where the command was given, absolute.
        environment: The environment variables.
        overrides: Dotted key to text, from the command line; None means not given.

    Raises:
        SettingsError: a file cannot be read, a key is unknown, or a value is not of its kind.
    """
    root, file = find_root(folder)
    settings = _settings()
    given: dict[str, _Given] = {}
    inputs: tuple[InputRule, ...] = ()
    outputs: tuple[OutputRule, ...] = ()
    if file is not None:
        tables = _parse(file)
        inputs = _rules(tables.pop(INPUTS_KEY, {}), file, read_input_rules)
        outputs = _rules(tables.pop(OUTPUTS_KEY, {}), file, read_rules)
        given.update({key: _Given(value, file, root) for key, value in _flatten(tables, file, settings).items()})
        for key, item in given.items():
            _read(key, item, settings[key])  # a file is right as a whole, also where something else is stronger
    for key in settings:
        if (value := environment.get(variable_of(key))) is not None and value:
            given[key] = _Given(value, variable_of(key), folder)
    for key, word in (overrides or {}).items():
        if word is not None:
            given[key] = _Given(word, f"--{key.rpartition('.')[2].replace('_', '-')}", folder)
    values = {key: _read(key, item, settings[key]) for key, item in given.items()}
    sections: dict[str, Any] = {
        section: model(**{name: values[f"{section}.{name}"] for name in model.keys if f"{section}.{name}" in values})
        for section, model in SECTIONS.items()
    }
    store = values.get(STORE_KEY)
    located = DEFAULT_STORE if store is None else store
    base = root if store is None else given[STORE_KEY].folder
    return Settings(
        root=root,
        file=file,
        store=_located(located, base),
        job=values.get("job"),
        inputs=inputs,
        outputs=outputs,
        **sections,
    )


def _rules(tables: object, file: str, read: Callable[[object], _T]) -> _T:
    try:
        return read(tables)
    except ValueError as error:
        raise SettingsError(f"{file}: {error}", hint="see docs/reference/settings.md") from error


def _located(store: str, folder: str) -> str:
    return store if "://" in store else os.path.normpath(os.path.join(folder, os.path.expanduser(store)))


def _read(key: str, given: _Given, setting: Setting) -> Any:  # noqa: ANN401 - each key has its own type
    try:
        return setting.read(given.value)
    except ValueError as error:
        raise SettingsError(
            f"{given.source}: {key} is {given.value!r}, expected {error}", hint="see docs/reference/settings.md"
        ) from error


def _parse(file: str) -> dict[str, object]:
    import tomllib  # noqa: PLC0415 - 2 ms, spent only where there is a file

    try:
        with open(file, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _flatten(tables: Mapping[str, object], file: str, settings: Mapping[str, Setting]) -> dict[str, object]:
    """Turn tables into dotted keys, refusing those nobody reads."""
    flat: dict[str, object] = {}
    for name, value in tables.items():
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise SettingsError(f"{file}: {name} is {value!r}, expected a table: [{name}]")
            flat.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            flat[name] = value
    for key in flat:
        if key not in settings:
            raise SettingsError(f"{file}: there is no setting {key!r}", hint=_near(key, settings))
    return flat


def _near(key: str, known: Mapping[str, Any]) -> str:
    import difflib  # noqa: PLC0415 - only to explain an error

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"the settings are: {', '.join(known)}"
