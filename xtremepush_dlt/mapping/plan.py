"""The plan of one table: its actions, with every name resolved to a column that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from xtremepush_dlt.mapping import wire
from xtremepush_dlt.mapping.arguments import Nulls
from xtremepush_dlt.mapping.dialect import EXTERNAL_API, Dialect
from xtremepush_dlt.mapping.known_attributes import Check


@dataclass(frozen=True)
class Binding:
    """Where one wire value comes from and how it is written.

    Attributes:
        target: Name on the wire.
        column: Column that it is read from; None for a constant.
        constant: The wire value itself, where `column` is None.
        write: Turns the column into its wire form.
        variants: Columns in which values of that column arrive that did not fit its type.
        check: Finds values that do not fit the attribute's type in Xtremepush, if that is known.
    """

    target: str
    column: str | None
    constant: Any
    write: wire.Format
    variants: tuple[str, ...] = ()
    check: Check | None = None


@dataclass(frozen=True)
class Condition:
    """Rows are taken whose column has one of these values.

    Attributes:
        column: The column that decides.
        values: What it may be; None stands for null.
        variants: Columns in which its values arrive that did not fit its type.
        negated: Whether the other rows are taken instead.
    """

    column: str
    values: tuple[Any, ...]
    variants: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class IdentifyPlan:
    """An identify action with its columns resolved.

    Attributes:
        index: Place among the actions of its table.
        label: How it is called in reports.
        user: The identifier; where a Segment table has none, a constant None.
        profile: What goes into the profile.
        version: Tells the newer of two rows, if anything does.
        conditions: Rows to take.
        nulls: What becomes of nulls.
        anonymous: The anonymous identifier, if there is one.
        timestamp: The moment of the row, if it is sent.
        event_id: Columns that, with the content, tell one call from another of the same user: two
            calls of equal content may have a third between them.
        dialect: Names and formats.
    """

    index: int
    label: str
    user: Binding
    profile: tuple[Binding, ...]
    version: Binding | None
    conditions: tuple[Condition, ...]
    nulls: Nulls
    anonymous: Binding | None = None
    timestamp: Binding | None = None
    event_id: tuple[str, ...] = ()
    dialect: Dialect = EXTERNAL_API


@dataclass(frozen=True)
class TrackPlan:
    """A track action with its columns resolved.

    Attributes:
        index: Place among the actions of its table.
        label: How it is called in reports.
        user: The identifier; where a Segment table has none, a constant None.
        event: Name of the event.
        timestamp: The moment it happened.
        properties: Its properties.
        user_attributes: What is written to the profile first.
        event_id: Columns that tell one event from another.
        conditions: Rows to take.
        nulls: What becomes of nulls.
        anonymous: The anonymous identifier, if there is one.
        consent_preferences: Consents to write, if there are any.
        dialect: Names and formats.
    """

    index: int
    label: str
    user: Binding
    event: Binding
    timestamp: Binding
    properties: tuple[Binding, ...]
    user_attributes: tuple[Binding, ...]
    event_id: tuple[str, ...]
    conditions: tuple[Condition, ...]
    nulls: Nulls
    anonymous: Binding | None = None
    consent_preferences: Binding | None = None
    dialect: Dialect = EXTERNAL_API


@dataclass(frozen=True)
class DeletePlan:
    """A delete action with its columns resolved.

    Attributes:
        index: Place among the actions of its table; that of an action which stands for dlt's hint
            `hard_delete` comes after all others.
        label: How it is called in reports.
        user: The identifier; where a Segment table has none, a constant None.
        conditions: Rows to take.
        anonymous: The anonymous identifier, if there is one.
        event_id: Columns that, with the identifiers, tell one deletion from another of the same
            user, who may have come back in between.
        dialect: Names and formats.
    """

    index: int
    label: str
    user: Binding
    conditions: tuple[Condition, ...]
    anonymous: Binding | None = None
    event_id: tuple[str, ...] = ()
    dialect: Dialect = EXTERNAL_API


ActionPlan = Union[IdentifyPlan, TrackPlan, DeletePlan]  # noqa: UP007  # evaluated at run time, also on Python 3.10


@dataclass(frozen=True)
class TablePlan:
    """Everything that is done with the rows of one table.

    Attributes:
        table: Name of the table.
        identifies: Actions that make identify calls, in the order the user wrote them.
        tracks: Actions that make track calls, in that order.
        types: dlt data type by column, as its load files are to be read.
        deletes: Actions that make delete calls, in that order.
        warnings: What a user should know and that hinders nothing, as full sentences.
    """

    table: str
    identifies: tuple[IdentifyPlan, ...]
    tracks: tuple[TrackPlan, ...]
    types: Mapping[str, str | None]
    deletes: tuple[DeletePlan, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[ActionPlan, ...]:
        """All actions, in the order the user wrote them."""
        actions: list[ActionPlan] = [*self.identifies, *self.tracks, *self.deletes]
        return tuple(sorted(actions, key=lambda action: action.index))


def columns_of(actions: Iterable[ActionPlan]) -> list[str]:
    """Columns that must be read for some actions, each once."""
    names: dict[str, None] = {}
    for action in actions:
        bindings: tuple[Binding | None, ...] = (action.user, action.anonymous)
        if isinstance(action, IdentifyPlan):
            bindings += (*action.profile, action.version, action.timestamp)
        elif isinstance(action, TrackPlan):
            bindings += (action.event, action.timestamp, action.consent_preferences)
            bindings += (*action.properties, *action.user_attributes)
        names.update(dict.fromkeys(action.event_id))
        sources = [(binding.column, binding.variants) for binding in bindings if binding]
        sources += [(condition.column, condition.variants) for condition in action.conditions]
        for column, variants in sources:
            names.update(dict.fromkeys((column, *variants) if column else variants))
    return list(names)
