"""Promises about the Segment route: one call a request, in order for each user, side by side."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dlt
import pytest

from tests.pipelines.access import SEGMENT
from xtremepush_dlt import delete, identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

USERS = 23


def calls_of_users(desk: Desk) -> dict[str, list[tuple[str, Any]]]:
    """What was asked for each user, in the order of arrival: type, and number of the row."""
    seen: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for request in sorted(desk.sandbox.requests, key=lambda one: one.arrived):
        body: Any = request.body
        held = body.get("traits", body.get("properties", {}))
        seen[body["userId"]].append((body["type"], held.get("n")))
    return seen


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of users in an order that mixes the lanes."""
    return [{"user_id": f"u{(n * 7) % USERS}", "at": "2026-01-01", "n": n} for n in range(count)]


def of_user(user: str, count: int) -> list[int]:
    return [row["n"] for row in rows(count) if row["user_id"] == user]


def test_calls_of_one_user_arrive_in_row_order_on_sixteen_lanes(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(jitter=0.02))
    resource = xtremepush_adapter(
        dlt.resource(rows(400), name="orders"), identify(attributes=["n"])
    )
    report = desk.deliver(resource, credentials=SEGMENT, max_connections=16)
    assert report.count("delivered") == 400
    assert desk.sandbox.max_in_flight > 8, "no lanes ran side by side, so nothing was proved"
    seen = calls_of_users(desk)
    assert len(seen) == USERS
    for user, calls in seen.items():
        assert [n for _, n in calls] == of_user(user, 400)


def test_order_survives_refusals_and_lost_requests(make_desk: MakeDesk) -> None:
    desk = make_desk(
        faults=Faults(
            jitter=0.01,
            statuses={503: 0.04, 429: 0.04},
            reset_before=0.02,
            poison_users=frozenset({"u3", "u11"}),
            seed=7,
        )
    )
    resource = xtremepush_adapter(
        dlt.resource(rows(300), name="orders"),
        track("first", timestamp="at"),
        track("second", timestamp="at", when={"n": list(range(0, 300, 3))}),
    )
    report = desk.deliver(resource, credentials=SEGMENT, max_connections=16, retry_patience=60)
    expected: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows(300):
        if row["user_id"] not in ("u3", "u11"):
            expected[row["user_id"]].append(("first", row["n"]))
            if row["n"] % 3 == 0:
                expected[row["user_id"]].append(("second", row["n"]))
    seen: dict[str, list[Any]] = defaultdict(list)
    for event in desk.events:
        seen[event.user_id].append((event.event, event.value["n"]))
    assert seen == expected
    assert report.count("delivered") == sum(map(len, expected.values()))
    assert report.offered == 600
    assert report.retries > 0


@pytest.mark.parametrize("workers", ["1", "20"])
def test_identify_comes_before_track_and_track_before_delete_also_across_tables(
    workers: str, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__WORKERS", workers)
    desk = make_desk(faults=Faults(jitter=0.01))
    users = [{"user_id": f"u{n}", "n": n} for n in range(USERS)]
    desk.deliver(
        xtremepush_adapter(dlt.resource(users, name="a_leavers"), delete(user_id="user_id")),
        xtremepush_adapter(dlt.resource(rows(100), name="b_orders"), track("b", timestamp="at")),
        xtremepush_adapter(
            dlt.resource(rows(100), name="c_visits"),
            track("c", timestamp="at"),
            identify(attributes=["n"]),
        ),
        xtremepush_adapter(dlt.resource(users, name="d_people"), identify()),
        credentials=SEGMENT,
        max_connections=16,
    )
    rank = {"identify": 0, "track": 1, "delete": 2}
    by_time = sorted(desk.sandbox.requests, key=lambda one: one.arrived)
    ranks = [rank[str((one.body or {})["type"])] for one in by_time]
    assert ranks == sorted(ranks)
    assert len(ranks) == USERS + 100 + 200 + USERS
    # each was answered before the next kind left
    for kind in (1, 2):
        before = [one for one, of in zip(by_time, ranks, strict=True) if of < kind]
        after = [one for one, of in zip(by_time, ranks, strict=True) if of >= kind]
        assert max(one.finished or 0.0 for one in before) < min(one.arrived for one in after)
    assert desk.sandbox.profiles == {}


def test_lanes_run_side_by_side(make_desk: MakeDesk) -> None:
    """The figure is for `python -m tests.benchmarks.segment`; here only that lanes are not one."""
    latency, count, lanes = 0.1, 400, 16
    desk = make_desk(faults=Faults(latency=latency))
    events = [{"user_id": f"u{n}", "at": "2026-01-01", "n": n} for n in range(count)]
    resource = xtremepush_adapter(dlt.resource(events, name="orders"), track("o", timestamp="at"))
    began = time.monotonic()
    report = desk.deliver(resource, credentials=SEGMENT, max_connections=lanes)
    seconds = time.monotonic() - began
    assert report.count("delivered") == count
    assert desk.sandbox.max_in_flight == lanes
    assert seconds < 2 * count * latency / lanes + 2.0, "less than half of the ideal"


def test_one_connection_sends_one_call_after_the_other(desk: Desk) -> None:
    resource = xtremepush_adapter(dlt.resource(rows(60), name="orders"), track("o", timestamp="at"))
    desk.deliver(resource, credentials=SEGMENT, max_connections=1)
    assert desk.sandbox.max_in_flight == 1
    assert len(desk.events) == 60


def test_a_user_without_an_id_keeps_his_order_under_his_anonymous_id(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(jitter=0.02))
    data = [
        {"user_id": None, "anonymous_id": f"a{n % 5}", "at": "2026-01-01", "n": n}
        for n in range(100)
    ]
    resource = dlt.resource(data, name="visits", columns={"user_id": {"data_type": "text"}})
    desk.deliver(
        xtremepush_adapter(resource, track("visit", timestamp="at")),
        credentials=SEGMENT,
        max_connections=16,
    )
    seen: dict[Any, list[int]] = defaultdict(list)
    for event in desk.events:
        seen[event.anonymous_id].append(event.value["n"])
    assert seen == {f"a{n}": [*range(n, 100, 5)] for n in range(5)}
