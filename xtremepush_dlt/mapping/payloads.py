"""Payloads: columns in their wire form, read as one record a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

Payload = dict[str, Any]
"""A call by its members: of the External API a profile or an item of `events`, else a record."""


@dataclass(frozen=True, repr=False)
class Objects:
    """Columns in their wire form, to be read as one dict a row.

    Dicts are made as they are asked for: most are encoded at once and need not live longer.

    Attributes:
        names: Members of the dicts.
        columns: Their values, a list a member.
        holes: Whether None stands for "not sent".
        broken: Members that a row goes without, by index.
    """

    names: tuple[str, ...]
    columns: Sequence[Sequence[Any]]
    holes: bool
    broken: Mapping[int, Collection[str]]

    def __iter__(self) -> Iterator[Payload]:
        # dict, map and zip run in C: this is the dearest step of all
        rows = map(dict, map(zip, repeat(self.names), zip(*self.columns, strict=True)))
        if self.holes:
            return self._without_nulls(rows)
        return self._mended(rows) if self.broken else rows

    def __getitem__(self, index: int) -> Payload:
        without = self.broken.get(index, ())
        row = (values[index] for values in self.columns)
        return {
            name: value
            for name, value in zip(self.names, row, strict=True)
            if name not in without and not (self.holes and value is None)
        }

    def _without_nulls(self, rows: Iterable[Payload]) -> Iterator[Payload]:
        columns = zip(self.names, self.columns, strict=True)
        with_nulls = [name for name, values in columns if None in values]
        for row in rows:
            for name in with_nulls:
                if row[name] is None:
                    del row[name]
            yield row

    def _mended(self, objects: Iterable[Payload]) -> Iterator[Payload]:
        for index, row in enumerate(objects):
            for name in self.broken.get(index, ()):
                del row[name]
            yield row


@dataclass(frozen=True, repr=False)
class Records:
    """Columns in their wire form, to be read as one dict a row, with objects inside.

    Attributes:
        head: What lies flat in the dicts.
        members: The objects inside, by the member that holds them; one without columns is empty.
    """

    head: Objects
    members: Mapping[str, Objects]

    def __iter__(self) -> Iterator[Payload]:
        inside = [iter(held) if held.names else _empty() for held in self.members.values()]
        rows = zip(self.head, *inside)  # noqa: B905  # those without columns have no end
        return ({**row, **dict(zip(self.members, held, strict=True))} for row, *held in rows)

    def __getitem__(self, index: int) -> Payload:
        inside = {member: objects[index] for member, objects in self.members.items()}
        return {**self.head[index], **inside}


def _empty() -> Iterator[Payload]:
    while True:
        yield {}


@dataclass(frozen=True, repr=False)
class Events:
    """Columns in their wire form, to be read as one item of `events` a row.

    Attributes:
        names: Names of the events.
        users: Their users.
        moments: Their timestamps.
        members: Properties and user attributes, by the member that holds them.
    """

    names: Sequence[Any]
    users: Sequence[str | None]
    moments: Sequence[Any]
    members: Mapping[str, Objects]

    def __iter__(self) -> Iterator[Payload]:
        rows = zip(self.names, self.users, self.moments, strict=True)
        if [*self.members] == ["value"]:
            return (
                {"event": name, "user_id": user, "timestamp": moment, "value": value}
                for (name, user, moment), value in zip(rows, self.members["value"], strict=True)
            )
        return (
            {
                "event": name,
                "user_id": user,
                "timestamp": moment,
                **dict(zip(self.members, objects, strict=True)),
            }
            for (name, user, moment), objects in zip(
                rows,
                zip(*self.members.values(), strict=True) if self.members else repeat(()),
                strict=False,  # without members there is nothing to keep in step
            )
        )

    def __getitem__(self, index: int) -> Payload:
        return {
            "event": self.names[index],
            "user_id": self.users[index],
            "timestamp": self.moments[index],
            **{member: objects[index] for member, objects in self.members.items()},
        }
