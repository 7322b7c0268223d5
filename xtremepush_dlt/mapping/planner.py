"""Planning: the actions of a table are checked against its columns, and names resolved.

Whatever is wrong with an action shows here, before the first request.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping import data_formats, formats, wire
from xtremepush_dlt.mapping.actions import AUTO, Action, Column, Identify, Track
from xtremepush_dlt.mapping.plan import (
    CONSENT_FLAGS,
    SYSTEM_FORMATS,
    Binding,
    Condition,
    IdentifyPlan,
    TablePlan,
    TrackPlan,
)

_USUAL_COLUMNS: Mapping[str, Sequence[str]] = {"mobile_number": ("mobile_number", "phone")}
"""Columns looked for by default, where the name differs: `phone` is Segment's trait."""


@dataclass(frozen=True)
class TableColumns:
    """What is known of a table's columns.

    Attributes:
        table: Name of the table.
        types: dlt data type by column, in the order of the schema; None for a column that never
            had a value.
        variants: Columns that hold values which did not fit, by the column they were meant for.
        internal: Columns that dlt adds for itself.
        primary_key: Columns of the primary key.
        normalize: The forms that a name may take under the pipeline's naming convention.
    """

    table: str
    types: Mapping[str, str | None]
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    internal: frozenset[str] = frozenset()
    primary_key: tuple[str, ...] = ()
    normalize: Callable[[str], Iterable[str]] = lambda name: (name,)

    def find(self, name: str) -> str | None:
        """The column that a name means, or None."""
        return next((form for form in (name, *self.normalize(name)) if form in self.types), None)

    def need(self, name: str, action: str, keyword: str) -> str:
        """The column that a name means.

        Raises:
            MappingError: If there is none.
        """
        if (found := self.find(name)) is not None:
            return found
        close = difflib.get_close_matches(name, list(self.types), n=1)
        known = (
            f"Did you mean `{close[0]}`?"
            if close
            else "Its columns are: "
            + ", ".join(f"`{column}`" for column in self.types if column not in self.internal)
            + "."
        )
        raise MappingError(
            self.table,
            f"{action}: {keyword} names the column `{name}`, which the table does not have.",
            f"{known} A column that never had a value is unknown to dlt until its type is given: "
            f'resource.apply_hints(columns={{"{name}": {{"data_type": "text"}}}}).',
        )

    def rest(self, used: Iterable[str]) -> list[str]:
        """Columns with data that are neither used already nor dlt's own nor drifted values."""
        out = {*used, *self.internal, *(v for vs in self.variants.values() for v in vs)}
        return [name for name, kind in self.types.items() if kind is not None and name not in out]


def plan_table(columns: TableColumns, actions: Sequence[Action]) -> TablePlan:
    """Checks the actions of a table against its columns.

    Args:
        columns: What the table has.
        actions: What the user wants done with its rows.

    Raises:
        MappingError: If the table has no action, or an action does not fit the table.
    """
    if not actions:
        raise MappingError(
            columns.table,
            "It has no action, so nothing says what to send.",
            "Wrap its resource: xtremepush_adapter(resource, identify(...)) or track(...).",
        )
    plans = [
        _plan_identify(columns, index, action)
        if isinstance(action, Identify)
        else _plan_track(columns, index, action)
        for index, action in enumerate(actions)
    ]
    return TablePlan(
        columns.table,
        tuple(plan for plan in plans if isinstance(plan, IdentifyPlan)),
        tuple(plan for plan in plans if isinstance(plan, TrackPlan)),
        columns.types,
    )


def require_consent(plan: TablePlan) -> None:
    """Refuses an address or number without its subscription flag, which the External API needs.

    Raises:
        MappingError: If an identify action maps one without the other (reference, section 4).
    """
    for action in plan.actions:
        if isinstance(action, IdentifyPlan):
            kind, bindings = "identify", action.profile
        else:
            kind, bindings = "track(user_attributes=...)", action.user_attributes
        targets = {binding.target for binding in bindings}
        for address, flag in CONSENT_FLAGS.items():
            if address in targets and flag not in targets:
                raise MappingError(
                    plan.table,
                    f"{kind} maps `{address}` without `{flag}`, which Xtremepush requires "
                    "beside it; whether a person agreed is never assumed.",
                    f'Name the column that holds the consent, identify({flag}="..."), or say it '
                    f"for all rows, {flag}=1 or {flag}=0, or send no address: {address}=None.",
                )


