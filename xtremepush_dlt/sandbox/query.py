"""The query language of `list/*`: condition, order, limit, offset, select (reference 9.1)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from xtremepush_dlt.sandbox.envelope import Refused

Item = dict[str, object]
Test = Callable[[Item], bool]


def _in(value: Any, choices: Any) -> bool:
    return any(_compared(operator.eq)(value, choice) for choice in choices)


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, wanted: Any) -> bool:
        # Samples send ids as numbers and as strings, so unlike types compare as text.
        if type(value) is not type(wanted) and isinstance(value, str) | isinstance(wanted, str):
            value, wanted = str(value), str(wanted)
        try:
            return bool(compare(value, wanted))
        except TypeError:
            return False

    return test


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _compared(operator.eq),
    "!=": _compared(operator.ne),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    "IN": _in,
    "NOT IN": lambda value, choices: not _in(value, choices),
}


def select(items: Iterable[Item], query: Mapping[str, object]) -> list[Item]:
    """The items that a list request asks for.

    Raises:
        Refused: The query is malformed (400).
    """
    offset, limit = _count(query, "offset") or 0, _count(query, "limit")
    condition = query.get("condition")
    if condition:
        items = filter(_test(condition), items)
    order = query.get("order")
    if order:
        items = _ordered(list(items), order)
    page = list(islice(items, offset, None if limit is None else offset + limit))
    names = query.get("select")
    if isinstance(names, list) and names:
        page = [{name: item[name] for name in names if name in item} for item in page]
    return page


def _count(query: Mapping[str, object], name: str) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise Refused(400, f"{name} must be a number of 0 or more.")
    return value


def _test(condition: object) -> Test:
    """A test from a list of triples, or from `{"0": ..., "1": ..., "operator": "AND"}`."""
    if isinstance(condition, dict):
        parts = [part for key, part in condition.items() if key != "operator"]
        combine: Callable[[Iterable[bool]], bool] = (
            any if str(condition.get("operator", "AND")).upper() == "OR" else all
        )
    elif isinstance(condition, list):
        if len(condition) == 3 and isinstance(condition[0], str):
            return _triple(condition)
        parts, combine = condition, all
    else:
        raise Refused(400, "condition must be a list of [field, operator, value].")
    tests = [_test(part) for part in parts]
    return lambda item: combine(test(item) for test in tests)


def _triple(triple: list[Any]) -> Test:
    name, sign, wanted = triple
    compare = _OPERATORS.get(str(sign).upper())
    if compare is None:
        raise Refused(400, "condition has an operator that is not known.")
    if compare in (_OPERATORS["IN"], _OPERATORS["NOT IN"]) and not isinstance(wanted, list):
        raise Refused(400, "IN and NOT IN take a list of values.")
    return lambda item: compare(item.get(name), wanted)


def _ordered(items: list[Item], order: object) -> list[Item]:
    if not isinstance(order, list) or not all(isinstance(part, str) for part in order):
        raise Refused(400, 'order must be a list such as ["id DESC"].')
    for part in reversed(order):
        name, _, direction = part.partition(" ")
        items.sort(key=lambda item: _sortable(item.get(name)), reverse=direction.upper() == "DESC")
    return items


def _sortable(value: object) -> tuple[int, float, str]:
    if isinstance(value, (int, float)):
        return (1, value, "")
    return (0, 0.0, "") if value is None else (2, 0.0, str(value))
