"""What a user may give to an action, and the checks on it that need no table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from xtremepush_dlt.exceptions import InvalidActionError

AUTO = "__auto__"
"""Stands for "look for a column of the usual name": the default of identify's fields."""


@dataclass(frozen=True)
class Column:
    """The name of a column, where a plain string would be taken literally."""

    name: str


column = Column
"""`track(column("event_name"), ...)` takes the event's name from a column."""

Source: TypeAlias = str | Column | int | float | bool | None
"""Where a value comes from: a string or `Column` names a column, a number or boolean is itself."""

_SCALARS = (str, int, float, bool, type(None))
Scalar: TypeAlias = str | int | float | bool | None
When: TypeAlias = Mapping[str, Scalar | Iterable[Scalar]]
Nulls: TypeAlias = Literal["skip", "clear"]
Selection: TypeAlias = Iterable[str] | Mapping[str, str] | None


def check_column(action: str, keyword: str, source: Any) -> None:
    """Refuses what names no column.

    Raises:
        InvalidActionError: If it is neither a `Column` nor a non-blank string.
    """
    name = source.name if isinstance(source, Column) else source
    if not isinstance(name, str) or not name.strip():
        raise InvalidActionError(f"{action}({keyword}=...) takes the name of a column.")


def check_nulls(action: str, nulls: Any) -> None:
    """Refuses a policy for nulls that is none.

    Raises:
        InvalidActionError: If it is neither "skip" nor "clear".
    """
    if nulls not in ("skip", "clear"):
        raise InvalidActionError(f'{action}(nulls=...) is "skip" or "clear".')


def as_selection(action: str, keyword: str, value: Any) -> Any:
    """Columns that were chosen: a tuple of names, or a dict name -> column; None for the default.

    Raises:
        InvalidActionError: If it is neither, or holds something else than names.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        pairs = {
            name: source.name if isinstance(source, Column) else source
            for name, source in value.items()
        }
        names = [*pairs, *pairs.values()]
        result: Any = pairs
    elif isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidActionError(
            f"{action}({keyword}=...) takes a list of columns, or a dict name -> column."
        )
    else:
        result = tuple(item.name if isinstance(item, Column) else item for item in value)
        names = list(result)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidActionError(f"{action}({keyword}=...) takes the names of columns as strings.")
    return result


def as_conditions(action: str, when: Any) -> Any:
    """Conditions as a dict column -> tuple of values; None when there are none.

    Raises:
        InvalidActionError: If a column or value can never be compared.
    """
    if when is None:
        return None
    if not isinstance(when, Mapping) or not when:
        raise InvalidActionError(
            f"{action}(when=...) takes a dict column -> value, list of values, or None. "
            "Anything richer is resource.add_filter(...)."
        )
    checked: dict[str, Any] = {}
    for name, wanted in when.items():
        check_column(action, "when", name)
        several = isinstance(wanted, Iterable) and not isinstance(wanted, (str, bytes, Mapping))
        values = list(wanted) if several else [wanted]
        if isinstance(wanted, (set, frozenset)):
            # the order of a set differs from run to run, and the schema would with it
            values.sort(key=repr)
        if not all(isinstance(value, _SCALARS) for value in values):
            raise InvalidActionError(
                f"{action}(when={{{name!r}: ...}}) compares with strings, numbers, booleans and "
                "None. Anything richer is resource.add_filter(...)."
            )
        checked[name] = tuple(values)
    return checked
