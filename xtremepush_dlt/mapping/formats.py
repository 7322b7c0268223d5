"""One function for each wire format: a column of values in, a column of wire values out.

Sections are those of the API reference. A null stays None. A value that breaks its rule becomes
None as well and is listed with the reason; reasons never quote the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import pendulum

TEXT_LENGTH = 101
"""Characters that an attribute of the type String can hold (section 7, confirmed)."""

_DEEPEST = 200
"""Levels of nested JSON that are sent; the encoder stops soon after."""

_DIGITS_MOST = 400
"""Digits of a number that are written out: more than any float has, fewer than do harm."""

_INT64 = range(-(2**63), 2**63)


class Formatted(NamedTuple):
    """A column in its wire form.

    Attributes:
        values: One wire value a row; None for a null and for a value that breaks the rule.
        problems: Reason by the index of a row whose value breaks the rule.
    """

    values: list[Any]
    problems: Mapping[int, str]


Format = Callable[[Sequence[Any]], Formatted]
_NO_PROBLEMS: Mapping[int, str] = {}


class _UnfitError(Exception):
    """A value breaks its rule; the message is the reason."""


def _each(values: Sequence[Any], convert: Callable[[Any], Any]) -> Formatted:
    problems: dict[int, str] = {}
    converted: list[Any] = []
    for index, value in enumerate(values):
        if value is None:
            converted.append(None)
            continue
        try:
            converted.append(convert(value))
        except _UnfitError as unfit:
            problems[index] = str(unfit)
            converted.append(None)
    return Formatted(converted, problems)


def user_id(values: Sequence[Any]) -> Formatted:
    """The external user ID as text: trimmed text, or the digits of a whole number (section 11)."""
    kinds = set(map(type, values))
    if kinds == {int} and _all_int64(values):
        return Formatted(list(map(str, values)), _NO_PROBLEMS)
    if kinds == {str}:
        trimmed = [text.strip() for text in values]
        if all(trimmed):
            return Formatted(trimmed, _NO_PROBLEMS)
    return _each(values, _user_id)


def _user_id(value: Any) -> str | None:
    if isinstance(value, str):
        if not (text := value.strip()):
            raise _UnfitError("blank")
        return text
    if isinstance(value, bool):
        raise _UnfitError("a boolean is no identifier")
    if isinstance(value, (int, float, Decimal)):
        if _is_no_number(value):
            return None
        _refuse_huge(value)
        if value != int(value):
            raise _UnfitError("a number with a fraction is no identifier")
        return str(int(value))
    if isinstance(value, UUID):
        return str(value)
    raise _UnfitError("neither text nor a whole number")


def event_name(values: Sequence[Any]) -> Formatted:
    """The name of an event: a non-blank text, trimmed (section 5.1)."""
    return _each(values, _event_name)


def _event_name(value: Any) -> str:
    if not isinstance(value, str):
        raise _UnfitError("not text")
    if not (text := value.strip()):
        raise _UnfitError("blank")
    return text


_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def email(values: Sequence[Any]) -> Formatted:
    """An e-mail address: trimmed, one `@`, a dot in the domain, no blanks (section 11)."""
    return _each(values, _email)


def _email(value: Any) -> str | None:
    if not isinstance(value, str):
        raise _UnfitError("not text")
    text = value.strip()
    if not text:
        return None
    if not _EMAIL.fullmatch(text):
        raise _UnfitError("not an e-mail address")
    return text


_TRUNK_ZERO = re.compile(r"(?<=\d)\s*\(0\)(?=.)")
_PHONE_FILLING = str.maketrans("", "", " \t\u00a0\u202f.-\u2010\u2011\u2012\u2013()")


def mobile_number(values: Sequence[Any]) -> Formatted:
    """A mobile number as E.164 digits without `+` (section 11, confirmed)."""
    return _each(values, _mobile_number)


def _mobile_number(value: Any) -> str | None:
    if isinstance(value, bool):
        raise _UnfitError("not a phone number")
    if isinstance(value, (int, float, Decimal)):
        digits = _user_id(value)
        if digits is None:
            return None
    elif isinstance(value, str):
        # the zero of "+44 (0)20" is not dialled from abroad
        digits = _TRUNK_ZERO.sub("", value.strip()).translate(_PHONE_FILLING)
        if not digits:
            return None
        digits = digits[1:] if digits.startswith("+") else digits.removeprefix("00")
    else:
        raise _UnfitError("not a phone number")
    if not (digits.isascii() and digits.isdigit()):
        raise _UnfitError("not a phone number")
    if digits.startswith("0"):
        raise _UnfitError("a national number: the country code is missing")
    if not 7 <= len(digits) <= 15:
        raise _UnfitError("not 7 to 15 digits")
    return digits


_FLAGS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), 1),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), 0),
}


def subscription(values: Sequence[Any]) -> Formatted:
    """A consent flag: 1 or 0 (section 11, confirmed)."""
    return _each(values, _subscription)


def _subscription(value: Any) -> int | None:
    if isinstance(value, (bool, int, float, Decimal)):
        if _is_no_number(value):
            return None
        if value in (0, 1):
            return int(value)
    elif isinstance(value, str):
        text = value.strip().lower()
        if not text:
            return None
        if text in _FLAGS:
            return _FLAGS[text]
    raise _UnfitError("neither yes nor no")


def language(values: Sequence[Any]) -> Formatted:
    """A language: two letters, lower case (section 11, confirmed)."""
    return _each(values, _language)


def _language(value: Any) -> str | None:
    text = value.strip().lower() if isinstance(value, str) else "?"
    if not text:
        return None
    if len(text) != 2 or not (text.isascii() and text.isalpha()):
        raise _UnfitError("not a two-letter language code")
    return text


def timezone_name(values: Sequence[Any]) -> Formatted:
    """An IANA timezone (section 11, confirmed)."""
    return _each(values, _timezone_name)


def _timezone_name(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else "?"
    if not text:
        return None
    if text not in _timezones():
        raise _UnfitError("not an IANA timezone")
    return text


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(pendulum.timezones())


def timestamp(values: Sequence[Any]) -> Formatted:
    """A moment as `YYYY-MM-DD HH:MM:SS +00:00`; naive means UTC (section 5.1)."""
    if set(map(type, values)) == {datetime}:
        try:
            return Formatted([_wire_datetime(value) for value in values], _NO_PROBLEMS)
        except _UnfitError:
            pass  # a moment out of range: found and listed below
    return _each(values, _timestamp)


def _timestamp(value: Any) -> str:
    if isinstance(value, datetime):
        return _wire_datetime(value)
    if isinstance(value, date):
        return f"{value.isoformat()} 00:00:00 +00:00"
    if not isinstance(value, str):
        raise _UnfitError("not a date-time")
    text = value.strip()
    if not text[:1].isdigit():
        # pendulum reads `now`, but an old event must not be stamped with the moment of sending
        raise _UnfitError("not a date-time")
    try:
        return _wire_datetime(datetime.fromisoformat(text))
    except ValueError:
        pass  # forms that this Python does not read: pendulum's turn
    try:
        parsed = pendulum.parse(text, exact=True)
    except (ValueError, OverflowError, TypeError):
        # pendulum stumbles over some texts that only look like a time
        raise _UnfitError("not a date-time") from None
    if isinstance(parsed, (datetime, date)):
        return _timestamp(parsed)
    raise _UnfitError("not a date-time")


def _wire_datetime(value: datetime) -> str:
    try:
        if value.utcoffset():
            value = value.astimezone(timezone.utc)
    except OverflowError:
        raise _UnfitError("a date-time out of range") from None
    # the first 19 characters are date and time, whatever follows
    return f"{value.isoformat(' ')[:19]} +00:00"


def attribute(values: Sequence[Any]) -> Formatted:
    """A profile attribute (sections 4 and 7).

    Text of at most 101 characters, a number, a boolean, a date or date-time as text, a list or
    object as a JSON string. Decimals stay Decimal, so that every digit reaches the wire.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool} or (kinds == {str} and _all_short(values)):
        return Formatted(list(values), _NO_PROBLEMS)
    if kinds == {int} and _all_int64(values):
        return Formatted(list(values), _NO_PROBLEMS)
    return _each(values, _attribute)


