"""The Segment integration (reference 3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


def test_identify_makes_and_updates_a_profile_and_renames_the_phone(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)

    reply = caller.identify(
        phone="353850123456",
        email="sam@example.com",
        traits={"email": "sam@example.com", "phone": "353850123456", "firstName": "Sam"},
    )
    caller.identify(traits={"firstName": "Samuel"})

    assert (reply.status_code, reply.json()) == (200, {})
    assert xtremepush_sandbox.profiles == {
        "user-1": {
            "email": "sam@example.com",
            "mobile_number": "353850123456",
            "firstName": "Samuel",
        }
    }


def test_track_stores_an_event_with_its_properties_time_and_message_id(
    xtremepush_sandbox: Sandbox,
) -> None:
    reply = Caller(xtremepush_sandbox).track(
        anonymousId="anonymous-1",
        email="sam@example.com",
        properties={"price": 100, "tags": ["a"]},
        timestamp="2026-07-01T10:00:00.125Z",
        messageId="message-7",
    )

    assert (reply.status_code, reply.json()) == (200, {})
    (event,) = xtremepush_sandbox.events
    assert (event.user_id, event.anonymous_id) == ("user-1", "anonymous-1")
    assert (event.event, event.value) == ("purchase", {"price": 100, "tags": ["a"]})
    assert event.timestamp == datetime(2026, 7, 1, 10, 0, 0, 125_000, tzinfo=timezone.utc)
    assert event.message_id == "message-7"
    assert xtremepush_sandbox.profiles == {"user-1": {}}


def test_both_ways_in_write_to_the_same_profiles_and_events(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.load(1, first=1)
    caller.hit("user-1")
    caller.track("user-1")
    caller.identify("user-1", traits={"plan": "gold"})

    assert xtremepush_sandbox.profiles == {"user-1": {"first_name": "Sam", "plan": "gold"}}
    assert [(event.number, event.request) for event in xtremepush_sandbox.events] == [
        (1, 2),
        (2, 3),
    ]


def test_an_event_knows_whether_an_identify_call_came_before_it(
    xtremepush_sandbox: Sandbox,
) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.track()
    caller.identify()
    caller.track()

    assert [event.profile_known for event in xtremepush_sandbox.events] == [False, True]


def test_an_anonymous_id_alone_keys_a_profile_of_its_own(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.identify(None, anonymousId="anonymous-1", traits={"plan": "free"})
    caller.identify(None, anonymousId="anonymous-1", traits={"seats": 2})
    caller.track(None, anonymousId="anonymous-1")
    caller.identify("user-1", anonymousId="anonymous-1", traits={"plan": "gold"})

    assert xtremepush_sandbox.profiles == {
        "anonymous-1": {"plan": "free", "seats": 2},
        "user-1": {"plan": "gold"},
    }
    (event,) = xtremepush_sandbox.events
    assert (event.user_id, event.anonymous_id) == ("anonymous-1", "anonymous-1")


def test_a_trait_the_project_lacks_is_ignored_without_a_word_and_counted_for_the_test(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(known_attributes={"plan": None}))
    caller = Caller(sandbox)
    traits = {"email": "sam@example.com", "phone": "353850123456", "plan": "gold", "seats": 2}

    replies = [caller.identify(traits=traits), caller.identify(traits={"seats": 3})]

    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, {}), (200, {})]
    assert sandbox.profiles == {
        "user-1": {"email": "sam@example.com", "mobile_number": "353850123456", "plan": "gold"}
    }
    assert sandbox.ignored_traits == sandbox.state["ignored_traits"] == {"seats": 2}
    assert sandbox.state["segment_warnings"] == {}


def test_strictness_about_attributes_of_the_external_api_leaves_segment_alone(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(known_attributes={}, unknown_attributes="refuse")
    )

    assert Caller(sandbox).identify(traits={"seats": 2}).status_code == 200
    assert sandbox.ignored_traits == {"seats": 1}


def test_a_trait_that_does_not_fit_is_left_out_with_a_warning(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(known_attributes={"seats": "integer"}))

    Caller(sandbox).identify(traits={"phone": "+353 85", "seats": "two", "language": "en"})

    assert sandbox.profiles == {"user-1": {"language": "en"}}
    assert sandbox.state["segment_warnings"] == {
        "mobile_number is not valid and was ignored": 1,
        "seats is not valid and was ignored": 1,
    }


WRONG: list[dict[str, Any]] = [
    {"type": "page"},
    {"type": None},
    {"userId": None},
    {"userId": ""},
    {"userId": 17},
    {"anonymousId": ""},
    {"email": ["sam@example.com"]},
    {"timestamp": None},
    {"timestamp": "2026-07-01T10:00:00Z"},
    {"timestamp": "2026-07-01 10:00:00.000"},
    {"timestamp": "2026-07-01T10:00:00.000+00:00"},
    {"timestamp": "2026-07-32T10:00:00.000Z"},
    {"timestamp": 1_782_900_000},
    {"messageId": None},
    {"messageId": 7},
    {"context": {}},
    {"consent_preferences": {}},
]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *(("identify", wrong) for wrong in WRONG),
        *(("track", wrong) for wrong in WRONG),
        ("identify", {"traits": []}),
        ("identify", {"event": "purchase"}),
        ("track", {"event": None}),
        ("track", {"event": ""}),
        ("track", {"properties": "text"}),
        ("track", {"traits": {}}),
    ],
)
def test_a_call_that_segment_would_not_send_is_refused_and_stores_nothing(
    xtremepush_sandbox: Sandbox, kind: str, wrong: dict[str, Any]
) -> None:
    send = getattr(Caller(xtremepush_sandbox), kind)

    reply = send(**{name.replace("userId", "user_id"): value for name, value in wrong.items()})

    assert reply.status_code == 400
    assert reply.json()["success"] is False
    assert xtremepush_sandbox.profiles == {}
    assert xtremepush_sandbox.events == []


@pytest.mark.parametrize(
    "absent", ["userId", "anonymousId", "phone", "email", "traits", "messageId"]
)
def test_a_null_is_refused_because_segment_leaves_absent_members_out(
    xtremepush_sandbox: Sandbox, absent: str
) -> None:
    caller = Caller(xtremepush_sandbox)
    body: dict[str, Any] = {
        "type": "identify",
        "userId": "user-1",
        "anonymousId": "anonymous-1",
        "timestamp": "2026-07-01T10:00:00.000Z",
        "messageId": "message-1",
    }

    assert caller.segment(**body).status_code == 200
    assert caller.segment(**{**body, absent: None}).status_code == 400


def test_members_that_segment_does_not_send_can_be_tolerated(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(segment_unknown_members="ignore"))

    assert Caller(sandbox).track(context={"ip": "::1"}).status_code == 200


@pytest.mark.parametrize(("dedup", "stored"), [(False, 2), (True, 1)])
def test_a_message_id_that_was_seen_changes_nothing_only_when_told_so(
    make_xtremepush_sandbox: MakeSandbox, dedup: bool, stored: int
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(segment_dedup=dedup))
    caller = Caller(sandbox)

    replies = [caller.track(messageId="same") for _ in range(2)]
    caller.identify(traits={"plan": "gold"}, messageId="other")
    caller.identify(traits={"plan": "free"}, messageId="other")

    assert [reply.status_code for reply in replies] == [200, 200]
    assert len(sandbox.events) == stored
    assert sandbox.profiles["user-1"]["plan"] == ("gold" if dedup else "free")


def test_a_refused_call_does_not_use_up_its_message_id(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(segment_dedup=True))
    caller = Caller(sandbox)

    assert caller.track(properties="text").status_code == 400
    assert caller.track(properties={}).status_code == 200
    assert len(sandbox.events) == 1


def test_a_body_that_is_no_json_object_is_refused_with_400(xtremepush_sandbox: Sandbox) -> None:
    for body in (b"[]", b"{", b""):
        reply = requests.post(
            xtremepush_sandbox.url + "/api/integration/segment/handle",
            data=body,
            auth=(xtremepush_sandbox.segment_api_key, ""),
            timeout=5,
        )
        assert reply.status_code == 400


def test_poison_refuses_identify_track_and_delete_calls(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(
        None, Faults(poison_users=frozenset({"user-7"}), poison_marker="naïve")
    )
    caller = Caller(sandbox)

    assert caller.identify("user-7").status_code == 400
    assert caller.track("user-7").status_code == 400
    assert caller.segment("delete", userId="user-7").status_code == 400
    assert caller.track("user-8", properties={"note": "a naïve one"}).status_code == 400
    assert caller.track("user-8").status_code == 200
    assert list(sandbox.profiles) == ["user-8"]


def test_faults_hit_the_segment_integration_too(make_xtremepush_sandbox: MakeSandbox) -> None:
    plan = (429, 503, "html", "empty", "success_false", "reset_before", "reset_after", "hang")
    sandbox = make_xtremepush_sandbox(
        None, Faults(paths=("segment",), plan=plan, retry_after=1, hang_seconds=0.01)
    )
    caller = Caller(sandbox)

    limited = caller.track()
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    assert [caller.track().status_code for _ in range(2)] == [503, 502]
    assert caller.track().content == b""
    assert caller.track().json()["success"] is False
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            caller.track()
    assert caller.track().status_code == 504
    assert [event.request for event in sandbox.events] == [4, 7]


def test_sixteen_callers_meet_only_the_latency_they_were_promised(
    make_xtremepush_sandbox: MakeSandbox,
) -> None:
    sandbox = make_xtremepush_sandbox(None, Faults(latency=0.1))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: [Caller(sandbox).track() for _ in range(5)], range(16)))

    seconds = [record.seconds for record in sandbox.requests if record.seconds is not None]
    assert len(seconds) == len(sandbox.events) == 80
    # what a route reaches is bounded by this figure, so the sandbox must add little to it
    assert sum(seconds) / len(seconds) < 0.2
