"""Batches: calls are joined and cut into requests, by count and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from xtremepush_dlt.delivery.lanes import Entry
from xtremepush_dlt.mapping.calls import Payload


class Item(NamedTuple):
    """One call as it is sent.

    Attributes:
        record: The encoded call.
        entries: The rows that it carries, in order; all but the last were merged into the last.
    """

    record: bytes
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Batch:
    """Calls that go in one request.

    Attributes:
        items: The calls, in the order of their rows.
        columns: Columns of an import; empty for events.
    """

    items: Sequence[Item]
    columns: tuple[str, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """The rows that it carries, in the order of the calls."""
        return [entry for item in self.items for entry in item.entries]

    def halves(self, by_bytes: bool = False) -> tuple[Batch, Batch]:
        """Two batches that carry the same, neither of them empty.

        Args:
            by_bytes: Whether they are to be alike in bytes, not in number.
        """
        middle = len(self.items) // 2
        if by_bytes:
            sizes = list(accumulate(len(item.record) for item in self.items))
            middle = sum(1 for size in sizes if size <= sizes[-1] / 2)
            middle = min(max(middle, 1), len(self.items) - 1)
        return (
            replace(self, items=self.items[:middle]),
            replace(self, items=self.items[middle:]),
        )


def cut(items: Iterable[Item], most_items: int, most_bytes: int) -> Iterator[list[Item]]:
    """Cuts calls into runs that fit one request.

    Args:
        items: The calls.
        most_items: Calls in a run at the most.
        most_bytes: Bytes of a run at the most, commas included. A call that is larger stands
            alone: whether it is too large is Xtremepush's to say.
    """
    run: list[Item] = []
    size = 0
    for item in items:
        more = len(item.record) + 1
        # looked at before the call is added, or the limit would be broken by one call
        if run and (len(run) == most_items or size + more > most_bytes):
            yield run
            run, size = [], 0
        run.append(item)
        size += more
    if run:
        yield run


def event_batches(
    calls: Iterable[Entry], encode: Callable[[Payload], bytes], most_items: int, most_bytes: int
) -> Iterator[Batch]:
    """Batches of events, in the order of the rows."""
    items = (Item(encode(_payload(call)), (call,)) for call in calls)
    return (Batch(run) for run in cut(items, most_items, most_bytes))


def profile_batches(
    calls: Iterable[Entry], encode: Callable[[Payload], bytes], most_items: int, most_bytes: int
) -> Iterator[Batch]:
    """Batches of profiles, in each of which all rows carry the same columns.

    A user appears once among all the batches made of one call of this function: Xtremepush drops
    duplicates within an import (reference, section 4), and no order is promised between batches
    of different columns. Later rows are merged into earlier ones, the later value winning.
    """
    merged: dict[str, tuple[Payload, tuple[Entry, ...]]] = {}
    for call in calls:
        payload = _payload(call)
        if (earlier := merged.get(payload["user_id"])) is None:
            merged[payload["user_id"]] = (payload, (call,))
        else:
            merged[payload["user_id"]] = ({**earlier[0], **payload}, (*earlier[1], call))
    groups: dict[tuple[str, ...], list[Item]] = {}
    for payload, entries in merged.values():
        groups.setdefault(tuple(payload), []).append(Item(encode(payload), entries))
    for columns, items in groups.items():
        for run in cut(items, most_items, most_bytes):
            yield Batch(run, columns)


def unmerged(item: Item, encode: Callable[[Payload], bytes]) -> Iterator[Batch]:
    """The rows of a merged call as batches of their own, in order."""
    for entry in item.entries:
        payload = _payload(entry)
        yield Batch([Item(encode(payload), (entry,))], tuple(payload))


def _payload(entry: Entry) -> Payload:
    if entry.payload is None:
        raise ValueError("a row that was not selected makes no call")
    return entry.payload
