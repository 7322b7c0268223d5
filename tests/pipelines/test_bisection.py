"""A refused batch is halved until the bad row is found, at a bounded price."""

from __future__ import annotations

import dlt

from tests.conftest import MakeDesk
from xtremepush_dlt import identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults, SandboxSettings

POISON = Faults(poison_users=frozenset({"u6180"}))


def test_one_bad_profile_among_10000_costs_at_most_30_further_requests(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(task_seconds=0.01), POISON)
    rows = [{"user_id": f"u{n}", "tier": "gold"} for n in range(10_000)]
    people = xtremepush_adapter(dlt.resource(rows, name="people"), identify())
    report = desk.deliver(people, profile_batch_size=10_000)
    assert (report.count("delivered"), report.count("rejected")) == (9_999, 1)
    assert len(desk.posts("import")) <= 31
    assert len(desk.sandbox.profiles) == 9_999


def test_one_bad_event_among_1000_takes_no_other_with_it_and_none_arrives_twice(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(poison_users=frozenset({"u618"})))
    rows = [{"user_id": f"u{n}", "at": "2024-01-01", "n": n} for n in range(1000)]
    hits = xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))
    report = desk.deliver(hits)
    assert (report.count("delivered"), report.count("rejected")) == (999, 1)
    assert len(desk.posts("hit")) <= 31
    assert sorted(event.value["n"] for event in desk.events) == [n for n in range(1000) if n != 618]


def test_a_body_that_is_too_large_is_split_by_bytes(make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(max_body_bytes=60_000))
    # one long row and many short ones: halves by number would leave the long half too large
    rows = [
        {"user_id": f"u{n}", "at": "2024-01-01", "text": "x" * (50_000 if n == 0 else 10)}
        for n in range(500)
    ]
    hits = xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))
    report = desk.deliver(hits)
    assert report.count("delivered") == 500
    assert len(desk.events) == 500
    assert len(desk.posts("hit")) <= 8
