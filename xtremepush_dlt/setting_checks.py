"""Checks of single settings: dlt leaves values that were given as keywords as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from xtremepush_dlt.exceptions import ConfigurationError

_WHERE = "Mend it in [destination.xtremepush] or in the arguments of `xtremepush()`."


def check_choice(name: str, value: object, choices: object) -> None:
    """Checks that a setting has one of some values.

    Args:
        name: The setting.
        value: Its value.
        choices: A `Literal` of the values.

    Raises:
        ConfigurationError: If it has another.
    """
    if value not in get_args(choices):
        listed = ", ".join(f"`{choice}`" for choice in get_args(choices))
        raise ConfigurationError(
            f"`{name}` of the Xtremepush destination must be one of {listed}. {_WHERE}"
        )


def check_count(name: str, value: object) -> None:
    """Checks that a setting is a whole number of at least 1.

    Raises:
        ConfigurationError: If it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(
            f"`{name}` of the Xtremepush destination must be a whole number and at least 1. "
            f"{_WHERE}"
        )


def check_number(name: str, value: Any, least: float, most: float = math.inf) -> None:
    """Checks that a setting is a finite number within bounds.

    Raises:
        ConfigurationError: If it is something else.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        bounds = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
        raise ConfigurationError(
            f"`{name}` of the Xtremepush destination must be a number {bounds}. {_WHERE}"
        )


def check_table(name: str, value: object) -> None:
    """Checks that a setting is a table of names and values, or left out.

    Raises:
        ConfigurationError: If it is something else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ConfigurationError(
            f"`{name}` of the Xtremepush destination must be a table of names and values. {_WHERE}"
        )
