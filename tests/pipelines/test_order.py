"""Promises about order: profiles before events, and the calls of one user as the rows stand."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dlt
import pytest

from xtremepush_dlt import identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

USERS = [f"u{n}" for n in range(30)]


def tables(count: int) -> list[Any]:
    """Tables of profiles and tables of events of the same users, names mixed on purpose."""
    made = []
    for n in range(count):
        profiles = [{"user_id": user, f"of_{n}": n} for user in USERS]
        hits = [{"user_id": user, "at": "2026-01-01", "n": n} for user in USERS]
        made.append(
            xtremepush_adapter(
                dlt.resource(hits, name=f"a_events_{n}"), track(f"event {n}", timestamp="at")
            )
        )
        made.append(xtremepush_adapter(dlt.resource(profiles, name=f"z_people_{n}"), identify()))
    return made


def assert_profiles_before_events(desk: Desk) -> None:
    """No event came before the last import, its task included."""
    first_hit = min(post.arrived_at for post in desk.posts("hit"))
    assert max(post.arrived_at for post in desk.posts("import")) < first_hit
    assert all(task.finished_at is not None for task in desk.sandbox.tasks)
    assert all((task.finished_at or 0.0) < first_hit for task in desk.sandbox.tasks)
    assert all(event.profile_known for event in desk.events)


@pytest.mark.parametrize(("workers", "count"), [("20", 1), ("1", 3), ("2", 3), ("20", 3)])
def test_no_event_leaves_before_the_identify_calls_of_its_package_are_settled(
    workers: str, count: int, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__WORKERS", workers)
    desk = make_desk(
        SandboxSettings(async_from_rows=10, task_seconds=0.05), Faults(latency=0.002, jitter=0.01)
    )
    report = desk.deliver(*tables(count), profile_batch_size=12, event_batch_size=7)
    assert report.count("delivered") == 2 * count * len(USERS)
    assert_profiles_before_events(desk)


@pytest.mark.parametrize("workers", ["20"])
def test_the_sequential_strategy_of_dlt_keeps_the_order_and_does_not_hang(
    workers: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__PARALLELISM_STRATEGY", "sequential")
    monkeypatch.setenv("LOAD__WORKERS", workers)
    desk.deliver(*tables(2))
    assert_profiles_before_events(desk)


def test_one_table_with_both_actions_identifies_before_it_tracks(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(jitter=0.01))
    rows = [{"user_id": f"u{n % 9}", "at": "2026-01-01", "n": n} for n in range(90)]
    resource = dlt.resource(rows, name="orders")
    desk.deliver(
        xtremepush_adapter(resource, track("order", timestamp="at"), identify()),
        event_batch_size=4,
        profile_batch_size=4,
    )
    assert_profiles_before_events(desk)
    assert {user: profile["n"] for user, profile in desk.sandbox.profiles.items()} == {
        f"u{n % 9}": n for n in range(90)
    }


def sequence_of_users(desk: Desk) -> dict[str, list[Any]]:
    """The events of each user in the order of their arrival."""
    seen: dict[str, list[Any]] = defaultdict(list)
    for event in desk.events:
        seen[event.user_id].append((event.value["n"], event.event))
    return seen


def test_events_of_one_user_arrive_in_row_order_on_eight_lanes(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(jitter=0.02))
    # users in an order that mixes the lanes
    rows = [{"user_id": f"u{(n * 7) % 23}", "at": "2026-01-01", "n": n} for n in range(240)]
    resource = xtremepush_adapter(
        dlt.resource(rows, name="orders"),
        track("first", timestamp="at"),
        track("second", timestamp="at", when={"n": list(range(0, 240, 3))}),
    )
    desk.deliver(resource, event_batch_size=5, max_connections=8)
    expected: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        n = row["n"]
        expected[str(row["user_id"])].append((n, "first"))
        if isinstance(n, int) and n % 3 == 0:
            expected[str(row["user_id"])].append((n, "second"))
    assert sequence_of_users(desk) == expected
    assert desk.sandbox.max_in_flight > 1, "no lanes ran side by side, so nothing was proved"


def test_order_survives_refusals_and_lost_requests(make_desk: MakeDesk) -> None:
    desk = make_desk(
        faults=Faults(
            jitter=0.005, statuses={503: 0.05}, poison_users=frozenset({"u3", "u11"}), seed=4
        )
    )
    rows = [{"user_id": f"u{(n * 7) % 23}", "at": "2026-01-01", "n": n} for n in range(160)]
    resource = dlt.resource(rows, name="orders")
    report = desk.deliver(
        xtremepush_adapter(resource, track("order", timestamp="at")),
        event_batch_size=8,
        max_connections=8,
        retry_patience=30.0,
    )
    good = [row for row in rows if row["user_id"] not in ("u3", "u11")]
    assert report.count("delivered") == len(good)
    assert report.count("rejected") == len(rows) - len(good)
    for user, seen in sequence_of_users(desk).items():
        assert [n for n, _ in seen] == [row["n"] for row in good if row["user_id"] == user]


def test_a_user_is_not_imported_again_while_a_task_of_theirs_is_running(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(
        SandboxSettings(async_from_rows=1, task_seconds=0.02),
        Faults(slow_tasks=0.2, slow_task_seconds=0.15),
    )
    rows = [{"user_id": f"u{n % 7}", "n": n} for n in range(56)]
    resource = dlt.resource(rows, name="customers")
    desk.deliver(xtremepush_adapter(resource, identify()), profile_batch_size=4, max_connections=8)
    assert desk.sandbox.overlaps == []
    assert {user: profile["n"] for user, profile in desk.sandbox.profiles.items()} == {
        f"u{n % 7}": n for n in range(56) if n >= 49
    }


def test_two_tables_that_hold_the_same_user_are_not_imported_at_once(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(async_from_rows=1, task_seconds=0.05))
    made = []
    for n in range(3):
        rows = [{"user_id": user, f"of_{n}": n} for user in USERS[:5]]
        made.append(xtremepush_adapter(dlt.resource(rows, name=f"people_{n}"), identify()))
    desk.deliver(*made)
    assert desk.sandbox.overlaps == []
    assert desk.sandbox.profiles["u0"] == {"of_0": 0, "of_1": 1, "of_2": 2}
