"""Batches: calls are joined and cut into requests, by count and by bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import cast

from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.mapping.payloads import Payload


@dataclass(frozen=True, repr=False)
class Batch:
    """Calls that go in one request.

    Attributes:
        records: Encoded records, in the order of their rows.
        rows: Place in the load of the row that each record carries.
        columns: Columns of an import; empty for events.
        earlier: Places of the rows that were merged into another, by that other's place.
    """

    records: Sequence[bytes]
    rows: Sequence[int]
    columns: tuple[str, ...] = ()
    earlier: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    def part(self, first: int, end: int) -> Batch:
        """The records from one place up to another, which is not included."""
        return Batch(self.records[first:end], self.rows[first:end], self.columns, self.earlier)

    def halves(self, by_bytes: bool = False) -> tuple[Batch, Batch]:
        """Two batches that carry the same; neither is empty if there are two records or more.

        Args:
            by_bytes: Whether they are to be alike in bytes, not in number.
        """
        middle = len(self) // 2
        if by_bytes:
            ends = list(accumulate(map(len, self.records)))
            middle = min(max(1, bisect_right(ends, ends[-1] / 2)), len(self) - 1)
        return self.part(0, middle), self.part(middle, len(self))

    def all_rows(self) -> Iterator[int]:
        """Places of all rows, those that were merged before the one that carries them."""
        for row in self.rows:
            yield from self.earlier.get(row, ())
            yield row


def cut(batch: Batch, most_records: int, most_bytes: int) -> Iterator[Batch]:
    """Cuts a batch into batches that fit one request.

    Args:
        batch: The calls.
        most_records: Records in a batch at the most.
        most_bytes: Bytes of its records at the most, commas included. A record that is larger
            stands alone: whether it is too large is Xtremepush's to say.
    """
    ends = [0, *accumulate(map(len, batch.records))]
    first = 0
    while first < len(batch):
        end = min(first + most_records, len(batch))
        while end > first + 1 and ends[end] - ends[first] + end - first > most_bytes:
            end = first + (end - first) // 2
        yield batch.part(first, end)
        first = end


def call_batches(load: Load, most_records: int, most_bytes: int) -> Iterator[Batch]:
    """Batches of calls that are sent as they are, in the order of the rows."""
    records = cast("list[bytes]", load.records)
    return cut(Batch(records, range(len(records))), most_records, most_bytes)


def profile_batches(
    load: Load, encode: Callable[[Payload], bytes], most_records: int, most_bytes: int
) -> Iterator[Batch]:
    """Batches of profiles, in each of which all rows carry the same columns.

    A user appears once among all the batches made of one load: Xtremepush drops duplicates within
    an import (reference, section 4), and batches of different columns have no order. A later row
    is merged into an earlier one, column by column, the later value winning.

    Args:
        load: The calls of one lane, in order.
        encode: Encodes the values of a profile, in the order of its columns.
        most_records: Profiles in a batch at the most.
        most_bytes: Bytes of its records at the most.
    """
    merged: dict[str | None, tuple[Payload, int]] = {}
    earlier: dict[int, list[int]] = {}
    for row, (user, record) in enumerate(zip(load.users, load.records, strict=True)):
        if isinstance(record, bytes):
            continue
        if user in merged:
            payload, last = merged[user]
            earlier[row] = [*earlier.pop(last, ()), last]
            merged[user] = ({**payload, **record}, row)
        else:
            merged[user] = (record, row)
    groups: dict[tuple[str, ...], list[tuple[bytes, int]]] = {}
    for payload, row in merged.values():
        groups.setdefault(tuple(payload), []).append((encode(payload), row))
    for columns, members in groups.items():
        records, rows = zip(*members, strict=True)
        names = sum(len(name.encode()) + 3 for name in columns)
        yield from cut(Batch(records, rows, columns, earlier), most_records, most_bytes - names)


def unmerged(batch: Batch, load: Load, encode: Callable[[Payload], bytes]) -> Iterator[Batch]:
    """The rows of a batch with one record as batches of their own, in order."""
    for row in batch.all_rows():
        record = load.records[row]
        if not isinstance(record, bytes):
            yield Batch([encode(record)], [row], tuple(record))
