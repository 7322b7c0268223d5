"""What all wire formats share: the shape of their answer, and how numbers are treated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

_DIGITS_MOST = 400
"""Digits of a number that are written out: more than any float has, fewer than do harm."""

_PLAIN = set("0123456789.-")

INT64 = range(-(2**63), 2**63)


class Formatted(NamedTuple):
    """A column in its wire form.

    Attributes:
        values: One wire value a row; None for a null and for a value that breaks the rule.
        problems: Reason by the index of a row whose value breaks the rule.
    """

    values: list[Any]
    problems: Mapping[int, str]


Format = Callable[[Sequence[Any]], Formatted]
NO_PROBLEMS: Mapping[int, str] = {}


class UnfitError(Exception):
    """A value breaks its rule; the message is the reason."""


def each(values: Sequence[Any], convert: Callable[[Any], Any]) -> Formatted:
    """Converts value by value.

    Args:
        values: A column.
        convert: Converts a value that is not null; raises `UnfitError` if it breaks the rule.
    """
    problems: dict[int, str] = {}
    converted: list[Any] = []
    for index, value in enumerate(values):
        if value is None:
            converted.append(None)
            continue
        try:
            converted.append(convert(value))
        except UnfitError as unfit:
            problems[index] = str(unfit)
            converted.append(None)
    return Formatted(converted, problems)


def all_int64(values: Sequence[int | None]) -> bool:
    """Whether a column of integers, at least one of them not null, fits into 64 bits."""
    numbers = [value for value in values if value is not None]
    return min(numbers) in INT64 and max(numbers) in INT64


def all_plain(values: Sequence[Decimal]) -> bool:
    """Whether a column of decimals, none of them null, is written with digits, point and minus."""
    texts = list(map(str, values))
    return set("".join(texts)) <= _PLAIN and max(map(len, texts)) <= _DIGITS_MOST


def refuse_huge(value: float | Decimal) -> None:
    """A number is written out with all its digits: those of `1E+999999` would be a million."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        digits = max(abs(value.adjusted()), abs(exponent) if isinstance(exponent, int) else 0)
    else:
        digits = int(abs(value)).bit_length() // 3
    if digits > _DIGITS_MOST:
        raise UnfitError(f"a number of more than {_DIGITS_MOST} digits")


def is_no_number(value: Any) -> bool:
    """Whether a number is NaN or infinite, which counts as null."""
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
