"""One function for each wire format of a profile's own fields: a column in, a column out.

Sections are those of the API reference. A null stays None. A value that breaks its rule becomes
None as well and is listed with the reason; reasons never quote the value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import pendulum

from xtremepush_dlt.mapping.wire import (
    NO_PROBLEMS,
    Formatted,
    UnfitError,
    all_int64,
    each,
    is_no_number,
    refuse_huge,
)


def user_id(values: Sequence[Any]) -> Formatted:
    """The external user ID as text: trimmed text, or the digits of a whole number (section 11)."""
    kinds = set(map(type, values))
    if kinds == {int} and all_int64(values):
        return Formatted(list(map(str, values)), NO_PROBLEMS)
    if kinds == {str}:
        trimmed = [text.strip() for text in values]
        if all(trimmed):
            return Formatted(trimmed, NO_PROBLEMS)
    return each(values, _user_id)


def _user_id(value: Any) -> str | None:
    if isinstance(value, str):
        if not (text := value.strip()):
            raise UnfitError("blank")
        return text
    if isinstance(value, bool):
        raise UnfitError("a boolean is no identifier")
    if isinstance(value, (int, float, Decimal)):
        return whole_number(value)
    if isinstance(value, UUID):
        return str(value)
    raise UnfitError("neither text nor a whole number")


def whole_number(value: float | Decimal) -> str | None:
    """The digits of a whole number, however its column holds it; None for NaN and infinities.

    Raises:
        UnfitError: If it is not whole.
    """
    if is_no_number(value):
        return None
    refuse_huge(value)
    if value != int(value):
        raise UnfitError("a number with a fraction is no identifier")
    return str(int(value))


def event_name(values: Sequence[Any]) -> Formatted:
    """The name of an event: a non-blank text, trimmed (section 5.1)."""
    if set(map(type, values)) == {str}:
        # few names stand in many rows
        trimmed = {name: name.strip() for name in set(values)}
        if all(trimmed.values()):
            return Formatted([trimmed[name] for name in values], NO_PROBLEMS)
    return each(values, _event_name)


def _event_name(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError("not text")
    if not (text := value.strip()):
        raise UnfitError("blank")
    return text


_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def email(values: Sequence[Any]) -> Formatted:
    """An e-mail address: trimmed, one `@`, a dot in the domain, no blanks (section 11)."""
    return each(values, _email)


def _email(value: Any) -> str | None:
    if not isinstance(value, str):
        raise UnfitError("not text")
    text = value.strip()
    if not text:
        return None
    if not _EMAIL.fullmatch(text):
        raise UnfitError("not an e-mail address")
    return text


_TRUNK_ZERO = re.compile(r"(?<=\d)\s*\(0\)(?=.)")
_PHONE_FILLING = str.maketrans("", "", " \t\u00a0\u202f.-\u2010\u2011\u2012\u2013()")


def mobile_number(values: Sequence[Any]) -> Formatted:
    """A mobile number as E.164 digits without `+` (section 11, confirmed)."""
    return each(values, _mobile_number)


def _mobile_number(value: Any) -> str | None:
    if isinstance(value, bool):
        raise UnfitError("not a phone number")
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
        raise UnfitError("not a phone number")
    if not (digits.isascii() and digits.isdigit()):
        raise UnfitError("not a phone number")
    if digits.startswith("0"):
        raise UnfitError("a national number: the country code is missing")
    if not 7 <= len(digits) <= 15:
        raise UnfitError("not 7 to 15 digits")
    return digits


_FLAGS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), 1),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), 0),
}


def subscription(values: Sequence[Any]) -> Formatted:
    """A consent flag: 1 or 0 (section 11, confirmed)."""
    return each(values, _subscription)


def _subscription(value: Any) -> int | None:
    if isinstance(value, (bool, int, float, Decimal)):
        if is_no_number(value):
            return None
        if value in (0, 1):
            return int(value)
    elif isinstance(value, str):
        text = value.strip().lower()
        if not text:
            return None
        if text in _FLAGS:
            return _FLAGS[text]
    raise UnfitError("neither yes nor no")


def language(values: Sequence[Any]) -> Formatted:
    """A language: two letters, lower case (section 11, confirmed)."""
    return each(values, _language)


def _language(value: Any) -> str | None:
    text = value.strip().lower() if isinstance(value, str) else "?"
    if not text:
        return None
    if len(text) != 2 or not (text.isascii() and text.isalpha()):
        raise UnfitError("not a two-letter language code")
    return text


def timezone_name(values: Sequence[Any]) -> Formatted:
    """An IANA timezone (section 11, confirmed)."""
    return each(values, _timezone_name)


def _timezone_name(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else "?"
    if not text:
        return None
    if text not in _timezones():
        raise UnfitError("not an IANA timezone")
    return text


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(pendulum.timezones())
