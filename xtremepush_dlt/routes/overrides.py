"""Assumptions as dataclasses whose fields can be overridden by name from one setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar

from xtremepush_dlt.exceptions import ConfigurationError

_Family = TypeVar("_Family", bound="Overridable")

_EXPECTED = {
    str: "a text",
    tuple: "a list of texts",
    float: "a number of seconds above 0",
    dict: "a table of names and values",
}


class Overridable:
    """A family of assumptions: a frozen dataclass with a default for each field.

    All families share the setting `assumptions`, so a name stands for one assumption only: a
    family of its own has a prefix of its own.
    """

    _families: ClassVar[list[type[Overridable]]] = []

    def __init_subclass__(cls) -> None:
        Overridable._families.append(cls)

    @classmethod
    def with_overrides(cls: type[_Family], overrides: Mapping[str, Any]) -> _Family:  # noqa: PYI019  # typing.Self needs Python 3.11
        """The assumptions with some of them replaced; names of other families are passed over.

        Args:
            overrides: Values by the name of a field; a list serves for a tuple.

        Raises:
            ConfigurationError: If a name is no assumption at all, or a value has the wrong type.
        """
        assumptions = cls()
        own = _names(cls)
        typed: dict[str, Any] = {}
        for name, value in overrides.items():
            if name in own:
                typed[name] = _typed(name, getattr(assumptions, name), value)
                continue
            known = {other for family in Overridable._families for other in _names(family)}
            if name not in known:
                raise ConfigurationError(
                    f"`{name}` in [destination.xtremepush.assumptions] is not an assumption about "
                    f"Xtremepush. Known are: {', '.join(sorted(known))}."
                )
        return replace(assumptions, **typed)  # type: ignore[type-var]  # each family is a dataclass


def _names(family: type[Overridable]) -> set[str]:
    return {field.name for field in fields(family)}  # type: ignore[arg-type]  # each family is a dataclass


def _typed(name: str, default: Any, value: Any) -> Any:
    """A value of the type that the default has; a text serves for a number."""
    if isinstance(default, str) and isinstance(value, str):
        if name.endswith("_path") and value and not value.startswith(("/", "https://", "http://")):
            raise ConfigurationError(
                f"`{name}` in [destination.xtremepush.assumptions] must begin with `/`."
            )
        return value
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return dict(value)
    if isinstance(default, tuple):
        values = (value,) if isinstance(value, str) else value
        if isinstance(values, (list, tuple)) and all(isinstance(item, str) for item in values):
            return tuple(values)
    if isinstance(default, float) and isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if 0 < number < math.inf:
            return number
    raise ConfigurationError(
        f"`{name}` in [destination.xtremepush.assumptions] must be {_EXPECTED[type(default)]}."
    )
