"""Actions as JSON data and back: the form in which they travel in dlt's schemas.

Only what differs from a default is written, so a hint that an older version stored is read by a
newer one: what is not in it has its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from xtremepush_dlt.mapping.arguments import Column

_DICTS = ("attributes", "properties", "user_attributes", "when")
"""Fields that may be dicts themselves, and never hold a `Column`."""


def to_json(action: Any) -> dict[str, Any]:
    """The arguments of an action that differ from their defaults, as JSON data.

    Short and stable: dlt compares stored schemas.

    Args:
        action: A frozen dataclass.
    """
    return {
        field.name: {"column": value.name} if isinstance(value, Column) else _listed(value)
        for field in fields(action)
        if (value := getattr(action, field.name)) != field.default
    }


def arguments_of(hint: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in a stored hint, as keywords."""
    return {
        key: value if key in _DICTS else _from_json(value)
        for key, value in hint.items()
        if key != "type"
    }


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {"column"} and isinstance(value["column"], str):
        return Column(value["column"])
    return value
