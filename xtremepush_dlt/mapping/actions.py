"""The actions a user writes: which rows trigger which calls, and what maps to what.

An action is a frozen value. It travels as a JSON hint on the table, because dlt stores schemas as
text and may load them in another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, TypeAlias, Union

from xtremepush_dlt.exceptions import InvalidActionError

ACTIONS_HINT = "x-xtremepush-actions"
"""Table hint under which the actions are stored."""

AUTO = "__auto__"
"""Stands for "look for a column of the usual name": the default of identify's fields."""

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


@dataclass(frozen=True)
class Column:
    """The name of a column, where a plain string would be taken literally."""

    name: str


column = Column
"""`track(column("event_name"), ...)` takes the event's name from a column."""

Source: TypeAlias = Union[str, Column, int, float, bool, None]
"""Where a value comes from: a string or `Column` names a column, a number or boolean is itself."""

_SCALARS = (str, int, float, bool, type(None))
Scalar: TypeAlias = Union[str, int, float, bool, None]
When: TypeAlias = Mapping[str, Union[Scalar, Iterable[Scalar]]]
Nulls: TypeAlias = Literal["skip", "clear"]
Selection: TypeAlias = Union[Iterable[str], Mapping[str, str], None]


@dataclass(frozen=True, kw_only=True)
class Identify:
    """Creates or updates the profile of each row's user.

    With no arguments it takes the usual columns where they exist (`user_id`, `email`,
    `mobile_number` or `phone`, `email_subscription`, `sms_subscription`, `language`, `timezone`)
    and makes a profile attribute of every other column.

    Args:
        user_id: Column of the identifier.
        email: Column of the e-mail address; None sends none.
        email_subscription: Column of the consent to e-mail, or 1, 0, True, False for all rows.
        mobile_number: Column of the mobile number with country code; None sends none.
        sms_subscription: Column of the consent to SMS, or 1, 0, True, False for all rows.
        language: Column of the language.
        timezone: Column of the IANA timezone.
        attributes: Columns to send as profile attributes: a list of columns, or a dict
            attribute -> column. Default: every column that is not used otherwise.
        version: Column that tells the newer of two rows, such as `updated_at`. An older row of a
            user is skipped when a newer one came before it in the run. Default: rows count in
            their order.
        when: Rows to take, as column -> value, list of values, or None. Default: all.
        nulls: `skip` (default) leaves what Xtremepush has as it is; `clear` sends the null.

    Raises:
        InvalidActionError: If an argument can never work.
    """

    user_id: Source = AUTO
    email: Source = AUTO
    email_subscription: Source = AUTO
    mobile_number: Source = AUTO
    sms_subscription: Source = AUTO
    language: Source = AUTO
    timezone: Source = AUTO
    attributes: Selection = None
    version: str | Column | None = None
    when: When | None = None
    nulls: Nulls = "skip"

    def __post_init__(self) -> None:
        _check_column("identify", "user_id", self.user_id)
        for flag in ("email_subscription", "sms_subscription"):
            value = getattr(self, flag)
            if not isinstance(value, (str, Column, type(None))) and value not in (0, 1):
                raise InvalidActionError(
                    f"identify({flag}=...) takes a column's name, or 1 or 0 for all rows."
                )
        for field in ("email", "mobile_number", "language", "timezone", "version"):
            if getattr(self, field) is not None:
                _check_column("identify", field, getattr(self, field))
        object.__setattr__(
            self, "attributes", _selection("identify", "attributes", self.attributes)
        )
        object.__setattr__(self, "when", _when("identify", self.when))
        _check_nulls("identify", self.nulls)
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
        return {"type": "identify", **_to_json(self)}