def _plan_identify(columns: TableColumns, index: int, action: Identify) -> IdentifyPlan:
    user = _bind(columns, action, "user_id", formats.user_id)
    profile = [
        binding
        for target, write in SYSTEM_FORMATS.items()
        if (binding := _bind(columns, action, target, write, optional=True)) is not None
    ]
    version = _bind(columns, action, "version", data_formats.json_value, optional=True)
    if action.attributes is None:
        # an address that was left out on purpose must not come back as an attribute
        reserved = {columns.find(name) for name in ("user_id", *SYSTEM_FORMATS)}
        if action.mobile_number is None:
            reserved |= {columns.find(name) for name in _USUAL_COLUMNS["mobile_number"]}
        used = {binding.column for binding in (user, version, *profile) if binding} | reserved
        attributes = _select(
            columns, "identify", "attributes", columns.rest(name for name in used if name)
        )
    else:
        attributes = _select(columns, "identify", "attributes", action.attributes)
    for attribute in attributes:
        if attribute.target in {"user_id", *SYSTEM_FORMATS}:
            raise MappingError(
                columns.table,
                f"identify: attributes names `{attribute.target}`, which Xtremepush reserves.",
                f"Use the keyword: identify({attribute.target}=...).",
            )
    return IdentifyPlan(
        index,
        action.label,
        user,
        (*profile, *attributes),
        version,
        _conditions(columns, "identify", action.when),
        action.nulls,
    )


def _plan_track(columns: TableColumns, index: int, action: Track) -> TrackPlan:
    user = _bind(columns, action, "user_id", formats.user_id)
    timestamp = _bind(columns, action, "timestamp", data_formats.timestamp)
    if isinstance(action.event, Column):
        event = _bind(columns, action, "event", formats.event_name)
    else:
        event = Binding("event", None, action.event.strip(), formats.event_name)
    attributes = _select(columns, "track", "user_attributes", action.user_attributes)
    if any(attribute.target == "user_id" for attribute in attributes):
        raise MappingError(
            columns.table,
            "track: user_attributes names `user_id`, which is no attribute.",
            "Use the keyword: track(..., user_id=...).",
        )
    if action.properties is None:
        used = [binding.column for binding in (user, timestamp, event, *attributes)]
        selection: Any = columns.rest(name for name in used if name)
    else:
        selection = action.properties
    event_id = columns.primary_key
    if action.event_id is not None:
        chosen = _select(columns, "track", "event_id", action.event_id)
        event_id = tuple(binding.column for binding in chosen if binding.column)
    return TrackPlan(
        index,
        action.label,
        user,
        event,
        timestamp,
        _select(columns, "track", "properties", selection, default=data_formats.json_value),
        attributes,
        event_id,
        _conditions(columns, "track", action.when),
        action.nulls,
    )


def _bind(
    columns: TableColumns,
    action: Action,
    target: str,
    write: wire.Format,
    optional: bool = False,
) -> Any:
    """Binds one keyword of an action; None where an optional one has no source."""
    source = getattr(action, target)
    kind = type(action).__name__.lower()
    if source is None:
        return None
    if source == AUTO:
        usual = _USUAL_COLUMNS.get(target, (target,))
        name = next((found for name in usual if (found := columns.find(name))), None)
        if name is None:
            if optional:
                return None
            name = columns.need(target, kind, target)
    elif isinstance(source, (str, Column)):
        named = source.name if isinstance(source, Column) else source
        name = columns.need(named, kind, target)
    else:
        return Binding(target, None, int(source), write)
    return Binding(target, name, None, write, tuple(columns.variants.get(name, ())))


def _select(
    columns: TableColumns,
    action: str,
    keyword: str,
    selection: Any,
    default: wire.Format = data_formats.attribute,
) -> tuple[Binding, ...]:
    pairs = selection if isinstance(selection, Mapping) else {name: name for name in selection}
    bindings = []
    for target, named in pairs.items():
        name = columns.need(named, action, keyword)
        write = default
        if default is data_formats.attribute:
            write = SYSTEM_FORMATS.get(target, data_formats.attribute)
        bindings.append(Binding(target, name, None, write, tuple(columns.variants.get(name, ()))))
    return tuple(bindings)


def _conditions(
    columns: TableColumns, action: str, when: Mapping[str, Any] | None
) -> tuple[Condition, ...]:
    conditions = []
    for named, values in (when or {}).items():
        name = columns.need(named, action, "when")
        conditions.append(Condition(name, tuple(values), tuple(columns.variants.get(name, ()))))
    return tuple(conditions)
