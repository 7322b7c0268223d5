"""Attributes that the Xtremepush project has, so that what it would ignore is seen before sending.

An attribute must exist in the project before data can be stored under it (reference, section 7);
one that does not is ignored without a word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.mapping.data_formats import TEXT_LENGTH


def _is_string(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_LENGTH


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    # a column of whole numbers with a null in it often comes as floats
    return _is_number(value) and value == int(value)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, (bool, int)) and value in (0, 1)


_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z| ?[+-]\d\d:\d\d)?)?")


def _is_date(value: Any) -> bool:
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    try:
        datetime.fromisoformat(f"{found[1]} {found[2] or '00:00:00'}")
    except ValueError:
        return False  # the 30th of February
    return True


def _is_array(value: Any) -> bool:
    if isinstance(value, str):
        # the External API takes JSON as text
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return False
    return isinstance(value, (list, dict))


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": _is_string,
    "number": _is_number,
    "integer": _is_integer,
    "date": _is_date,
    "array": _is_array,
    "boolean": _is_boolean,
}
"""Whether a value in its wire form fits, by type (section 7)."""

_OTHER_NAMES: Mapping[str, str] = {
    "text": "string",
    "decimal": "number",
    "float": "number",
    "double": "number",
    "int": "integer",
    "bigint": "integer",
    "bool": "boolean",
    "timestamp": "date",
    "datetime": "date",
    "list": "array",
    "json": "array",
    "object": "array",
}
"""What dlt and others call these types."""


@dataclass(frozen=True)
class Check:
    """Finds values that do not fit the type of their attribute.

    Attributes:
        kind: The type.
        strict: Whether a row with such a value is refused; else it is sent and counted.
    """

    kind: str
    strict: bool

    def misfits(self, values: Sequence[Any]) -> Mapping[int, str]:
        """Why values do not fit, by index.

        Args:
            values: A column in its wire form; nulls fit.
        """
        fits = _TYPES[self.kind]
        reason = f"does not fit its type `{self.kind}` in known_attributes"
        if not self.strict:
            reason = f"sent, but {reason}"
        return {
            index: reason
            for index, value in enumerate(values)
            if value is not None and not fits(value)
        }


@dataclass(frozen=True)
class KnownAttributes:
    """The attributes of an Xtremepush project.

    Args:
        types: Type by attribute: `string`, `number`, `integer`, `boolean`, `date` or `array`, in
            any case, or dlt's names for them.
        strict: Whether what does not fit is an error, rather than a warning.

    Raises:
        ConfigurationError: If a type is none of these.
    """

    types: Mapping[str, str]
    strict: bool = False

    def __post_init__(self) -> None:
        types = {}
        for name, kind in self.types.items():
            lower = str(kind).strip().lower()
            types[name] = _OTHER_NAMES.get(lower, lower)
            if types[name] not in _TYPES:
                raise ConfigurationError(
                    f"`known_attributes` gives the attribute `{name}` a type that Xtremepush does "
                    f"not have. Its types are: {', '.join(_TYPES)}."
                )
        object.__setattr__(self, "types", types)

    def check(self, attribute: str) -> Check | None:
        """The check on values of an attribute; None if it is not known."""
        kind = self.types.get(attribute)
        return None if kind is None else Check(kind, self.strict)

    def remedy(self, attribute: str) -> str:
        """What to do about an attribute that is not known."""
        close = difflib.get_close_matches(attribute, list(self.types), n=3)
        meant = f"Did you mean {' or '.join(f'`{name}`' for name in close)}? " if close else ""
        return (
            f"{meant}Create the attribute in the project and list it in `known_attributes`, or "
            "leave the column out of the action."
        )
