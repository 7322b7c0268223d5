"""Lanes: users are hashed onto them, each lane is in row order, lanes run side by side."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from xtremepush_dlt.mapping.calls import Payload, Problem, make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.plan import ActionPlan


class Kind(Enum):
    """What becomes of a row at one action, before anything is sent."""

    CALL = "call"
    SKIPPED = "skipped"
    INVALID = "invalid"


class Entry(NamedTuple):
    """One row at one action.

    Attributes:
        sequence: Position among all rows and actions of the file: rows in their order, and the
            actions of a row in theirs.
        action: Index of the action.
        user: The user; None where the identifier is unusable.
        kind: What becomes of it.
        payload: The call; for an invalid row, what could be made of it; for a skipped one, None.
        problems: Values that were left out, or why the row is invalid.
        event_id: Values that tell the event from another; they name the row where it is listed.
    """

    sequence: int
    action: int
    user: str | None
    kind: Kind
    payload: Payload | None
    problems: Sequence[Problem] = ()
    event_id: Sequence[object] = ()


def lane_of(user: str | None, lanes: int) -> int:
    """The lane of a user, the same on every machine and in every process."""
    return zlib.crc32(user.encode()) % lanes if user else 0


def entries(
    batch: ColumnBatch, actions: Sequence[ActionPlan], reject_invalid: bool
) -> Iterator[Entry]:
    """The rows of a batch at each of some actions, in order."""
    made = [make_calls(batch, action, reject_invalid) for action in actions]
    ids = [_event_ids(batch, action) for action in actions]
    width = len(actions)
    numbered = list(enumerate(zip(actions, made, ids, strict=True)))
    for index in range(batch.length):
        sequence = (batch.start + index) * width
        for offset, (action, calls, event_ids) in numbered:
            payload = calls.payloads[index]
            if payload is None:
                kind, problems = Kind.SKIPPED, None
            elif index in calls.invalid:
                kind, problems = Kind.INVALID, calls.invalid[index]
            else:
                kind, problems = Kind.CALL, calls.omitted.get(index)
            yield Entry(
                sequence + offset,
                action.index,
                calls.users[index],
                kind,
                payload,
                problems or (),
                event_ids[index] if event_ids else (),
            )


def _event_ids(batch: ColumnBatch, action: ActionPlan) -> list[tuple[object, ...]]:
    names = getattr(action, "event_id", ())
    return list(zip(*(batch.column(name) for name in names), strict=True)) if names else []
