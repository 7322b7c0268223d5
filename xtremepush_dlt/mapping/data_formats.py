"""One function for each wire format of data: attributes, properties, and moments.

Sections are those of the API reference. As in `formats`, a value that breaks its rule becomes None
and is listed with a reason that never quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pendulum

from xtremepush_dlt.mapping.wire import (
    INT64,
    NO_PROBLEMS,
    Formatted,
    UnfitError,
    all_int64,
    all_plain,
    each,
    encode_number,
    is_no_number,
    refuse_huge,
)

TEXT_LENGTH = 101
"""Characters that an attribute of the type String can hold (section 7, confirmed)."""

_DEEPEST = 200
"""Levels of nested JSON that are sent; the encoder stops soon after."""


def timestamp(values: Sequence[Any]) -> Formatted:
    """A moment as `YYYY-MM-DD HH:MM:SS +00:00`; naive means UTC (section 5.1)."""
    if set(map(type, values)) == {datetime}:
        try:
            return Formatted([_wire_datetime(value) for value in values], NO_PROBLEMS)
        except UnfitError:
            pass  # a moment out of range: found and listed below
    return each(values, _timestamp)


def _timestamp(value: Any) -> str:
    return _wire_datetime(as_datetime(value))


def as_datetime(value: Any) -> datetime:
    """A moment from what rows hold: a date-time, a date, or a text that is one.

    Raises:
        UnfitError: If it is none.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  # naive means UTC
    if not isinstance(value, str):
        raise UnfitError("not a date-time")
    text = value.strip()
    if not text[:1].isdigit():
        # pendulum reads `now`, but an old event must not be stamped with the moment of sending
        raise UnfitError("not a date-time")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass  # forms that this Python does not read: pendulum's turn
    try:
        parsed = pendulum.parse(text, exact=True)
    except (ValueError, OverflowError, TypeError):
        # pendulum stumbles over some texts that only look like a time
        raise UnfitError("not a date-time") from None
    if isinstance(parsed, (datetime, date)):
        return as_datetime(parsed)
    raise UnfitError("not a date-time")


def in_utc(value: datetime) -> datetime:
    """The moment in UTC; naive means UTC already.

    Raises:
        UnfitError: If that lies in no calendar.
    """
    try:
        return value.astimezone(timezone.utc) if value.utcoffset() else value
    except OverflowError:
        raise UnfitError("a date-time out of range") from None


def _wire_datetime(value: datetime) -> str:
    # the first 19 characters are date and time, whatever follows
    return f"{in_utc(value).isoformat(' ')[:19]} +00:00"


def _wire_moment(value: date) -> str:
    return _wire_datetime(value) if isinstance(value, datetime) else value.isoformat()


def attribute(values: Sequence[Any]) -> Formatted:
    """A profile attribute (sections 4 and 7).

    Text of at most 101 characters, a number, a boolean, a date or date-time as text, a list or
    object as a JSON string. Decimals stay Decimal, so that every digit reaches the wire.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool} or (kinds == {str} and _all_short(values)):
        return Formatted(list(values), NO_PROBLEMS)
    if kinds == {int} and all_int64(values):
        return Formatted(list(values), NO_PROBLEMS)
    if kinds == {Decimal} and None not in values and all_plain(values):
        return Formatted(list(values), NO_PROBLEMS)
    return each(values, _attribute)


def _all_short(values: Sequence[str | None]) -> bool:
    return max(map(len, filter(None, values)), default=0) <= TEXT_LENGTH


def _attribute(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > TEXT_LENGTH:
            raise UnfitError(f"longer than {TEXT_LENGTH} characters")
        return value
    if isinstance(value, (dict, list, tuple)):
        return orjson.dumps(json_form(value), default=encode_number).decode()
    return json_form(value)


def json_value(values: Sequence[Any]) -> Formatted:
    """A property of an event: JSON keeps its types, nested ones too (section 5.1)."""
    return plain_json(values) or each(values, json_form)


def plain_json(values: Sequence[Any]) -> Formatted | None:
    """A column that JSON takes as it is; None where its values must be looked at one by one."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool} or kinds == {str} or (kinds == {int} and all_int64(values)):
        return Formatted(list(values), NO_PROBLEMS)
    # a sum is finite only if everything in it is
    if kinds == {float} and None not in values and math.isfinite(sum(values)):
        return Formatted(list(values), NO_PROBLEMS)
    if kinds == {Decimal} and None not in values and all_plain(values):
        return Formatted(list(values), NO_PROBLEMS)
    return None


def json_form(  # noqa: C901  # one branch a type
    value: Any, depth: int = 0, write_moment: Callable[[date], str] = _wire_moment
) -> Any:
    """The JSON form of a value: what JSON cannot hold becomes text, NaN and infinities null.

    Args:
        value: The value.
        depth: Levels of nesting around it.
        write_moment: Writes dates and date-times.

    Raises:
        UnfitError: If it has none.
    """
    if depth > _DEEPEST:
        raise UnfitError(f"nested deeper than {_DEEPEST} levels")
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if value in INT64:
            return value
        refuse_huge(value)
        # beyond 64 bits the encoder takes numbers as decimals only
        return Decimal(value)
    if isinstance(value, (float, Decimal)):
        if is_no_number(value):
            return None
        refuse_huge(value)
        return value
    if isinstance(value, date):
        return write_moment(value)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_form(item, depth + 1, write_moment) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_form(item, depth + 1, write_moment) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise UnfitError("bytes have no form in JSON")
    raise UnfitError("a type that has no form in JSON")
