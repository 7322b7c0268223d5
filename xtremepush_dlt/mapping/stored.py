"""Stored calls: calls that were made before, not delivered, and kept word for word."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from xtremepush_dlt.mapping.calls import Calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.dialect import EXTERNAL_API
from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.problems import Problem
from xtremepush_dlt.mapping.wire import INT64

StoredCall = Literal["identify", "track", "delete"]

EVERYTHING = "*"
"""Stands for all attributes of a profile: what a deletion takes away."""

ID, USER, PAYLOAD, SETTLED = "undelivered_id", "user_id", "payload", "settled_us"
"""Columns of such a table; `settled_us` is in microseconds since 1970."""

_COLUMNS = {ID: "text", USER: "text", PAYLOAD: "text", SETTLED: "bigint"}

Superseded = Callable[[str, int], Collection[str]]
"""Names of the attributes of a user that were delivered since a moment in microseconds."""


@dataclass(frozen=True)
class StoredPlan:
    """Calls that were made before and are sent as they were.

    Attributes:
        call: Their kind.
        index: Place among the actions of their table.
    """

    call: StoredCall
    index: int = 0

    @property
    def label(self) -> str:
        """How the action is called in reports."""
        return f"replay {self.call}"

    @property
    def columns(self) -> list[str]:
        """Columns to read."""
        return [*_COLUMNS]


@dataclass(frozen=True)
class StoredTable:
    """The plan of a table of stored calls, in the form of the plan of any other table.

    Attributes:
        table: Name of the table.
        identifies: The plan of its calls, if they are about profiles.
        tracks: The plan of its calls, if they are events.
        deletes: The plan of its calls, if they are deletions.
        types: dlt data type by column.
    """

    table: str
    identifies: tuple[StoredPlan, ...] = ()
    tracks: tuple[StoredPlan, ...] = ()
    deletes: tuple[StoredPlan, ...] = ()
    types: Mapping[str, str | None] = field(default_factory=lambda: dict(_COLUMNS))


def plan_stored(table: str, call: str) -> StoredTable:
    """The plan of a table that holds stored calls of one kind.

    Args:
        table: Name of the table.
        call: Their kind.
    """
    if call == "track":
        return StoredTable(table, tracks=(StoredPlan("track"),))
    if call == "delete":
        return StoredTable(table, deletes=(StoredPlan("delete"),))
    return StoredTable(table, identifies=(StoredPlan("identify"),))


def stored_calls(
    batch: ColumnBatch, action: StoredPlan, flat: bool, superseded: Superseded
) -> tuple[Calls, set[int]]:
    """Reads stored calls back, without what a later call has delivered since.

    Args:
        batch: The rows.
        action: The plan of their table.
        flat: Whether calls have the form of the External API; else that of the Segment route.
        superseded: What was delivered to a user since.

    Returns:
        The calls, and the indices of those of which nothing is left.
    """
    users: list[str | None] = batch.column(USER)
    payloads: list[Payload] = []
    invalid: dict[int, list[Problem]] = {}
    empty: set[int] = set()
    rows = zip(users, batch.column(PAYLOAD), batch.column(SETTLED), strict=True)
    for index, (user, text, settled) in enumerate(rows):
        payload = _parsed(text)
        names = superseded(user, settled) if user is not None else ()
        reason = ""
        if payload is None:
            reason = "no call can be read from it"
        elif ("user_id" in payload) is not flat:
            reason = "it was made for the other kind of credentials"
        elif action.call == "delete" and {*names} - {EVERYTHING}:
            reason = "its profile was written since: delete it at its source if it is to go"
        if reason:
            invalid[index] = [Problem(PAYLOAD, reason)]
        elif payload and names:
            payload = without_attributes(action.call, payload, names)
            nothing_left = action.call == "identify" and not attributes_of("identify", payload)
            if nothing_left or EVERYTHING in names:
                empty.add(index)
        payloads.append(payload or {})
    return Calls(users, payloads, (), invalid, {}), empty


def attributes_of(call: StoredCall, payload: Payload) -> Mapping[str, Any]:
    """What a call writes to the profile, by attribute.

    Args:
        call: The kind of the call.
        payload: The call.
    """
    if call == "track":
        return payload.get("user_attributes") or {}
    # an attribute of the External API is never an object: the member of the Segment route is
    if isinstance(payload.get("traits"), dict):
        traits: Mapping[str, Any] = payload["traits"]
        return traits
    return {name: value for name, value in payload.items() if name != "user_id"}


def without_attributes(call: StoredCall, payload: Payload, names: Collection[str]) -> Payload:
    """A call that leaves some attributes of the profile as they are.

    Args:
        call: The kind of the call.
        payload: The call.
        names: The attributes. An address whose subscription flag is among them is left out too,
            where it must not be sent without its flag (reference, section 4).
    """
    if call != "track" and isinstance(payload.get("traits"), dict):
        # beside the traits of the Segment route stand copies of some of them
        return {**_without(payload, names), "traits": _without(payload["traits"], names)}
    names = {*names, *(address for address, flag in EXTERNAL_API.consent.items() if flag in names)}
    if call != "track":
        return _without(payload, names)
    left = _without(attributes_of(call, payload), names)
    rest = _without(payload, ("user_attributes",))
    return {**rest, "user_attributes": left} if left else rest


def _without(values: Mapping[str, Any], names: Collection[str]) -> Payload:
    return {name: value for name, value in values.items() if name not in names}


def _parsed(text: Any) -> Payload | None:
    """A call as it was made; numbers keep every digit."""
    try:
        payload = json.loads(text, parse_float=Decimal, parse_int=_integer)
    except (TypeError, ValueError):
        return None
    return payload if isinstance(payload, dict) else None


def _integer(digits: str) -> int | Decimal:
    # a longer one was a decimal, and orjson takes no other form of it
    return Decimal(digits) if len(digits) > 20 or int(digits) not in INT64 else int(digits)


def names_of(call: StoredCall, record: bytes | Payload) -> Sequence[str]:
    """Attributes that a call writes, as it waits to be sent; a deletion takes `EVERYTHING`.

    Args:
        call: The kind of the call.
        record: The call, encoded or not.
    """
    if call == "delete":
        return (EVERYTHING,)
    if isinstance(record, bytes):
        if call == "track" and b'"user_attributes"' not in record:
            return ()
        record = json.loads(record)
    return [*attributes_of(call, record)] if isinstance(record, dict) else ()
