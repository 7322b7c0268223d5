"""Lanes: users are hashed onto them, each lane is in row order, lanes run side by side."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import NamedTuple, Union

from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.mapping.calls import Calls, Problem
from xtremepush_dlt.mapping.payloads import Payload

Record = Union[bytes, Payload]  # noqa: UP007  # evaluated at run time, also on Python 3.10
"""An event as it is sent, or a profile that may still be merged with a later one."""

_SILENT_MOST = 10_000
"""Rows that make no call and wait on a lane: more would make memory grow with the file."""


def lane_of(user: str | None, lanes: int) -> int:
    """The lane of a user, the same on every machine and in every process."""
    return zlib.crc32(user.encode()) % lanes if user else 0


class Refused(NamedTuple):
    """A row that is not sent.

    Attributes:
        sequence: Sequence number of the row.
        action: Index of the action.
        user: The user, if there is one.
        payload: What could be made of it.
        event_id: Values that tell the event from another.
        problems: Why it is not sent.
        outcome: `INVALID`; `UNKNOWN` where it may have been sent before a crash; `MERGED` where
            later calls have delivered all that it says.
    """

    sequence: int
    action: int
    user: str | None
    payload: Payload
    event_id: object
    problems: Sequence[Problem]
    outcome: Outcome = Outcome.INVALID


@dataclass(repr=False)
class Load:
    """Rows of one lane, in order, that wait to be delivered.

    A sequence number is the position among all rows and actions of the file: rows in their order,
    and the actions of a row in theirs. Calls are kept as lists side by side and not as objects:
    hundreds of thousands of them would keep Python's garbage collector busier than the rest.

    Attributes:
        sequences: Sequence numbers of the calls.
        actions: Indices of their actions.
        users: Their users.
        records: What is sent.
        event_ids: What tells an event from another, a value or a tuple of them; it names the row
            where it is listed.
        omitted: Values that were left out, or sent although they do not fit their attribute, by
            sequence number of the call.
        skipped: Rows that `when` did not select, as sequence number and action.
        refused: Rows that cannot be sent.
    """

    sequences: list[int] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    users: list[str | None] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    event_ids: list[object] = field(default_factory=list)
    omitted: dict[int, Sequence[Problem]] = field(default_factory=dict)
    skipped: list[tuple[int, int]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.sequences or self.skipped or self.refused)

    def between(self, first: int, end: int) -> Load:
        """The rows from a sequence number up to another, which is not included."""
        calls = _cut(self.sequences, first, end)
        numbered = itemgetter(0)
        return Load(
            self.sequences[calls],
            self.actions[calls],
            self.users[calls],
            self.records[calls],
            self.event_ids[calls],
            {number: what for number, what in self.omitted.items() if first <= number < end},
            self.skipped[_cut([*map(numbered, self.skipped)], first, end)],
            self.refused[_cut([*map(numbered, self.refused)], first, end)],
        )


def _cut(numbers: Sequence[int], first: int, end: int) -> slice:
    return slice(bisect_left(numbers, first), bisect_left(numbers, end))


class Made(NamedTuple):
    """What one action made of a batch of rows.

    Attributes:
        action: Index of the action.
        calls: What was made.
        records: What is sent, a record a row; for rows that make no call, anything.
        event_ids: Event ids of the rows; empty if the action has none.
        superseded: Indices of stored calls of which nothing is left to be said.
    """

    action: int
    calls: Calls
    records: Sequence[Record]
    event_ids: Sequence[object]
    superseded: Collection[int] = ()


class Lanes:
    """Puts rows on the lanes of their users.

    Args:
        count: Number of lanes.
        width: Number of actions that each row is offered to.
        is_settled: Tells whether a sequence number of a user has its outcome already; None when
            nothing has.
        is_held: Tells whether one may have been sent before a crash and must not be sent again;
            None when none is.
    """

    def __init__(
        self,
        count: int,
        width: int,
        is_settled: Callable[[int, str | None], bool] | None,
        is_held: Callable[[int, str | None], bool] | None = None,
    ) -> None:
        self.loads = [Load() for _ in range(count)]
        self._count = count
        self._width = width
        self._is_settled = is_settled
        self._is_held = is_held

    def put(self, start: int, made: Sequence[Made]) -> None:
        """Adds the rows of a batch.

        Args:
            start: Position of the first row in its file.
            made: What each action made of them.
        """
        plain = len(made) == 1 and made[0].calls.plain and not made[0].superseded
        if plain and not (self._is_settled or self._is_held):
            self._put_calls(start, made[0])
        else:
            self._put_rows(start, made)

    def take(self, lane: int, size: int, end: int) -> Iterator[tuple[Load, int]]:
        """Takes what is enough to be delivered off a lane.

        Args:
            lane: The lane.
            size: Calls to take at a time.
            end: Sequence number behind the last row that was put.

        Yields:
            Loads, each with the sequence number behind the last row that it accounts for.
        """
        load = self.loads[lane]
        while len(load.sequences) > size:
            upto = load.sequences[size]
            taken, load = load.between(0, upto), load.between(upto, end)
            self.loads[lane] = load
            yield taken, upto
        if len(load.skipped) + len(load.refused) > _SILENT_MOST:
            self.loads[lane] = Load()
            yield load, end

    def _put_calls(self, start: int, made: Made) -> None:
        """The common case: every row makes one call, and none is settled."""
        users: list[str] = made.calls.users  # type: ignore[assignment]  # none is None in this case
        ids = made.event_ids or [None] * len(users)
        if self._count == 1:
            load = self.loads[0]
            load.sequences += range(start, start + len(users))
            load.actions += repeat(made.action, len(users))
            load.users += users
            load.records += made.records
            load.event_ids += ids
            return
        places: list[list[int]] = [[] for _ in self.loads]
        codes = map(zlib.crc32, map(str.encode, users))
        for index, code in enumerate(codes):
            places[code % self._count].append(index)
        for load, indices in zip(self.loads, places, strict=True):
            if not indices:
                continue
            # a slice of one place makes itemgetter answer with a tuple in any case
            pick = itemgetter(*indices, slice(0, 0))
            load.sequences += map(start.__add__, indices)
            load.actions += repeat(made.action, len(indices))
            load.users += pick(users)[:-1]
            load.records += pick(made.records)[:-1]
            load.event_ids += pick(ids)[:-1]

    def _put_rows(self, start: int, made: Sequence[Made]) -> None:
        for index in range(len(made[0].calls.users)):
            for offset, (action, calls, records, event_ids, superseded) in enumerate(made):
                sequence = (start + index) * self._width + offset
                user = calls.users[index]
                if self._is_settled is not None and self._is_settled(sequence, user):
                    continue
                load = self.loads[lane_of(user, self._count)]
                if index in calls.skipped:
                    load.skipped.append((sequence, action))
                    continue
                event_id = event_ids[index] if event_ids else None
                if index in superseded:
                    load.refused.append(
                        Refused(sequence, action, user, {}, event_id, (), Outcome.MERGED)
                    )
                    continue
                if problems := calls.invalid.get(index):
                    load.refused.append(
                        Refused(sequence, action, user, calls.payloads[index], event_id, problems)
                    )
                    continue
                if self._is_held is not None and self._is_held(sequence, user):
                    problems = [Problem("", "sent before a crash, answer not known")]
                    load.refused.append(
                        Refused(
                            sequence,
                            action,
                            user,
                            calls.payloads[index],
                            event_id,
                            problems,
                            Outcome.UNKNOWN,
                        )
                    )
                    continue
                load.sequences.append(sequence)
                load.actions.append(action)
                load.users.append(user)
                load.records.append(records[index])
                load.event_ids.append(event_id)
                if problems := calls.remarks(index):
                    load.omitted[sequence] = problems
