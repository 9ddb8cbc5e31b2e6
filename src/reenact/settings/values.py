"""Reading one value: what a settings file or a variable may say for a kind of setting, and the error when it does not.

Each kind reads both TOML values (typed) and text (variables and the command line).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["Setting", "choice", "count", "flag", "number_of_bytes", "number_of_seconds", "text", "texts"]


class Setting(NamedTuple):
    """What can be said for one key."""

    default: object
    read: Callable[[object], Any]
    """Reads its value; ValueError says what was expected."""
    kind: str
    documentation: str
    choices: tuple[str, ...] = ()


_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_LIST_SEPARATOR: Final = ":"
"""Between the items of a list given as text, as in PATH."""


def text(documentation: str, *, default: str | None = None) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is a text, not empty."""
    return Setting(default, _read_text, "text", documentation)


def texts(documentation: str, *, default: tuple[str, ...]) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is a list of texts."""
    return Setting(default, _read_texts, "list of texts", documentation)


def choice(documentation: str, *choices: str, default: str) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is one of some words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError(f"one of {', '.join(choices)}")

    return Setting(default, read, "choice", documentation, choices)


def flag(documentation: str, *, default: bool) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is true or false."""
    return Setting(default, _read_flag, "true or false", documentation)


def count(documentation: str, *, default: int, most: int) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is a whole number from 0 to `most`."""

    def read(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        raise ValueError(f"a whole number from 0 to {most}")

    return Setting(default, read, f"0 to {most}", documentation)


def number_of_bytes(documentation: str, *, default: int) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is a size: an integer of bytes, or a text such as ``4 GiB``."""
    return Setting(default, _read_bytes, "size", documentation)


def number_of_seconds(documentation: str, *, default: float) -> Any:  # noqa: ANN401 - stands for a value of the key's type
    """Declare a setting that is a duration in seconds, not negative."""
    return Setting(default, _read_seconds, "seconds", documentation)


def _read_text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("a text that is not empty")


def _read_texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(item for item in value.split(_LIST_SEPARATOR) if item)
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError("a list of texts that are not empty")


def _read_flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in _FLAGS:
        return _FLAGS[str(value)]
    raise ValueError("true or false")


def _read_bytes(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        digits = value.rstrip("BiKMGT").rstrip()
        unit = value[len(digits) :].strip() or "B"
        # isdecimal alone would let other scripts' digits through, which int() reads too.
        if digits.isascii() and digits.isdecimal() and unit in _UNITS:
            return int(digits) * _UNITS[unit]
    raise ValueError("a size: bytes as an integer, or a text such as '512 MiB' or '4 GiB'")


def _read_seconds(value: object) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError("a number of seconds, 0 or more")
