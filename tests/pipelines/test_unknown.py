"""`on_unknown`: what becomes of events that were sent and not answered."""

from __future__ import annotations

import dlt
from dlt.extract import DltResource

from tests.conftest import Desk, MakeDesk
from xtremepush_dlt import identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults, SandboxSettings


def hits(rows: int) -> DltResource:
    data = [{"id": i, "user_id": f"u{i}", "at": "2024-01-01T00:00:00Z"} for i in range(rows)]
    return xtremepush_adapter(dlt.resource(data, name="hits"), track("hit", timestamp="at"))


def test_hold_never_sends_an_event_twice_and_lists_it_as_unknown(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=("reset_after", "ok", "ok")))
    report = desk.deliver(
        hits(30), on_unknown="hold", event_batch_size=10, max_connections=1, retry_patience=30.0
    )
    assert (report.count("unknown"), report.count("delivered")) == (10, 20)
    assert len(desk.events) == 30
    assert {row["outcome"] for row in desk.undelivered()} == {"unknown"}
    assert len(desk.undelivered()) == 10


def test_resend_sends_again_until_there_is_an_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=("reset_after", "ok", "ok", "ok")))
    report = desk.deliver(
        hits(30), on_unknown="resend", event_batch_size=10, max_connections=1, retry_patience=30.0
    )
    assert report.count("delivered") == 30
    # the batch whose answer was lost arrived twice, and no other
    assert len(desk.events) == 40


def test_an_import_whose_202_was_lost_is_sent_again_only_when_its_task_has_ended(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(task_seconds=0.8), Faults(plan=("reset_after",)))
    rows = [{"user_id": f"u{n}", "tier": "gold"} for n in range(150)]
    people = xtremepush_adapter(dlt.resource(rows, name="people"), identify())
    report = desk.deliver(people, retry_patience=30.0)
    assert report.count("delivered") == 150
    # sent again: nobody knows the id of the first task; but not while that task was running
    assert len(desk.posts("import")) == 2
    assert desk.sandbox.overlaps == []


def test_a_profile_without_an_answer_is_sent_again_whatever_the_policy(desk: Desk) -> None:
    desk.sandbox.set_faults(Faults(plan=("reset_after", "ok")))
    people = xtremepush_adapter(
        dlt.resource([{"user_id": "a", "tier": "gold"}], name="people"), identify()
    )
    report = desk.deliver(people, on_unknown="hold", retry_patience=30.0)
    assert report.count("delivered") == 1
    assert desk.sandbox.profiles["a"]["tier"] == "gold"
