"""Event hits (reference 5)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.events import parse_timestamp
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

GOOD = {"event": "good", "user_id": "1"}
BAD = {"event": "bad"}


def test_a_hit_is_accepted_and_makes_the_profile(xtremepush_sandbox: Sandbox) -> None:
    reply = Caller(xtremepush_sandbox).hit(
        12345,
        value={"price": 100},
        user_attributes={"first_name": "Sam"},
        timestamp="2024-12-13 11:36:00 +01:00",
    )

    assert (reply.status_code, reply.json()) == (200, {"code": 200, "success": True, "async": True})
    (event,) = xtremepush_sandbox.events
    assert (event.user_id, event.event, event.value) == ("12345", "purchase", {"price": 100})
    assert event.timestamp == datetime(2024, 12, 13, 10, 36, tzinfo=timezone.utc)
    assert xtremepush_sandbox.profiles == {"12345": {"first_name": "Sam"}}


def test_a_batch_is_kept_in_its_order(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.hits(*({**GOOD, "value": number} for number in range(1000)))
    caller.hit("1", value=1000)

    events = xtremepush_sandbox.events
    assert [event.value for event in events] == list(range(1001))
    assert [event.number for event in events] == list(range(1, 1002))
    assert {event.request for event in events[:1000]} == {1}


def test_an_event_knows_whether_an_import_came_before_it(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.hit("user-0")
    caller.hit("user-0")
    caller.load(1)
    caller.hit("user-0")

    assert [event.profile_known for event in xtremepush_sandbox.events] == [False, False, True]


def test_a_profile_of_a_running_task_is_not_yet_known(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(task_seconds=0.2))
    caller = Caller(sandbox)
    caller.load(100)
    caller.hit("user-0")
    sandbox.wait_for_tasks()
    caller.hit("user-0")

    assert [event.profile_known for event in sandbox.events] == [False, True]


def test_the_same_hit_twice_is_stored_twice(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.hit()
    caller.hit()

    assert len(xtremepush_sandbox.events) == 2


@pytest.mark.parametrize(
    "item",
    [
        {"event": "x"},
        {"user_id": "1"},
        {"user_id": "", "event": "x"},
        {"user_id": True, "event": "x"},
        {"user_id": "1", "event": ""},
        {"user_id": "1", "event": "x", "value": [1]},
        {"user_id": "1", "event": "x", "user_attributes": ["a"]},
        {"user_id": "1", "event": "x", "timestamp": "2024-12-13T11:36:00Z"},
        {"user_id": "1", "event": "x", "timestamp": "2024-12-32 11:36:00"},
        {"user_id": "1", "event": "x", "timestamp": 1734089760},
    ],
)
def test_a_bad_event_refuses_its_request_and_stores_nothing(
    xtremepush_sandbox: Sandbox, item: dict[str, Any]
) -> None:
    caller = Caller(xtremepush_sandbox)

    assert caller.post("hit/event", **item).status_code == 400
    batch = caller.hits(GOOD, item)
    assert batch.status_code == 400
    assert [error["row"] for error in batch.json()["errors"]] == [1]
    assert xtremepush_sandbox.events == []
    assert xtremepush_sandbox.profiles == {}


@pytest.mark.parametrize(("rule", "status"), [("accept_rest", 200), ("refuse_but_store_rest", 400)])
def test_a_batch_can_be_stored_in_part(
    make_xtremepush_sandbox: MakeSandbox, rule: Any, status: int
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(bad_event=rule))
    reply = Caller(sandbox).hits(GOOD, BAD, GOOD)

    assert reply.status_code == status
    assert reply.json()["errors"] == [{"row": 1, "message": "user_id is missing"}]
    assert len(sandbox.events) == 2


def test_more_than_1000_events_are_accepted_unless_told_otherwise(
    make_xtremepush_sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    lenient = make_xtremepush_sandbox()
    strict = make_xtremepush_sandbox(SandboxSettings(over_max_events="refuse"))

    assert Caller(lenient).hits(*[GOOD] * 1001).status_code == 200
    assert "a batch of 1001 events" in caplog.text
    assert Caller(strict).hits(*[GOOD] * 1001).status_code == 400
    assert Caller(strict).hits(*[GOOD] * 1000).status_code == 200


def test_consent_is_ignored_without_the_consent_manager(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    off, on = (
        make_xtremepush_sandbox(),
        make_xtremepush_sandbox(SandboxSettings(consent_manager=True)),
    )
    for sandbox in (off, on):
        Caller(sandbox).hit(consent_preferences={"email": {"News": 1}})
        Caller(sandbox).hit(consent_preferences={"email": {"Offers": 0}})

    assert off.consents == {}
    assert on.consents == {"user-1": {"email": {"News": 1, "Offers": 0}}}


def test_consent_is_kept_on_the_event_with_and_without_the_consent_manager(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sent = {"email": {"News": 1, "Offers": 0}, "metadata": {"location": "Dublin"}}
    for manager in (False, True):
        sandbox = make_xtremepush_sandbox(SandboxSettings(consent_manager=manager))
        Caller(sandbox).hit(consent_preferences=sent)
        Caller(sandbox).hits({**GOOD, "consent_preferences": sent}, GOOD)

        assert [event.consent_preferences for event in sandbox.events] == [sent, sent, {}]


@pytest.mark.parametrize(
    "wrong", [{"email": 1}, {"email": ["News"]}, {"email": {"News": "yes"}}, {"sms": {"A": 2}}, [1]]
)
def test_consent_of_another_shape_is_refused_by_the_consent_manager_only(
    make_xtremepush_sandbox: MakeSandbox, wrong: Any
) -> None:
    off = make_xtremepush_sandbox()
    on = make_xtremepush_sandbox(SandboxSettings(consent_manager=True))

    ignored = 400 if isinstance(wrong, list) else 200  # never an object: bad in any case
    assert Caller(off).hit(consent_preferences=wrong).status_code == ignored
    assert Caller(on).hit(consent_preferences=wrong).status_code == 400
    assert on.events == []
    assert on.consents == {}


def test_attributes_of_an_event_follow_the_rules_of_the_project(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(known_attributes={"seats": "integer"}))
    caller = Caller(sandbox)
    caller.hit(user_attributes={"seats": "two", "plan": "gold", "language": "en"})
    caller.hit(user_attributes={"seats": 2})

    assert sandbox.profiles == {"user-1": {"language": "en", "seats": 2}}
    assert sandbox.state["event_warnings"] == {
        "attribute plan does not exist and was ignored": 1,
        "seats is not valid and was ignored": 1,
    }


def test_a_poison_event_refuses_its_batch_and_is_named_on_request(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(poison_marker="naïve"))
    caller = Caller(sandbox)
    poison = {"event": "x", "user_id": "2", "value": {"note": "a naïve one"}}

    unnamed = caller.hits(GOOD, poison)
    sandbox.set_faults(poison_users=frozenset({"2"}), poison_named=True)
    named = caller.hits(GOOD, poison)

    assert unnamed.status_code == named.status_code == 400
    assert "row" not in unnamed.json()["errors"][0]
    assert named.json()["errors"][0]["row"] == 1
    assert sandbox.events == []
    assert caller.hits(GOOD).status_code == 200


def test_a_poison_row_refuses_its_import_or_fails_its_task(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(poison_users=frozenset({"user-7"})))
    caller = Caller(sandbox)

    assert caller.load(10).status_code == 400
    assert caller.load(100).status_code == 400
    assert caller.load(7).status_code == 200
    sandbox.set_faults(poison_users=frozenset({"user-7"}), poison_tasks=True)
    assert caller.load(10).status_code == 400
    assert caller.load(100).status_code == 202
    sandbox.wait_for_tasks()
    assert [task.state for task in sandbox.tasks] == ["Fatal"]
    assert "user-7" not in sandbox.profiles


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)),  # hypothesis wants naive ones
    st.integers(-14 * 60, 14 * 60),
)
def test_timestamps_with_any_offset_are_read_as_utc(moment: datetime, minutes: int) -> None:
    local = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    text = local.strftime("%Y-%m-%d %H:%M:%S ") + local.isoformat()[-6:]

    parsed = parse_timestamp(text, strict=True)

    assert parsed == local
    assert parsed.tzinfo is timezone.utc


def test_lenient_timestamps_are_read_as_iso_8601_or_unix_time() -> None:
    wanted = datetime(2024, 12, 13, 10, 36, tzinfo=timezone.utc)

    assert parse_timestamp("2024-12-13T10:36:00Z", strict=False) == wanted
    assert parse_timestamp(wanted.timestamp(), strict=False) == wanted
    assert parse_timestamp("yesterday", strict=False) is None
