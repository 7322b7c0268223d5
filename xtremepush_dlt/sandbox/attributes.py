"""The types of profile attributes: which values fit one (reference 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from xtremepush_dlt.sandbox.settings import AttributeType

# The reference's form, and ISO 8601 with a T, which is what Segment's dates look like.
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d\d:\d\d|Z)?)?",
    re.ASCII,
)
# A CSV import has text only, and the API takes the same values (4), so numbers may come as text.
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def _is_text(value: object) -> bool:
    return isinstance(value, (str, int, float))


def _is_integer(value: object) -> bool:
    if isinstance(value, str):
        return _INTEGER.fullmatch(value) is not None
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return type(value) in (int, float)


def _is_date(value: object) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


def _is_array(value: object) -> bool:
    # An import has arrays as escaped JSON text (4).
    if isinstance(value, str):
        return value[:1] + value[-1:] in ("[]", "{}")
    return isinstance(value, (list, dict))


def _is_boolean(value: object) -> bool:
    return value in (True, False, "true", "false", "1", "0")


_FITS: Mapping[AttributeType, Callable[[object], bool]] = {
    "string": _is_text,
    "number": _is_number,
    "integer": _is_integer,
    "date": _is_date,
    "array": _is_array,
    "boolean": _is_boolean,
}


def fits(kind: AttributeType, value: object) -> bool:
    """Whether an attribute of this type can hold a value, which is not null or empty."""
    return _FITS[kind](value)
