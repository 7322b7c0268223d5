"""Columns of a batch as an action reads them: in their wire form, and which rows it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from xtremepush_dlt.mapping import data_formats, segment_formats, wire
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import Binding, Condition
from xtremepush_dlt.mapping.problems import Problem, Problems

_NO_REWRITE = (data_formats.timestamp, data_formats.attribute, data_formats.json_value)
"""Formats that leave a date-time in the wire form of load files as it is."""

_REWRITES: Mapping[wire.Format, Callable[[Sequence[str | None]], list[str | None]]] = {
    segment_formats.timestamp: segment_formats.from_wire,
    segment_formats.value: segment_formats.from_wire,
}
"""Formats that write it anew."""


def optional(batch: ColumnBatch, binding: Binding, problems: Problems) -> list[Any]:
    """A column in its wire form; what breaks its rule is noted."""
    values, found = written(batch, binding)
    for index, reason in found.items():
        problems.note(index, binding.column or binding.target, reason)
    return values


def required(batch: ColumnBatch, binding: Binding, invalid: Problems) -> list[Any]:
    """A column in its wire form; what breaks its rule is noted, and what is missing."""
    values, found = written(batch, binding)
    for index, reason in found.items():
        invalid.note(index, binding.column or binding.target, reason)
    if None in values:
        for index, value in enumerate(values):
            if value is None and index not in found:
                invalid.note(index, binding.column or binding.target, "missing")
    return values


def written(batch: ColumnBatch, binding: Binding) -> tuple[list[Any], Mapping[int, str]]:
    """A column of a batch in its wire form, and why values broke their rule, by index."""
    if binding.column is None:
        return [binding.constant] * batch.length, {}
    values = batch.column(binding.column)
    found: Mapping[int, str] = {}
    if binding.column not in batch.wire_datetimes:
        values, found = binding.write(values)
    elif binding.write in _REWRITES:
        values = _REWRITES[binding.write](values)
    elif binding.write not in _NO_REWRITE:
        found = {i: "a date-time" for i, value in enumerate(values) if value is not None}
        values = [None] * batch.length
    if drifted := _drifted(batch, binding.variants):
        found = {**found, **drifted}
    return values, found


def _drifted(batch: ColumnBatch, variants: Sequence[str]) -> dict[int, str]:
    """Rows whose value arrived in a variant column, because it did not fit the column's type."""
    return {
        index: f"its type drifted: arrived in `{variant}`"
        for variant in variants
        if variant in batch.columns
        for index, value in enumerate(batch.columns[variant])
        if value is not None
    }


def unselected(
    batch: ColumnBatch, conditions: Sequence[Condition], invalid: Problems
) -> Collection[int]:
    """Rows that `when` leaves out.

    Where the deciding value drifted, the row is invalid instead: skipping it would hide that a
    campaign may have missed it.
    """
    left_out: set[int] = set()
    drifted: dict[int, Problem] = {}
    for condition in conditions:
        moved = _drifted(batch, condition.variants)
        drifted.update(
            {index: Problem(condition.column, reason) for index, reason in moved.items()}
        )
        wanted, negated = condition.values, condition.negated
        left_out.update(
            index
            for index, value in enumerate(batch.column(condition.column))
            if index not in moved and _is_wanted(value, wanted) is negated
        )
    for index, problem in drifted.items():
        if index not in left_out:
            invalid.note(index, *problem)
    return left_out


def _is_wanted(value: Any, wanted: Sequence[Any]) -> bool:
    if isinstance(value, datetime):
        # as it would have come from a parquet file
        value = data_formats.timestamp([value]).values[0]
    elif isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, Decimal):
        # 9.99 as it is written, not as a float holds it
        wanted = [_as_decimal(each) for each in wanted]
    try:
        return value in wanted
    except ArithmeticError:
        return False  # a signalling NaN refuses to be compared


def _as_decimal(wanted: Any) -> Any:
    return Decimal(str(wanted)) if isinstance(wanted, float) else wanted
