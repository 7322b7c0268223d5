"""Rows into calls: what one action makes of one column batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from xtremepush_dlt.mapping import data_formats
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.payloads import Events, Objects
from xtremepush_dlt.mapping.plan import (
    CONSENT_FLAGS,
    ActionPlan,
    Binding,
    Condition,
    IdentifyPlan,
    TrackPlan,
)

_TAKE_DATETIMES = (data_formats.timestamp, data_formats.attribute, data_formats.json_value)
"""Formats that leave a date-time in its wire form as it is."""


class Problem(NamedTuple):
    """Why a value was left out or a row refused; never the value itself."""

    column: str
    reason: str


@dataclass(frozen=True, repr=False)
class Calls:
    """What one action makes of the rows of a batch.

    Attributes:
        users: The user of each row; None where the identifier is unusable.
        payloads: The call of each row, also of a row that is not sent.
        skipped: Indices of rows that `when` did not select.
        invalid: Problems by index, of rows that are refused here.
        omitted: Problems by index, of rows that are sent without some value.
    """

    users: list[str | None]
    payloads: Objects | Events
    skipped: Collection[int]
    invalid: Mapping[int, list[Problem]]
    omitted: Mapping[int, list[Problem]]

    @property
    def plain(self) -> bool:
        """Whether every row makes a call, and nothing was left out."""
        return not (self.skipped or self.invalid or self.omitted)


class _Problems(dict[int, list[Problem]]):
    def note(self, index: int, column: str, reason: str) -> None:
        self.setdefault(index, []).append(Problem(column, reason))


def make_calls(batch: ColumnBatch, action: ActionPlan, reject_invalid: bool) -> Calls:
    """Applies an action to the rows of a batch.

    Args:
        batch: The rows.
        action: The action.
        reject_invalid: Whether a value that breaks its rule makes its row invalid instead of
            being left out.
    """
    invalid, omitted = _Problems(), _Problems()
    other = invalid if reject_invalid else omitted
    users = _required(batch, action.user, invalid)
    payloads: Objects | Events
    if isinstance(action, IdentifyPlan):
        payloads = _objects(
            batch, action.profile, action.nulls == "clear", other, {"user_id": users}
        )
    else:
        payloads = _events(batch, action, users, invalid, other)
    skipped = _unselected(batch, action.conditions, invalid)
    for index in skipped:
        invalid.pop(index, None)
    for index in (*skipped, *invalid):
        omitted.pop(index, None)
    return Calls(users, payloads, skipped, invalid, omitted)


def without(calls: Calls, indices: Collection[int]) -> Calls:
    """The calls with some further rows left out."""
    if not indices:
        return calls
    return replace(
        calls,
        skipped={*calls.skipped, *indices},
        invalid={index: what for index, what in calls.invalid.items() if index not in indices},
        omitted={index: what for index, what in calls.omitted.items() if index not in indices},
    )


def _events(
    batch: ColumnBatch,
    action: TrackPlan,
    users: list[str | None],
    invalid: _Problems,
    problems: _Problems,
) -> Events:
    bound = {"user_attributes": action.user_attributes, "value": action.properties}
    return Events(
        _required(batch, action.event, invalid),
        users,
        _required(batch, action.timestamp, invalid),
        {
            member: _objects(batch, bindings, action.nulls == "clear", problems)
            for member, bindings in bound.items()
            if bindings
        },
    )


def _objects(
    batch: ColumnBatch,
    bindings: Sequence[Binding],
    clear: bool,
    problems: _Problems,
    always: Mapping[str, list[Any]] = MappingProxyType({}),
) -> Objects:
    """Brings columns into their wire form.

    Args:
        batch: The rows.
        bindings: What goes into the dicts.
        clear: Whether nulls are sent.
        problems: Takes what is broken.
        always: Columns in their wire form that every dict begins with.
    """
    broken: dict[int, set[str]] = {}
    columns: list[list[Any]] = [*always.values()]
    for binding in bindings:
        values, found = written(batch, binding)
        columns.append(values)
        for index, reason in found.items():
            problems.note(index, binding.column or binding.target, reason)
            # a broken value is not a null: it must not clear what Xtremepush has
            broken.setdefault(index, set()).add(binding.target)
    names = (*always, *(binding.target for binding in bindings))
    for address, flag in CONSENT_FLAGS.items():
        if address in names and flag in names:
            place = names.index(address)
            source = bindings[place - len(always)].column or address
            columns[place], without = _with_consent(columns[place], columns[names.index(flag)])
            for index in without:
                problems.note(index, source, f"its row has no `{flag}`")
                broken.setdefault(index, set()).add(address)
    holes = not clear and any(None in values for values in columns)
    return Objects(names, columns, holes, broken)


def _with_consent(addresses: list[Any], flags: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Addresses of the rows that say whether the person agreed, and indices of the others.

    Xtremepush wants the flag beside the address (reference, section 4), in every row.
    """
    if None not in flags:
        return addresses, []
    without = [
        index
        for index, (address, flag) in enumerate(zip(addresses, flags, strict=True))
        if flag is None and address is not None
    ]
    kept = [*addresses]
    for index in without:
        kept[index] = None
    return kept, without


def _required(batch: ColumnBatch, binding: Binding, invalid: _Problems) -> list[Any]:
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
    elif binding.write not in _TAKE_DATETIMES:
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


def _unselected(
    batch: ColumnBatch, conditions: Sequence[Condition], invalid: _Problems
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
        wanted = condition.values
        left_out.update(
            index
            for index, value in enumerate(batch.column(condition.column))
            if index not in moved and not _is_wanted(value, wanted)
        )
    for index, problem in drifted.items():
        if index not in left_out:
            invalid.note(index, *problem)
    return left_out


def _is_wanted(value: Any, wanted: Sequence[Any]) -> bool:
    if isinstance(value, datetime):
        # as it would have come from a parquet file
        value = data_formats.timestamp([value]).values[0]
    try:
        return value in wanted
    except ArithmeticError:
        return False  # a signalling NaN refuses to be compared
