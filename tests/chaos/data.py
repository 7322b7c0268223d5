"""The data of a trial, drawn from its seed, and what has to become of each row."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

POISON = "chaos-poison"
"""A request that holds this text is refused."""

CALLS_OF_PROFILES = ("identify", "delete")
"""Kinds of rows that make no event."""

POISON_SHARE = 0.055
INVALID_SHARE = 0.01
STATUSES = ("paid", "paid", "paid", "refunded", "open")

Row = dict[str, Any]


class Key(NamedTuple):
    """One row at one action: `kind` is `identify`, `delete` or the name of the event."""

    table: str
    kind: str
    n: int


@dataclass(frozen=True)
class Sizes:
    """Rows of each table, over all packages of a trial."""

    users: int = 60
    customers: int = 300
    signups: int = 120
    orders: int = 700
    visits: int = 500
    parts: int = 2
    leavers: int = 10


TRACKS: Mapping[str, Mapping[str, tuple[str, ...] | None]] = {
    "orders": {"order_paid": ("paid", "refunded"), "order_refunded": ("refunded",)},
    "visits": {"visit": None},
    "signups": {"signed_up": None},
}
"""Events of each table in the order of its actions, with the statuses that select a row."""

IDENTIFIES = ("customers", "signups")
LEAVERS = "leavers"
"""Table of users whose profiles are deleted; all of it belongs to the last part."""

FAMILY = {"customers": "version", "signups": "signup_n"}
"""Attribute that grows with each row of a user, by the table that writes it."""


class Data:
    """All rows of a trial, in parts: each part is one load package.

    A user has several rows in each table, and rows of both parts. `n` numbers the rows of a table
    over all parts, so that a user's rows are in the order of `n`.

    Args:
        seed: The same seed makes the same rows.
        sizes: How many.
    """

    def __init__(self, seed: int, sizes: Sizes) -> None:
        self.sizes = sizes
        chance = random.Random(seed)
        self.tables: dict[str, list[Row]] = {
            "customers": [],
            "signups": [],
            "orders": [],
            "visits": [],
        }
        versions: Counter[str | None] = Counter()
        for table, rows in self.tables.items():
            count = getattr(sizes, table)
            # some users have events only, some profiles only
            first, last = (0, int(sizes.users * 0.9)) if table in FAMILY else (3, sizes.users)
            for n in range(count):
                user = f"user-{chance.randrange(first, last)}"
                row: Row = {
                    "user_id": None if chance.random() < INVALID_SHARE else user,
                    "n": n,
                    "part": n * sizes.parts // count,
                    "note": POISON if chance.random() < POISON_SHARE else None,
                }
                if table == "customers":
                    versions[row["user_id"]] += 1
                    row["version"] = versions[row["user_id"]]
                    row["score"] = n * 1.5
                    # a null is not sent, so rows differ in the columns that they carry
                    row["city"] = chance.choice(["Cork", "Galway", None])
                else:
                    row["at"] = None if chance.random() < INVALID_SHARE / 2 else "2026-01-01"
                    row["status"] = chance.choice(STATUSES)
                rows.append(row)
        self.tables[LEAVERS] = [
            {"user_id": f"user-{user}", "n": n, "part": sizes.parts - 1}
            for n, user in enumerate(chance.sample(range(sizes.users), sizes.leavers))
        ]

    def part(self, table: str, part: int) -> list[Row]:
        """The rows of a table that belong to one package."""
        return [dict(row) for row in self.tables[table] if row["part"] == part]


class Expected:
    """What has to become of the rows, as far as the data alone decides it.

    Attributes:
        sound: Rows at actions that Xtremepush takes, with their user and part.
        poison: Rows at actions that Xtremepush refuses.
        invalid: Rows at actions that cannot be sent.
        skipped: Rows at actions that `when` leaves out.
        profiles: Attributes at the end, by user.
        identified: Users with a sound identify row, by part.
        leavers: Users who are deleted at the end, with the row that says so.
    """

    def __init__(self, data: Data) -> None:
        self.sound: dict[Key, tuple[str, int]] = {}
        self.poison: set[Key] = set()
        self.invalid: set[Key] = set()
        self.skipped: set[Key] = set()
        self.profiles: dict[str, Row] = {}
        self.identified: dict[int, set[str]] = {}
        self.leavers: dict[str, Key] = {}
        for table, rows in data.tables.items():
            for row in rows:
                for key, selected in _offers(table, row):
                    self._sort(key, row, selected)

    def offered(self) -> Counter[tuple[str, str]]:
        """Rows by table and kind of action."""
        keys = (*self.sound, *self.poison, *self.invalid, *self.skipped)
        return Counter((key.table, key.kind) for key in keys)

    def events(self, up_to_part: int) -> int:
        """Sound events of the parts up to one, that one included."""
        return sum(
            key.kind not in CALLS_OF_PROFILES and part <= up_to_part
            for key, (_, part) in self.sound.items()
        )

    def _sort(self, key: Key, row: Row, selected: bool) -> None:
        if key.kind == "delete":
            self.sound[key] = (row["user_id"], row["part"])
            self.leavers[row["user_id"]] = key
        elif not selected:
            self.skipped.add(key)
        elif row["user_id"] is None or (key.kind != "identify" and row["at"] is None):
            self.invalid.add(key)
        elif row["note"] == POISON:
            self.poison.add(key)
        else:
            self.sound[key] = (row["user_id"], row["part"])
            if key.kind == "identify":
                profile = self.profiles.setdefault(row["user_id"], {})
                profile.update(attributes_of(key.table, row))
                self.identified.setdefault(row["part"], set()).add(row["user_id"])


def attributes_of(table: str, row: Row) -> Row:
    """The profile attributes that a row sets. Tables set different ones: they have no order."""
    if table == "signups":
        return {"signup_n": row["n"], "signup_part": row["part"]}
    names = ("n", "part", "version", "score", "city")
    return {name: row[name] for name in names if row[name] is not None}


def _offers(table: str, row: Row) -> Iterator[tuple[Key, bool]]:
    if table in IDENTIFIES:
        yield Key(table, "identify", row["n"]), True
    if table == LEAVERS:
        yield Key(table, "delete", row["n"]), True
    for event, statuses in TRACKS.get(table, {}).items():
        yield Key(table, event, row["n"]), statuses is None or row["status"] in statuses
