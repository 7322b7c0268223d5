"""50,000 rows of 5,000 users over 8 lanes with random latencies: each user's in row order."""

from __future__ import annotations

import random
from collections import defaultdict

import dlt

from tests.conftest import MakeDesk
from xtremepush_dlt import identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults, SandboxSettings

ROWS, USERS = 50_000, 5_000


def test_every_users_events_arrive_in_the_order_of_the_rows(make_desk: MakeDesk) -> None:
    chance = random.Random(19970101)
    users = [f"u{chance.randrange(USERS)}" for _ in range(ROWS)]
    rows = [{"n": n, "user_id": user, "at": "2024-01-01"} for n, user in enumerate(users)]
    desk = make_desk(SandboxSettings(keep_bodies=False), Faults(latency=0.001, jitter=0.03, seed=7))
    report = desk.deliver(
        xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at")),
        event_batch_size=200,
        max_connections=8,
    )
    assert report.count("delivered") == ROWS
    arrived: dict[str, list[int]] = defaultdict(list)
    for event in desk.events:
        arrived[event.user_id].append(event.value["n"])
    expected: dict[str, list[int]] = defaultdict(list)
    for n, user in enumerate(users):
        expected[user].append(n)
    assert arrived == expected
    # or the order would prove nothing: lanes did run side by side
    assert desk.sandbox.max_in_flight > 4


def test_every_users_imports_arrive_in_the_order_of_the_rows(make_desk: MakeDesk) -> None:
    chance = random.Random(19980630)
    users = [f"u{chance.randrange(200)}" for _ in range(10_000)]
    rows = [{"user_id": user, "n": n} for n, user in enumerate(users)]
    desk = make_desk(SandboxSettings(task_seconds=0.02), Faults(latency=0.001, jitter=0.02, seed=7))
    report = desk.deliver(
        xtremepush_adapter(dlt.resource(rows, name="people"), identify()),
        profile_batch_size=150,
        max_connections=8,
    )
    assert report.count("delivered") + report.count("merged") == 10_000
    seen: dict[str, int] = {}
    for row in desk.imported():
        assert seen.get(row["user_id"], -1) < row["n"]
        seen[row["user_id"]] = row["n"]
    assert seen == {user: n for n, user in enumerate(users)}
    assert desk.sandbox.overlaps == []
