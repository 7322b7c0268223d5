"""Rows into calls: what one action makes of one column batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any, NamedTuple

from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.formats import timestamp as timestamp_format
from xtremepush_dlt.mapping.plan import (
    ActionPlan,
    Binding,
    Condition,
    IdentifyPlan,
    TrackPlan,
)

Payload = dict[str, Any]
"""An identify call: wire value by profile column. A track call: an item of `events`."""


class Problem(NamedTuple):
    """Why a value was left out or a row refused; never the value itself."""

    column: str
    reason: str


class Calls(NamedTuple):
    """What one action makes of the rows of a batch; lists are as long as the batch.

    Attributes:
        users: The user of each row; None where the identifier is unusable.
        payloads: The call of each row, for an invalid row what could be made of it; None where
            `when` did not select the row.
        invalid: Problems by index, of rows that are refused here.
        omitted: Problems by index, of rows that are sent without some value.
        skipped: Rows that `when` did not select.
    """

    users: list[str | None]
    payloads: list[Payload | None]
    invalid: Mapping[int, list[Problem]]
    omitted: Mapping[int, list[Problem]]
    skipped: int = 0

    @property
    def plain(self) -> bool:
        """Whether every row makes a call, and nothing was left out."""
        return not (self.invalid or self.omitted or self.skipped)


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
    payloads: list[Payload]
    users = _required(batch, action.user, invalid)
    if isinstance(action, IdentifyPlan):
        payloads = _profiles(batch, action, users, other)
    else:
        payloads = _events(batch, action, users, invalid, other)
    made: list[Payload | None] = [*payloads]
    unselected = _unselected(batch, action.conditions, invalid)
    for index in unselected:
        made[index] = None
        invalid.pop(index, None)
        omitted.pop(index, None)
    for index in invalid:
        omitted.pop(index, None)
    return Calls(users, made, invalid, omitted, len(unselected))


def _profiles(
    batch: ColumnBatch, action: IdentifyPlan, users: list[str | None], problems: _Problems
) -> list[Payload]:
    return _objects(
        batch, action.profile, action.nulls == "clear", problems, {"user_id": users}
    )


def _events(
    batch: ColumnBatch,
    action: TrackPlan,
    users: list[str | None],
    invalid: _Problems,
    problems: _Problems,
) -> list[Payload]:
    clear = action.nulls == "clear"
    names = _required(batch, action.event, invalid)
    moments = _required(batch, action.timestamp, invalid)
    events: list[Payload] = [
        {"event": name, "user_id": user, "timestamp": moment}
        for name, user, moment in zip(names, users, moments, strict=True)
    ]
    for member, bindings in (
        ("user_attributes", action.user_attributes),
        ("value", action.properties),
    ):
        if bindings:
            objects = _objects(batch, bindings, clear, problems)
            for event, value in zip(events, objects, strict=True):
                event[member] = value
    return events


def _objects(
    batch: ColumnBatch,
    bindings: Sequence[Binding],
    clear: bool,
    problems: _Problems,
    always: Mapping[str, list[Any]] = MappingProxyType({}),
) -> list[Payload]:
    """One dict a row, without the values that are null or broken.

    Args:
        batch: The rows.
        bindings: What goes into the dicts.
        clear: Whether nulls are kept.
        problems: Takes what is broken.
        always: Columns in their wire form that every dict begins with.
    """
    broken: list[tuple[int, str]] = []
    columns: list[list[Any]] = [*always.values()]
    for binding in bindings:
        values, found = _written(batch, binding)
        columns.append(values)
        for index, reason in found.items():
            problems.note(index, binding.column or binding.target, reason)
            broken.append((index, binding.target))
    names = (*always, *(binding.target for binding in bindings))
    # dict, map and zip run in C: this is the dearest step of all
    objects: list[Payload] = list(map(dict, map(zip, repeat(names), zip(*columns, strict=True))))
    if clear:
        for index, name in broken:
            # a broken value is not a null: it must not clear what Xtremepush has
            del objects[index][name]
        return objects
    for name, values in zip(names, columns, strict=True):
        if None in values:
            for index, value in enumerate(values):
                if value is None:
                    del objects[index][name]
    return objects


def _required(batch: ColumnBatch, binding: Binding, invalid: _Problems) -> list[Any]:
    values, found = _written(batch, binding)
    for index, reason in found.items():
        invalid.note(index, binding.column or binding.target, reason)
    if None in values:
        for index, value in enumerate(values):
            if value is None and index not in found:
                invalid.note(index, binding.column or binding.target, "missing")
    return values


def _written(batch: ColumnBatch, binding: Binding) -> tuple[list[Any], Mapping[int, str]]:
    if binding.column is None:
        return [binding.constant] * batch.length, {}
    values = batch.column(binding.column)
    wire = binding.column in batch.wire_datetimes
    if wire and binding.write is timestamp_format:
        found: Mapping[int, str] = {}
    else:
        values, found = binding.write(values)
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
) -> list[int]:
    """Rows that `when` leaves out. Where the deciding value drifted, the row is invalid instead:
    skipping it would hide that a campaign may have missed it."""
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
            if value not in wanted and index not in moved
        )
    for index, problem in drifted.items():
        if index not in left_out:
            invalid.note(index, *problem)
    return sorted(left_out)
