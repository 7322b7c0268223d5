"""Wire formats of the Segment route: values as Segment's own libraries would write them.

Numbers, booleans, text and nested JSON stay what they are; moments are ISO 8601 with milliseconds
and `Z`, the form of JavaScript's `Date` (reference, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from xtremepush_dlt.mapping import data_formats, formats
from xtremepush_dlt.mapping.wire import Formatted, UnfitError, each


def value(values: Sequence[Any]) -> Formatted:
    """A trait or property: JSON keeps its types, nested ones too."""
    if plain := data_formats.plain_json(values):
        return plain
    return each(values, _value)


def identity(values: Sequence[Any]) -> Formatted:
    """A column that tells rows apart, as `value`, but moments with all digits that they have."""
    if plain := data_formats.plain_json(values):
        return plain
    return each(values, _identity)


def timestamp(values: Sequence[Any]) -> Formatted:
    """A moment as `YYYY-MM-DDTHH:MM:SS.mmmZ`; naive means UTC."""
    return each(values, _timestamp)


def phone(values: Sequence[Any]) -> Formatted:
    """A phone number as the user has it, trimmed: this route leaves its form to Xtremepush."""
    return each(values, _phone)


def from_wire(values: Sequence[str | None]) -> list[str | None]:
    """Moments that a load file gave as `YYYY-MM-DD HH:MM:SS +00:00`."""
    return [None if text is None else f"{text[:10]}T{text[11:19]}.000Z" for text in values]


def _timestamp(value: Any) -> str:
    return _moment(data_formats.as_datetime(value))


def _moment(value: date, digits: str = "milliseconds") -> str:
    moment = data_formats.in_utc(data_formats.as_datetime(value))
    return f"{moment.replace(tzinfo=None).isoformat(timespec=digits)}Z"


_value = partial(data_formats.json_form, write_moment=_moment)
_identity = partial(data_formats.json_form, write_moment=partial(_moment, digits="microseconds"))


def _phone(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return formats.whole_number(value)
    raise UnfitError("not a phone number")