def _all_short(values: Sequence[str | None]) -> bool:
    return max(map(len, filter(None, values)), default=0) <= TEXT_LENGTH


def _all_int64(values: Sequence[int | None]) -> bool:
    numbers = [value for value in values if value is not None]
    return min(numbers) in _INT64 and max(numbers) in _INT64


def _attribute(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > TEXT_LENGTH:
            raise _UnfitError(f"longer than {TEXT_LENGTH} characters")
        return value
    if isinstance(value, (dict, list, tuple)):
        return orjson.dumps(_json(value), default=encode_number).decode()
    return _json(value)


def json_value(values: Sequence[Any]) -> Formatted:
    """A property of an event: JSON keeps its types, nested ones too (section 5.1)."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool} or kinds == {str} or (kinds == {int} and _all_int64(values)):
        return Formatted(list(values), _NO_PROBLEMS)
    # a sum is finite only if everything in it is
    if kinds == {float} and None not in values and math.isfinite(sum(values)):
        return Formatted(list(values), _NO_PROBLEMS)
    return _each(values, _json)


def _json(value: Any, depth: int = 0) -> Any:  # noqa: C901  # one branch a type
    """The JSON form of a value: what JSON cannot hold becomes text, NaN and infinities null."""
    if depth > _DEEPEST:
        raise _UnfitError(f"nested deeper than {_DEEPEST} levels")
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if value in _INT64:
            return value
        _refuse_huge(value)
        # beyond 64 bits the encoder takes numbers as decimals only
        return Decimal(value)
    if isinstance(value, (float, Decimal)):
        if _is_no_number(value):
            return None
        _refuse_huge(value)
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
        raise _UnfitError("bytes have no form in JSON")
    raise _UnfitError("a type that has no form in JSON")


def _refuse_huge(value: float | Decimal) -> None:
    """A number is written out with all its digits: those of `1E+999999` would be a million."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        digits = max(abs(value.adjusted()), abs(exponent) if isinstance(exponent, int) else 0)
    else:
        digits = int(abs(value)).bit_length() // 3
    if digits > _DIGITS_MOST:
        raise _UnfitError(f"a number of more than {_DIGITS_MOST} digits")


def _is_no_number(value: Any) -> bool:
    if isinstance(value, Decimal):
        return not value.is_finite()
    return isinstance(value, float) and not math.isfinite(value)


def encode_number(value: Any) -> orjson.Fragment:
    """The encoder's help with a Decimal: a JSON number with every digit it has.

    Raises:
        TypeError: If the value is something else, which the formats above never let through.
    """
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode())
    raise TypeError(f"no JSON form for {type(value).__name__}")
