"""The actions a user writes: which rows trigger which calls, and what maps to what.

An action is a frozen value. It travels as a JSON hint on the table, because dlt stores schemas as
text and may load them in another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias, Union

from xtremepush_dlt.exceptions import InvalidActionError
from xtremepush_dlt.mapping.arguments import (
    AUTO,
    Column,
    Nulls,
    Selection,
    Source,
    When,
    as_conditions,
    as_selection,
    check_column,
    check_nulls,
    column,
)
from xtremepush_dlt.mapping.hints import arguments_of, to_json

__all__ = [
    "ACTIONS_HINT",
    "AUTO",
    "SYSTEM_ATTRIBUTES",
    "Action",
    "Column",
    "Delete",
    "Identify",
    "Track",
    "action_from_hint",
    "column",
    "delete",
    "identify",
    "track",
]

ACTIONS_HINT = "x-xtremepush-actions"
"""Table hint under which the actions are stored."""

SYSTEM_ATTRIBUTES = (
    "user_id",
    "email",
    "email_subscription",
    "mobile_number",
    "sms_subscription",
    "language",
    "timezone",
)
"""Names that Xtremepush reserves and that `identify` maps by its own keywords (reference, 7)."""


@dataclass(frozen=True, kw_only=True)
class Identify:
    """Creates or updates the profile of each row's user.

    With no arguments it takes the usual columns where they exist (`user_id`, `email`,
    `mobile_number` or `phone`, `email_subscription`, `sms_subscription`, `language`, `timezone`)
    and makes a profile attribute of every other column.

    Args:
        user_id: Column of the identifier.
        anonymous_id: Column of the identifier of a person who is not known yet; None sends none.
            Segment route only, where a row needs one of the two.
        email: Column of the e-mail address; None sends none.
        email_subscription: Column of the consent to e-mail, or 1, 0, True, False for all rows.
        mobile_number: Column of the mobile number with country code; None sends none.
        sms_subscription: Column of the consent to SMS, or 1, 0, True, False for all rows.
        language: Column of the language.
        timezone: Column of the IANA timezone.
        attributes: Columns to send as profile attributes: a list of columns, or a dict
            attribute -> column. Default: every column that is not used otherwise.
        timestamp: Column of the moment at which the row was true; naive means UTC. Segment route
            only; default there: a column `timestamp`, else the moment of sending.
        version: Column that tells the newer of two rows, such as `updated_at`. An older row of a
            user is skipped when a newer one came before it in the run. Default: rows count in
            their order.
        when: Rows to take, as column -> value, list of values, or None. Default: all.
        nulls: `skip` (default) leaves what Xtremepush has as it is; `clear` sends the null.

    Raises:
        InvalidActionError: If an argument can never work.
    """

    user_id: Source = AUTO
    anonymous_id: Source = AUTO
    email: Source = AUTO
    email_subscription: Source = AUTO
    mobile_number: Source = AUTO
    sms_subscription: Source = AUTO
    language: Source = AUTO
    timezone: Source = AUTO
    attributes: Selection = None
    timestamp: str | Column | None = AUTO
    version: str | Column | None = None
    when: When | None = None
    nulls: Nulls = "skip"

    def __post_init__(self) -> None:
        check_column("identify", "user_id", self.user_id)
        for flag in ("email_subscription", "sms_subscription"):
            value = getattr(self, flag)
            if not isinstance(value, (str, Column, type(None))) and value not in (0, 1):
                raise InvalidActionError(
                    f"identify({flag}=...) takes a column's name, or 1 or 0 for all rows."
                )
        for field in (
            "anonymous_id",
            "email",
            "mobile_number",
            "language",
            "timezone",
            "timestamp",
            "version",
        ):
            if getattr(self, field) is not None:
                check_column("identify", field, getattr(self, field))
        object.__setattr__(
            self, "attributes", as_selection("identify", "attributes", self.attributes)
        )
        object.__setattr__(self, "when", as_conditions("identify", self.when))
        check_nulls("identify", self.nulls)
        reserved = set(self.attributes or ()) & set(SYSTEM_ATTRIBUTES)
        if isinstance(self.attributes, Mapping) and reserved:
            name = min(reserved)
            raise InvalidActionError(
                f"identify(attributes=...) cannot write `{name}`, which Xtremepush reserves. "
                f"Use the keyword: identify({name}=...)."
            )

    @property
    def label(self) -> str:
        """How the action is called in reports."""
        return "identify"

    def to_hint(self) -> dict[str, Any]:
        """The action as JSON data, for the schema of the pipeline."""
        return {"type": "identify", **to_json(self)}


@dataclass(frozen=True)
class Track:
    """Sends each row as an event hit, which may trigger campaigns.

    Args:
        event: Name of the event, or `column("name")` to take it from a column.
        user_id: Column of the identifier. Default: `user_id`.
        anonymous_id: Column of the identifier of a person who is not known yet; None sends none.
            Segment route only, where a row needs one of the two; default there: a column
            `anonymous_id`.
        timestamp: Column of the moment it happened; naive means UTC. Required, because an old
            event must not be stamped with the moment of sending.
        event_id: Column that tells one event from another, or a list of columns. Default: the
            primary key of the table. It is not sent over the External API, which has no field
            for it; it names the row in what could not be delivered.
        properties: Columns to send as properties: a list of columns, or a dict property ->
            column. Default: every column that is not used otherwise.
        user_attributes: Columns to write to the profile before campaigns run: a list of columns,
            or a dict attribute -> column. Default: none. External API only.
        consent_preferences: Column of consent preferences, as JSON: an object channel ->
            preference -> 1 or 0, and under `metadata`, if it has that, an object of details
            (reference, section 5.1). Xtremepush ignores them unless Consent Manager is on for the
            project. External API only.
        when: Rows to take, as column -> value, list of values, or None. Default: all.
        nulls: `skip` (default) leaves null values out; `clear` sends them.

    Raises:
        InvalidActionError: If an argument can never work.
    """

    event: str | Column
    _: KW_ONLY
    timestamp: str | Column
    user_id: str | Column = AUTO
    anonymous_id: str | Column | None = AUTO
    event_id: str | Column | Iterable[str | Column] | None = None
    properties: Selection = None
    user_attributes: Selection = ()
    consent_preferences: str | Column | None = None
    when: When | None = None
    nulls: Nulls = "skip"

    def __post_init__(self) -> None:
        event: object = self.event
        if not isinstance(event, Column) and not (isinstance(event, str) and event.strip()):
            raise InvalidActionError(
                "track(...) takes the event's name as its first argument: a non-blank string, or "
                'column("...") to take it from a column.'
            )
        check_column("track", "timestamp", self.timestamp)
        check_column("track", "user_id", self.user_id)
        for field in ("anonymous_id", "consent_preferences"):
            if getattr(self, field) is not None:
                check_column("track", field, getattr(self, field))
        ids = self.event_id
        if ids is not None:
            ids = [ids] if isinstance(ids, (str, Column)) else ids
            object.__setattr__(self, "event_id", as_selection("track", "event_id", ids))
        for field in ("properties", "user_attributes"):
            value = as_selection("track", field, getattr(self, field))
            object.__setattr__(self, field, value)
        object.__setattr__(self, "when", as_conditions("track", self.when))
        check_nulls("track", self.nulls)

    @property
    def label(self) -> str:
        """How the action is called in reports."""
        if isinstance(self.event, Column):
            return f"track {{{self.event.name}}}"
        return f"track {self.event}"

    def to_hint(self) -> dict[str, Any]:
        """The action as JSON data, for the schema of the pipeline."""
        return {"type": "track", **to_json(self)}


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Deletes the profile of each row's user.

    It need not be written for a column with dlt's hint `hard_delete` on a table that has an
    `identify`: rows marked there (true in a boolean column, anything but null in another) become
    delete calls of that action's users, and no other calls. A `delete` without `when` on such a
    table takes the marked rows itself, from the identifiers that it names.

    Deletions are made after a user's other calls, wherever they stand in the file. A later row of
    the same user that is not marked, because the person came back, is an identify call like any
    other; nothing puts it behind the deletion.

    Args:
        user_id: Column of the identifier. Default: `user_id`.
        anonymous_id: Column of the identifier of a person who was never known; None sends none.
            Segment route only; default there: a column `anonymous_id`.
        when: Rows to take, as column -> value, list of values, or None. Default: all, or the
            marked ones on a table with the hint `hard_delete`.

    Raises:
        InvalidActionError: If an argument can never work.
    """

    user_id: str | Column = AUTO
    anonymous_id: str | Column | None = AUTO
    when: When | None = None

    def __post_init__(self) -> None:
        check_column("delete", "user_id", self.user_id)
        if self.anonymous_id is not None:
            check_column("delete", "anonymous_id", self.anonymous_id)
        object.__setattr__(self, "when", as_conditions("delete", self.when))

    @property
    def label(self) -> str:
        """How the action is called in reports."""
        return "delete"

    def to_hint(self) -> dict[str, Any]:
        """The action as JSON data, for the schema of the pipeline."""
        return {"type": "delete", **to_json(self)}


identify = Identify
track = Track
delete = Delete

Action: TypeAlias = Union[Identify, Track, Delete]


def action_from_hint(hint: Mapping[str, Any]) -> Action:
    """Reads an action back from the schema.

    Args:
        hint: What `to_hint` returned, possibly after a journey through JSON or YAML.

    Raises:
        InvalidActionError: If it is no action of this version of the package.
    """
    arguments = arguments_of(hint)
    try:
        if hint.get("type") == "identify":
            return Identify(**arguments)
        if hint.get("type") == "track":
            return Track(arguments.pop("event"), **arguments)
        if hint.get("type") == "delete":
            return Delete(**arguments)
    except (TypeError, KeyError):
        pass  # named below: the hint was written by another version
    raise InvalidActionError(
        "The schema of the pipeline holds an action that this version of xtremepush_dlt does not "
        "know. Run the pipeline's script again, so that xtremepush_adapter() stores it anew."
    )
