"""Promises about requests: how rows are cut into them, and what an answer means for the rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter
from xtremepush_dlt.exceptions import (
    CredentialsRefusedError,
    EndpointRefusedError,
    XtremepushUnavailableError,
)
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import BareServer, Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")


@pytest.fixture
def dlt_gives_up_at_once(dlt_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transient error ends the run instead of four more tries by dlt."""
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")


def events(count: int, note: str = "") -> Any:
    """Events of as many users, which tell their number."""
    rows = [
        {"user_id": f"u{n}", "at": "2026-01-01", "n": n, **({"note": note} if note else {})}
        for n in range(count)
    ]
    return xtremepush_adapter(dlt.resource(rows, name="orders"), track("order", timestamp="at"))


def customers(count: int, **more: Any) -> Any:
    """Profiles of as many users."""
    rows = [{"user_id": f"u{n}", "n": n, **more} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="customers"), identify())


def arrived(desk: Desk) -> Counter[Any]:
    """How often each event was stored."""
    return Counter(event.value["n"] for event in desk.events)


def once(count: int) -> Counter[Any]:
    """Each event once."""
    return Counter(range(count))


def test_events_leave_in_batches_of_the_size_that_is_set(desk: Desk) -> None:
    desk.deliver(events(25), event_batch_size=10, max_connections=1)
    assert [len(post.body["events"]) for post in desk.posts("hit")] == [10, 10, 5]
    assert [hit["value"]["n"] for hit in desk.hits()] == list(range(25))


def test_profiles_leave_in_batches_of_the_size_that_is_set(desk: Desk) -> None:
    desk.deliver(customers(25), profile_batch_size=10, max_connections=1)
    assert [len(post.body["rows"]) for post in desk.posts("import")] == [10, 10, 5]


@pytest.mark.parametrize("connections", [1, 8])
def test_no_batch_is_larger_than_is_set_with_many_lanes_either(
    connections: int, desk: Desk
) -> None:
    desk.deliver(
        customers(100),
        events(100),
        event_batch_size=7,
        profile_batch_size=9,
        max_connections=connections,
    )
    assert max(len(post.body["events"]) for post in desk.posts("hit")) <= 7
    assert max(len(post.body["rows"]) for post in desk.posts("import")) <= 9
    assert arrived(desk) == once(100)
    assert len(desk.sandbox.profiles) == 100


@pytest.mark.parametrize("note", ["x" * 100, "\u20ac" * 33, '"' * 50])
def test_no_body_has_more_bytes_than_is_set_and_bodies_are_filled(note: str, desk: Desk) -> None:
    desk.deliver(
        customers(40, note=note), events(40, note), max_request_bytes=2000, max_connections=1
    )
    sizes = [post.size for post in desk.sandbox.requests]
    assert max(sizes) <= 2000
    assert sum(sizes) / len(sizes) > 1000
    assert arrived(desk) == once(40)
    assert len(desk.sandbox.profiles) == 40


def test_a_row_larger_than_a_body_may_be_goes_alone(desk: Desk) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": f"u{n}", "at": "2026-01-01", "n": n, "text": "x" * (5000 if n == 2 else 5)}
        for n in range(5)
    ]
    resource = xtremepush_adapter(dlt.resource(rows, name="orders"), track("o", timestamp="at"))
    desk.deliver(resource, max_request_bytes=1000, max_connections=1)
    assert arrived(desk) == once(5)
    assert [len(post.body["events"]) for post in desk.posts("hit") if post.size > 1000] == [1]


def test_a_body_that_is_too_large_for_xtremepush_is_split(make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(max_body_bytes=1500))
    report = desk.deliver(events(40, "x" * 100))
    assert arrived(desk) == once(40)
    assert report.count("delivered") == 40


def test_the_token_travels_in_the_body_and_nowhere_else(
    bare_server: BareServer, desk: Desk
) -> None:
    paths: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        paths.append(path)
        return 200, b'{"success":true}'

    bare_server.answer = answer
    desk.deliver(
        events(1), customers(1), api_endpoint=bare_server.url, credentials={"app_token": 'to"k'}
    )
    assert sorted(paths) == ["/api/external/hit/event", "/api/external/import/profile"]
    assert all(body.startswith(b'{"apptoken":"to\\"k",') for body in bare_server.bodies)


def test_a_202_is_followed_until_its_task_ends(make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(async_from_rows=10, task_start_seconds=0.1, task_seconds=0.2))
    report = desk.deliver(customers(30))
    assert [task.state for task in desk.sandbox.tasks] == ["Completed"]
    assert len(desk.sandbox.profiles) == 30
    assert report.count("delivered") == 30
    assert len(desk.posts("import")) == 1
    assert desk.posts("task")[-1].arrived >= desk.posts("import")[0].arrived + 0.3


@pytest.mark.parametrize("place", ["model.id", "id"])
def test_the_id_of_a_task_is_found_wherever_it_may_stand(place: str, make_desk: MakeDesk) -> None:
    desk = make_desk(SandboxSettings(async_from_rows=2, task_id_at=place, task_seconds=0.0))
    assert desk.deliver(customers(5)).count("delivered") == 5
    assert len(desk.posts("import")) == 1


