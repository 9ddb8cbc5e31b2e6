"""A group of settings as an immutable value, written down as a dataclass is.

Not a dataclass: every `reenact run` makes these classes before it starts the job, and the decorator takes 0.6 ms for each.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, dataclass_transform

from reenact.settings.values import Setting, choice, count, flag, number_of_bytes, number_of_seconds, text, texts

__all__ = ["Section"]


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(choice, count, flag, number_of_bytes, number_of_seconds, text, texts),
)
class Section:
    """Base of a group; its attributes are made by the functions of :mod:`reenact.settings.values`."""

    keys: ClassVar[dict[str, Setting]] = {}
    """The settings of the group by name, in the order they are written down."""

    def __init_subclass__(cls) -> None:
        """Collect what the group declares."""
        cls.keys = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}

    def __init__(self, **values: object) -> None:
        if unknown := values.keys() - self.keys.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        vars(self).update({name: values.get(name, setting.default) for name, setting in self.keys.items()})

    def __setattr__(self, name: str, value: Any) -> NoReturn:  # noqa: ANN401 - as object has it
        """Refuse: a value does not change."""
        raise AttributeError(f"settings cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        """Compare as values."""
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        """Write it as it could be made again."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
