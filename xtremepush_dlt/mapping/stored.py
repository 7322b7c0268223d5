"""Stored calls: calls that were made before, not delivered, and kept word for word."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from xtremepush_dlt.mapping.calls import Calls, Problem
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.mapping.plan import CONSENT_FLAGS
from xtremepush_dlt.mapping.wire import INT64

TRACK = "track"
"""The call that makes an event; all others are about a profile."""

ID, USER, PAYLOAD, SETTLED = "undelivered_id", "user_id", "payload", "settled_us"
"""Columns of such a table; `settled_us` is in microseconds since 1970."""

_COLUMNS = {ID: "text", USER: "text", PAYLOAD: "text", SETTLED: "bigint"}

Superseded = Callable[[str, int], Collection[str]]
"""Names of the attributes of a user that were delivered since a moment in microseconds."""


@dataclass(frozen=True)
class StoredPlan:
    """Calls that were made before and are sent as they were.

    Attributes:
        call: What they are: `identify`, `track`, ...
        index: Place among the actions of their table.
    """

    call: str
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
        types: dlt data type by column.
    """

    table: str
    identifies: tuple[StoredPlan, ...]
    tracks: tuple[StoredPlan, ...]
    types: Mapping[str, str | None]


def plan_stored(table: str, call: str) -> StoredTable:
    """The plan of a table that holds stored calls of one kind.

    Args:
        table: Name of the table.
        call: `track`, or a call about a profile such as `identify`.
    """
    plan = (StoredPlan(call),)
    if call == TRACK:
        return StoredTable(table, (), plan, _COLUMNS)
    return StoredTable(table, plan, (), _COLUMNS)


def stored_calls(
    batch: ColumnBatch, action: StoredPlan, superseded: Superseded
) -> tuple[Calls, set[int]]:
    """Reads stored calls back, without what a later call has delivered since.

    Args:
        batch: The rows.
        action: The plan of their table.
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
        if payload is None:
            invalid[index] = [Problem(PAYLOAD, "no call can be read from it")]
            payload = {}
        elif user is not None and (names := superseded(user, settled)):
            payload = without_attributes(action.call, payload, names)
            if not attributes_of(action.call, payload) and action.call != TRACK:
                empty.add(index)
        payloads.append(payload)
    return Calls(users, payloads, (), invalid, {}), empty


def attributes_of(call: str, payload: Payload) -> Mapping[str, Any]:
    """What a call writes to the profile, by attribute.

    Args:
        call: The kind of the call.
        payload: The call.
    """
    if call == TRACK:
        return payload.get("user_attributes") or {}
    # an attribute of the External API is never an object: the member of the Segment route is
    if isinstance(payload.get("traits"), dict):
        traits: Mapping[str, Any] = payload["traits"]
        return traits
    return {name: value for name, value in payload.items() if name != "user_id"}


def without_attributes(call: str, payload: Payload, names: Collection[str]) -> Payload:
    """A call that leaves some attributes of the profile as they are.

    Args:
        call: The kind of the call.
        payload: The call.
        names: The attributes. An address whose subscription flag is among them is left out too,
            where it must not be sent without its flag (reference, section 4).
    """
    if call != TRACK and isinstance(payload.get("traits"), dict):
        # beside the traits of the Segment route stand copies of some of them
        return {**_without(payload, names), "traits": _without(payload["traits"], names)}
    names = {*names, *(address for address, flag in CONSENT_FLAGS.items() if flag in names)}
    if call != TRACK:
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


def names_of(call: str, record: bytes | Payload) -> Sequence[str]:
    """Attributes that a call writes, as it waits to be sent.

    Args:
        call: The kind of the call.
        record: The call, encoded or not.
    """
    if isinstance(record, bytes):
        if call == TRACK and b'"user_attributes"' not in record:
            return ()
        record = json.loads(record)
    return [*attributes_of(call, record)] if isinstance(record, dict) else ()