@pytest.mark.parametrize("state", ["Error", "Completed"])
def test_rows_that_fail_in_a_task_are_rejected_and_no_others(
    state: Any, make_desk: MakeDesk
) -> None:
    settings = SandboxSettings(
        async_from_rows=2,
        task_seconds=0.0,
        failed_rows_state=state,
        long_strings="fail",
        max_string_length=10,
    )
    desk = make_desk(settings)
    rows = [{"user_id": f"u{n}", "note": "x" * (50 if n == 3 else 5)} for n in range(10)]
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert set(desk.sandbox.profiles) == {f"u{n}" for n in range(10) if n != 3}
    assert (report.count("delivered"), report.count("rejected")) == (9, 1)
    assert [row["payload"]["user_id"] for row in desk.undelivered()] == ["u3"]


def test_a_task_that_ends_fatally_is_searched_for_the_row_that_did_it(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(
        SandboxSettings(async_from_rows=2, task_seconds=0.0),
        Faults(poison_users=frozenset({"u7"}), poison_tasks=True),
    )
    report = desk.deliver(customers(16))
    assert set(desk.sandbox.profiles) == {f"u{n}" for n in range(16) if n != 7}
    assert (report.count("delivered"), report.count("rejected")) == (15, 1)


@pytest.mark.parametrize("form", ["errors", "data"])
def test_a_row_that_a_successful_import_did_not_take_is_rejected(
    form: Any, make_desk: MakeDesk
) -> None:
    settings = SandboxSettings(long_strings="fail", max_string_length=10, sync_row_failures=form)
    desk = make_desk(settings)
    rows = [{"user_id": f"u{n}", "note": "x" * (50 if n == 3 else 5)} for n in range(10)]
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert "u3" not in desk.sandbox.profiles
    assert (report.count("delivered"), report.count("rejected")) == (9, 1)


def test_an_event_that_a_successful_batch_did_not_take_is_rejected(make_desk: MakeDesk) -> None:
    desk = make_desk(
        SandboxSettings(bad_event="accept_rest"),
        Faults(poison_users=frozenset({"u3"}), poison_named=True),
    )
    report = desk.deliver(events(10))
    assert arrived(desk) == once(10) - Counter([3])
    assert (report.count("delivered"), report.count("rejected")) == (9, 1)


def test_http_200_with_success_false_is_a_refusal(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(success_false=1.0))
    report = desk.deliver(events(4), customers(3))
    assert report.count("rejected") == 7
    assert report.count("delivered") == 0
    assert desk.events == []
    assert {row["status"] for row in desk.undelivered()} == {200}
    assert len(desk.undelivered()) == 7
    kept = Counter(row["payload"]["user_id"] for row in desk.undelivered())
    assert kept == {"u0": 2, "u1": 2, "u2": 2, "u3": 1}
    # refused rows block neither the package nor the next run
    desk.sandbox.set_faults()
    assert desk.deliver(events(2)).count("delivered") == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_terminal_and_says_what_to_check(
    status: int, make_desk: MakeDesk
) -> None:
    desk = make_desk(faults=Faults(statuses={status: 1.0}))
    pipeline = desk.pipeline(retry_patience=60.0)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(events(3))
    assert CredentialsRefusedError.__name__ in str(raised.value)
    assert "app_token" in str(raised.value) or "API access" in str(raised.value)
    assert len(desk.sandbox.requests) == 1
    assert pipeline.has_pending_data
    desk.sandbox.set_faults()
    pipeline.run()
    assert arrived(desk) == once(3)


def test_a_run_with_the_right_token_delivers_what_a_wrong_one_left_each_row_once(
    desk: Desk,
) -> None:
    with pytest.raises(PipelineStepFailed, match="401"):
        desk.deliver(customers(3), events(5), credentials={"app_token": "wrong"})
    assert {post.status for post in desk.sandbox.requests} == {401}
    pipeline = desk.pipeline()
    pipeline.run()
    assert arrived(desk) == once(5)
    taken = [post for post in desk.posts("import") if post.status == 200]
    assert sum(len(post.body["rows"]) for post in taken) == 3
    assert delivery_report(pipeline).count("delivered") == 8
    assert not pipeline.has_pending_data


def test_a_token_that_expires_midway_costs_no_row_and_repeats_none(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=("ok", "ok", 401)))
    with pytest.raises(PipelineStepFailed, match="401"):
        desk.deliver(events(10), event_batch_size=2, max_connections=1)
    assert arrived(desk) == once(4)
    pipeline = desk.pipeline(event_batch_size=3, max_connections=4)
    pipeline.run()
    assert arrived(desk) == once(10)
    report = delivery_report(pipeline)
    assert (report.count("delivered"), report.offered, report.complete) == (10, 10, True)


def test_a_setting_that_was_corrected_holds_for_the_package_that_is_pending(
    bare_server: BareServer, desk: Desk
) -> None:
    bare_server.answer = lambda path, body: (404, b"{}")
    with pytest.raises(PipelineStepFailed, match="api_endpoint"):
        desk.deliver(events(3), api_endpoint=bare_server.url)
    desk.pipeline().run()
    assert len(bare_server.bodies) == 1
    assert arrived(desk) == once(3)