@dataclass(frozen=True)
class Track:
    """Sends each row as an event hit, which may trigger campaigns.

    Args:
        event: Name of the event, or `column("name")` to take it from a column.
        user_id: Column of the identifier. Default: `user_id`.
        timestamp: Column of the moment it happened; naive means UTC. Required, because an old
            event must not be stamped with the moment of sending.
        event_id: Column that tells one event from another, or a list of columns. Default: the
            primary key of the table. It is not sent over the External API, which has no field
            for it; it names the row in what could not be delivered.
        properties: Columns to send as properties: a list of columns, or a dict property ->
            column. Default: every column that is not used otherwise.
        user_attributes: Columns to write to the profile before campaigns run: a list of columns,
            or a dict attribute -> column. Default: none.
        when: Rows to take, as column -> value, list of values, or None. Default: all.
        nulls: `skip` (default) leaves null values out; `clear` sends them.

    Raises:
        InvalidActionError: If an argument can never work.
    """

    event: str | Column
    _: KW_ONLY
    timestamp: str | Column
    user_id: str | Column = AUTO
    event_id: str | Column | Iterable[str | Column] | None = None
    properties: Selection = None
    user_attributes: Selection = ()
    when: When | None = None
    nulls: Nulls = "skip"

    def __post_init__(self) -> None:
        event: object = self.event
        if not isinstance(event, Column) and not (isinstance(event, str) and event.strip()):
            raise InvalidActionError(
                "track(...) takes the event's name as its first argument: a non-blank string, or "
                'column("...") to take it from a column.'
            )
        _check_column("track", "timestamp", self.timestamp)
        _check_column("track", "user_id", self.user_id)
        ids = self.event_id
        if ids is not None:
            ids = [ids] if isinstance(ids, (str, Column)) else ids
            object.__setattr__(self, "event_id", _selection("track", "event_id", ids))
        for field in ("properties", "user_attributes"):
            value = _selection("track", field, getattr(self, field))
            object.__setattr__(self, field, value)
        object.__setattr__(self, "when", _when("track", self.when))
        _check_nulls("track", self.nulls)

    @property
    def label(self) -> str:
        """How the action is called in reports."""
        if isinstance(self.event, Column):
            return f"track {{{self.event.name}}}"
        return f"track {self.event}"

    def to_hint(self) -> dict[str, Any]:
        """The action as JSON data, for the schema of the pipeline."""
        return {"type": "track", **_to_json(self)}


identify = Identify
track = Track
_DICTS = ("attributes", "properties", "user_attributes", "when")
"""Fields that may be dicts themselves, and never hold a `Column`."""

Action: TypeAlias = Union[Identify, Track]


def action_from_hint(hint: Mapping[str, Any]) -> Action:
    """Reads an action back from the schema.

    Args:
        hint: What `to_hint` returned, possibly after a journey through JSON or YAML.

    Raises:
        InvalidActionError: If it is no action of this version of the package.
    """
    arguments = {
        key: value if key in _DICTS else _from_json(value)
        for key, value in hint.items()
        if key != "type"
    }
    try:
        if hint.get("type") == "identify":
            return Identify(**arguments)
        if hint.get("type") == "track":
            return Track(arguments.pop("event"), **arguments)
    except (TypeError, KeyError):
        pass  # named below: the hint was written by another version
    raise InvalidActionError(
        "The schema of the pipeline holds an action that this version of xtremepush_dlt does not "
        "know. Run the pipeline's script again, so that xtremepush_adapter() stores it anew."
    )


def _to_json(action: Action) -> dict[str, Any]:
    """Only what differs from the default, so that stored schemas stay short and stable."""
    return {
        field.name: {"column": value.name} if isinstance(value, Column) else _listed(value)
        for field in fields(action)
        if (value := getattr(action, field.name)) != field.default
    }


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {"column"} and isinstance(value["column"], str):
        return Column(value["column"])
    return value


def _check_column(action: str, keyword: str, source: Any) -> None:
    name = source.name if isinstance(source, Column) else source
    if not isinstance(name, str) or not name.strip():
        raise InvalidActionError(f"{action}({keyword}=...) takes the name of a column.")


def _check_nulls(action: str, nulls: Any) -> None:
    if nulls not in ("skip", "clear"):
        raise InvalidActionError(f'{action}(nulls=...) is "skip" or "clear".')


def _selection(action: str, keyword: str, value: Any) -> Any:
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


def _when(action: str, when: Any) -> Any:
    if when is None:
        return None
    if not isinstance(when, Mapping) or not when:
        raise InvalidActionError(
            f"{action}(when=...) takes a dict column -> value, list of values, or None. "
            "Anything richer is resource.add_filter(...)."
        )
    checked: dict[str, Any] = {}
    for name, wanted in when.items():
        _check_column(action, "when", name)
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
