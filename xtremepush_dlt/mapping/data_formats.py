"""One function for each wire format of data: attributes, properties, and moments.

Sections are those of the API reference. As in `formats`, a value that breaks its rule becomes None
and is listed with a reason that never quotes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    if isinstance(value, datetime):
        return _wire_datetime(value)
    if isinstance(value, date):
        return f"{value.isoformat()} 00:00:00 +00:00"
    if not isinstance(value, str):
        raise UnfitError("not a date-time")
    text = value.strip()
    if not text[:1].isdigit():
        # pendulum reads `now`, but an old event must not be stamped with the moment of sending
        raise UnfitError("not a date-time")
    try:
        return _wire_datetime(datetime.fromisoformat(text))
    except ValueError:
        pass  # forms that this Python does not read: pendulum's turn
    try:
        parsed = pendulum.parse(text, exact=True)
    except (ValueError, OverflowError, TypeError):
        # pendulum stumbles over some texts that only look like a time
        raise UnfitError("not a date-time") from None
    if isinstance(parsed, (datetime, date)):
        return _timestamp(parsed)
    raise UnfitError("not a date-time")


def _wire_datetime(value: datetime) -> str:
    try:
        if value.utcoffset():
            value = value.astimezone(timezone.utc)
    except OverflowError:
        raise UnfitError("a date-time out of range") from None
    # the first 19 characters are date and time, whatever follows
    return f"{value.isoformat(' ')[:19]} +00:00"


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
        return orjson.dumps(_json(value), default=encode_number).decode()
    return _json(value)


def json_value(values: Sequence[Any]) -> Formatted:
    """A property of an event: JSON keeps its types, nested ones too (section 5.1)."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool} or kinds == {str} or (kinds == {int} and all_int64(values)):
        return Formatted(list(values), NO_PROBLEMS)
    # a sum is finite only if everything in it is
    if kinds == {float} and None not in values and math.isfinite(sum(values)):
        return Formatted(list(values), NO_PROBLEMS)
    if kinds == {Decimal} and None not in values and all_plain(values):
        return Formatted(list(values), NO_PROBLEMS)
    return each(values, _json)


def _json(value: Any, depth: int = 0) -> Any:  # noqa: C901  # one branch a type
    """The JSON form of a value: what JSON cannot hold becomes text, NaN and infinities null."""
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
    if isinstance(value, datetime):
        return _wire_datetime(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise UnfitError("bytes have no form in JSON")
    raise UnfitError("a type that has no form in JSON")