@pytest.mark.parametrize("status", [404, 410])
def test_an_address_that_nobody_serves_is_terminal(status: int, make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(statuses={status: 1.0}))
    pipeline = desk.pipeline(retry_patience=60.0)
    with pytest.raises(PipelineStepFailed, match="api_endpoint") as raised:
        pipeline.run(events(3))
    assert EndpointRefusedError.__name__ in str(raised.value)
    assert len(desk.sandbox.requests) == 1
    assert pipeline.has_pending_data


@pytest.mark.parametrize("fault", [500, 504, 429, "reset_before", "html", "empty", "truncated"])
def test_trouble_that_passes_is_outlasted_and_each_profile_delivered(
    fault: int | str, make_desk: MakeDesk
) -> None:
    desk = make_desk(faults=Faults(plan=(fault,)))
    report = desk.deliver(customers(3), retry_patience=10.0)
    assert len(desk.sandbox.profiles) == 3
    assert (report.count("delivered"), report.retries, report.complete) == (3, 1, True)


def test_a_lost_answer_to_a_hit_may_repeat_it_but_counts_each_row_once(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(plan=("reset_after",)))
    report = desk.deliver(events(3), retry_patience=10.0)
    assert set(arrived(desk)) == {0, 1, 2}
    assert max(arrived(desk).values()) <= 2
    assert (report.count("delivered"), report.offered) == (3, 3)


def test_retry_after_is_honoured(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(plan=(429,), retry_after=1.0))
    desk.deliver(events(3), retry_patience=10.0)
    first, second = desk.posts("hit")
    assert second.arrived - (first.finished or 0.0) >= 1.0


@pytest.mark.usefixtures("dlt_gives_up_at_once")
def test_trouble_that_lasts_goes_to_dlt_as_transient_and_loses_nothing(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(plan=("ok",), outage_requests=1000))
    pipeline = desk.pipeline(event_batch_size=2, max_connections=1)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(events(6))
    assert XtremepushUnavailableError.__name__ in str(raised.value)
    assert "LoadClientJobRetry" in str(raised.value)
    assert "503" in str(raised.value)
    assert pipeline.has_pending_data
    desk.sandbox.set_faults()
    pipeline.run()
    assert arrived(desk) == once(6)
    assert delivery_report(pipeline).count("delivered") == 6


def test_the_retry_of_dlt_goes_on_from_the_last_confirmed_request(make_desk: MakeDesk) -> None:
    # no patience of our own: the second try is dlt's
    desk = make_desk(faults=Faults(plan=("ok", 503)))
    report = desk.deliver(events(6), event_batch_size=2, max_connections=1, retry_patience=0.0)
    assert arrived(desk) == once(6)
    assert (report.count("delivered"), report.complete) == (6, True)


@pytest.mark.parametrize("named", [True, False])
def test_a_poison_row_is_found_and_takes_no_other_with_it(named: bool, make_desk: MakeDesk) -> None:
    desk = make_desk(
        SandboxSettings(errors_name_items=named),
        Faults(poison_users=frozenset({"u11"}), poison_named=named),
    )
    report = desk.deliver(customers(64), events(64))
    assert set(desk.sandbox.profiles) == {f"u{n}" for n in range(64) if n != 11}
    assert arrived(desk) == once(64) - Counter([11])
    assert (report.count("delivered"), report.count("rejected")) == (126, 2)
    # log2(64) = 6: two requests a level at the most, for each of the two tables
    assert len(desk.sandbox.requests) <= 2 * (1 + 2 * 6)
    rejected = desk.undelivered()
    assert [(row["payload"]["user_id"], row["status"]) for row in rejected] == [("u11", 400)] * 2
    assert all(row["outcome"] == "rejected" and row["message"] for row in rejected)
    assert desk.deliver(events(2)).count("delivered") == 2


def test_one_of_several_merged_rows_that_is_poison_does_not_take_the_others_with_it(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(poison_marker="poison"))
    rows = [
        {"user_id": "sam", "plan": "basic", "n": 1},
        {"user_id": "sam", "plan": "poison", "n": 2},
        {"user_id": "kim", "plan": "pro", "n": 3},
    ]
    report = desk.deliver(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert desk.sandbox.profiles == {
        "sam": {"plan": "basic", "n": 1},
        "kim": {"plan": "pro", "n": 3},
    }
    assert (report.count("delivered"), report.count("rejected")) == (2, 1)


def test_several_poison_rows_are_all_found(make_desk: MakeDesk) -> None:
    bad = frozenset({"u0", "u1", "u30", "u63"})
    desk = make_desk(faults=Faults(poison_users=bad))
    report = desk.deliver(events(64))
    assert {event.user_id for event in desk.events} == {f"u{n}" for n in range(64)} - bad
    assert (report.count("delivered"), report.count("rejected")) == (60, 4)
    assert {row["payload"]["user_id"] for row in desk.undelivered()} == bad
