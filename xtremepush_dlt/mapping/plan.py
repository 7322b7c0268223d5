"""The plan of one table: its actions, with every name resolved to a column that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from xtremepush_dlt.mapping import formats, wire
from xtremepush_dlt.mapping.actions import Nulls

SYSTEM_FORMATS: Mapping[str, wire.Format] = {
    "email": formats.email,
    "email_subscription": formats.subscription,
    "mobile_number": formats.mobile_number,
    "sms_subscription": formats.subscription,
    "language": formats.language,
    "timezone": formats.timezone_name,
}
"""How the attributes that Xtremepush reserves look on the wire."""

CONSENT_FLAGS = {"email": "email_subscription", "mobile_number": "sms_subscription"}


@dataclass(frozen=True)
class Binding:
    """Where one wire value comes from and how it is written.

    Attributes:
        target: Name on the wire.
        column: Column that it is read from; None for a constant.
        constant: The wire value itself, where `column` is None.
        write: Turns the column into its wire form.
        variants: Columns in which values of that column arrive that did not fit its type.
    """

    target: str
    column: str | None
    constant: Any
    write: wire.Format
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """Rows are taken whose column has one of these values.

    Attributes:
        column: The column that decides.
        values: What it may be; None stands for null.
        variants: Columns in which its values arrive that did not fit its type.
    """

    column: str
    values: tuple[Any, ...]
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdentifyPlan:
    """An identify action with its columns resolved."""

    index: int
    label: str
    user: Binding
    profile: tuple[Binding, ...]
    version: Binding | None
    conditions: tuple[Condition, ...]
    nulls: Nulls


@dataclass(frozen=True)
class TrackPlan:
    """A track action with its columns resolved."""

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


ActionPlan = Union[IdentifyPlan, TrackPlan]  # noqa: UP007  # evaluated at run time, also on Python 3.10


@dataclass(frozen=True)
class TablePlan:
    """Everything that is done with the rows of one table.

    Attributes:
        table: Name of the table.
        identifies: Actions that make identify calls, in the order the user wrote them.
        tracks: Actions that make track calls, in that order.
        types: dlt data type by column.
    """

    table: str
    identifies: tuple[IdentifyPlan, ...]
    tracks: tuple[TrackPlan, ...]
    types: Mapping[str, str | None]

    @property
    def actions(self) -> tuple[ActionPlan, ...]:
        """All actions, in the order the user wrote them."""
        return tuple(sorted((*self.identifies, *self.tracks), key=lambda action: action.index))


def columns_of(actions: Iterable[ActionPlan]) -> list[str]:
    """Columns that must be read for some actions, each once."""
    names: dict[str, None] = {}
    for action in actions:
        bindings: tuple[Binding, ...] = (action.user,)
        if isinstance(action, IdentifyPlan):
            bindings += action.profile
            bindings += (action.version,) if action.version is not None else ()
        else:
            bindings += (action.event, action.timestamp)
            bindings += (*action.properties, *action.user_attributes)
            names.update(dict.fromkeys(action.event_id))
        sources = [(binding.column, binding.variants) for binding in bindings]
        sources += [(condition.column, condition.variants) for condition in action.conditions]
        for column, variants in sources:
            names.update(dict.fromkeys((column, *variants) if column else variants))
    return list(names)
