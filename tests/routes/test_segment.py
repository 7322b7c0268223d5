"""The Segment route on the wire: bodies field for field, the key, and what each answer means.

The bodies are those of Segment's own integration (reference, section 3): `identify/index.ts`,
`track/index.ts` and `onDelete` of its destination `xtremepush`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.routes.recorder import Recorder
from xtremepush_dlt.mapping.actions import Action, delete, identify, track
from xtremepush_dlt.mapping.calls import make_calls
from xtremepush_dlt.mapping.columns import ColumnBatch
from xtremepush_dlt.mapping.dialect import SEGMENT
from xtremepush_dlt.mapping.plan import DeletePlan, TrackPlan
from xtremepush_dlt.mapping.planner import TableColumns, plan_table
from xtremepush_dlt.routes import segment
from xtremepush_dlt.routes.assumptions import SegmentAssumptions
from xtremepush_dlt.routes.auth import SegmentKey
from xtremepush_dlt.routes.calls import Call, CallSource
from xtremepush_dlt.routes.segment import SegmentRoute
from xtremepush_dlt.routes.verdict import Answer, Verdict

KEY = "TestingAPIKey"
SENT_AT = 1782907200.25
"""2026-07-01T12:00:00.250Z"""

CALLS: tuple[Call, ...] = ("identify", "track", "delete")


@pytest.fixture
def route(server: Recorder) -> Iterator[SegmentRoute]:
    server.reply = (200, {})
    made = SegmentRoute(server.url, SegmentKey(KEY), SegmentAssumptions())
    yield made
    made.close()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "wall_clock", lambda: SENT_AT)


def send(route: SegmentRoute, action: Action, **row: Any) -> Verdict:
    """Sends the call that an action makes of a row, through the mapping."""
    kinds = {name: "timestamp" if name == "at" else "text" for name in row}
    (of,) = plan_table(TableColumns("people", kinds), [action], SEGMENT).actions
    calls = make_calls(ColumnBatch(0, 1, {k: [v] for k, v in row.items()}), of, False)
    assert not calls.invalid
    call: Call = "identify"
    if isinstance(of, (TrackPlan, DeletePlan)):
        call = "track" if isinstance(of, TrackPlan) else "delete"
    source = CallSource(call, "crm_sync", "people", of.label)
    (record,) = route.encode_calls(source, calls.payloads, [])
    return route.send(call, route.body(call, (), [record]))


def body_of(server: Recorder) -> dict[str, Any]:
    """The one body, without its `messageId`, which must be there."""
    (body,) = server.bodies()
    message_id = body.pop("messageId")
    assert isinstance(message_id, str)
    assert len(message_id) == 36
    return dict(body)


# --- bodies --------------------------------------------------------------------------------------


def test_an_identify_call_is_what_segment_sends_for_the_same_record(
    server: Recorder, route: SegmentRoute
) -> None:
    row = {
        "user_id": "u1",
        "anonymous_id": "a1",
        "phone": "1234567890",
        "email": "john.doe@example.com",
        "timestamp": "2026-07-01T10:00:00Z",
        "firstName": "John",
        "age": 41,
        "spent": Decimal("19.90"),
        "score": 0.5,
        "vip": True,
        "tags": ["a", {"b": 1}],
        "nothing": None,
    }
    assert send(route, identify(), **row).answer is Answer.DELIVERED
    assert server.paths() == ["/api/integration/segment/handle"]
    assert body_of(server) == {
        "type": "identify",
        "userId": "u1",
        "anonymousId": "a1",
        "phone": "1234567890",
        "email": "john.doe@example.com",
        "traits": {
            "phone": "1234567890",
            "email": "john.doe@example.com",
            "firstName": "John",
            "age": 41,
            "spent": Decimal("19.90"),
            "score": Decimal("0.5"),
            "vip": True,
            "tags": ["a", {"b": 1}],
        },
        "timestamp": "2026-07-01T10:00:00.000Z",
    }
    # numbers as numbers, with the digits that they have
    assert b'"spent":19.90' in server.asked[0].body
    assert b'"age":41,' in server.asked[0].body


def test_a_track_call_is_what_segment_sends_for_the_same_record(
    server: Recorder, route: SegmentRoute
) -> None:
    action = track("Product Purchased", timestamp="at")
    row = {"user_id": 7, "anonymous_id": "a1", "at": "2026-07-01 12:00:00.123456+02:00"}
    assert send(route, action, **row, productName="Some Product").answer is Answer.DELIVERED
    assert server.paths() == ["/api/integration/segment/handle"]
    assert body_of(server) == {
        "type": "track",
        "userId": "7",
        "anonymousId": "a1",
        "event": "Product Purchased",
        "properties": {"productName": "Some Product"},
        "timestamp": "2026-07-01T10:00:00.123Z",
    }


def test_a_deletion_goes_to_its_own_path_with_the_identifiers(
    server: Recorder, route: SegmentRoute
) -> None:
    assert send(route, delete(), user_id="u1", anonymous_id="a1").answer is Answer.DELIVERED
    assert server.paths() == ["/api/integration/segment/delete"]
    body = body_of(server)
    assert (body["userId"], body["anonymousId"], body["type"]) == ("u1", "a1", "delete")
    assert body.keys() == {"type", "userId", "anonymousId", "timestamp"}


@pytest.mark.parametrize(
    ("row", "there"),
    [
        ({"user_id": "u1"}, {"userId"}),
        ({"user_id": None, "anonymous_id": "a1"}, {"anonymousId"}),
        ({"user_id": "u1", "anonymous_id": None, "email": None, "phone": None}, {"userId"}),
        ({"user_id": "u1", "email": "a@example.com"}, {"userId", "email"}),
    ],
)
def test_absent_identifiers_are_left_out_and_never_null(
    row: dict[str, Any], there: set[str], server: Recorder, route: SegmentRoute
) -> None:
    send(route, identify(), **row)
    body = body_of(server)
    assert body.keys() - {"type", "traits", "timestamp"} == there
    assert None not in body.values()


def test_no_subscription_flag_is_invented(server: Recorder, route: SegmentRoute) -> None:
    send(route, identify(), user_id="u1", email="a@example.com", phone="353850123456")
    assert "subscription" not in server.asked[0].body.decode()


def test_a_phone_in_the_column_of_the_external_api_is_called_phone(
    server: Recorder, route: SegmentRoute
) -> None:
    send(route, identify(), user_id="u1", mobile_number="+353 85 012 3456")
    body = body_of(server)
    assert body["phone"] == body["traits"]["phone"] == "+353 85 012 3456"
    assert "mobile_number" not in body["traits"]


# --- the moment ----------------------------------------------------------------------------------


def test_a_profile_without_a_timestamp_has_the_moment_of_sending(
    server: Recorder, route: SegmentRoute
) -> None:
    send(route, identify(), user_id="u1")
    assert body_of(server)["timestamp"] == "2026-07-01T12:00:00.250Z"


def test_a_profile_whose_timestamp_is_null_has_the_moment_of_sending(
    server: Recorder, route: SegmentRoute
) -> None:
    send(route, identify(timestamp="changed"), user_id="u1", changed=None)
    assert body_of(server)["timestamp"] == "2026-07-01T12:00:00.250Z"


def test_the_moment_of_sending_does_not_change_the_message_id(
    server: Recorder, route: SegmentRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in (SENT_AT, SENT_AT + 86400):
        monkeypatch.setattr(segment, "wall_clock", lambda now=moment: now)
        send(route, identify(), user_id="u1")
    first, second = server.bodies()
    assert first["timestamp"] != second["timestamp"]
    assert first["messageId"] == second["messageId"]


def test_a_trait_called_timestamp_is_no_moment_of_the_call(
    server: Recorder, route: SegmentRoute
) -> None:
    attributes = {"timestamp": "seen"}
    send(route, identify(timestamp=None, attributes=attributes), user_id="u1", seen="yesterday")
    body = body_of(server)
    assert body["timestamp"] == "2026-07-01T12:00:00.250Z"
    assert body["traits"] == {"timestamp": "yesterday"}


# --- the key -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_the_key_is_the_user_name_of_http_basic_and_nowhere_else(
    call: Call, server: Recorder, route: SegmentRoute
) -> None:
    route.send(call, route.body(call, (), [b'{"type":"x"}']))
    (asked,) = server.asked
    # from the snapshot of Segment's own test
    assert asked.headers["authorization"] == "Basic VGVzdGluZ0FQSUtleTo="
    assert asked.headers["content-type"] == "application/json"
    assert KEY not in asked.body.decode()


def test_a_key_of_any_characters_survives_the_header(server: Recorder) -> None:
    key = "kéy:with colon"
    route = SegmentRoute(server.url, SegmentKey(key), SegmentAssumptions())
    route.send("track", b"{}")
    route.close()
    scheme, shown = server.asked[0].headers["authorization"].split(" ")
    assert (scheme, base64.b64decode(shown).decode()) == ("Basic", f"{key}:")


def test_a_route_cannot_be_printed_with_its_key(route: SegmentRoute) -> None:
    shown = base64.b64encode(f"{KEY}:".encode()).decode()
    for text in (repr(route), str(route), f"{route.__dict__}"):
        assert KEY not in text
        assert shown not in text


def test_paths_are_assumptions(server: Recorder) -> None:
    assumed = SegmentAssumptions(segment_handle_path="/a", segment_delete_path="/b")
    route = SegmentRoute(server.url, SegmentKey(KEY), assumed)
    for call in CALLS:
        route.send(call, b"{}")
    route.close()
    assert server.paths() == ["/a", "/a", "/b"]


# --- verdicts ------------------------------------------------------------------------------------

ENVELOPE = {"success": True, "code": 200}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "reply", "answer"),
    [
        (200, b"{}", Answer.DELIVERED),
        (200, b" {} \n", Answer.DELIVERED),
        (200, b"", Answer.DELIVERED),
        (204, b"", Answer.DELIVERED),
        (200, ENVELOPE, Answer.DELIVERED),
        (201, b"{}", Answer.DELIVERED),
        (202, b"{}", Answer.DELIVERED),
        (202, {"success": True, "code": 202, "data": {"task_id": 9}}, Answer.DELIVERED),
        (200, b"<html>Welcome to the hotel's wireless network</html>", Answer.UNANSWERED),
        (200, b'{"succ', Answer.UNANSWERED),
        (200, {"success": False, "code": 200, "error": "bad"}, Answer.REFUSED),
        (200, {"success": False}, Answer.REFUSED),
        (200, {"success": True, "errors": ["bad"]}, Answer.REFUSED),
        (200, {"success": False, "code": 400}, Answer.REFUSED),
        (200, {"success": False, "code": 401}, Answer.DENIED),
        (200, {"success": False, "code": 403}, Answer.DENIED),
        (200, {"success": False, "code": 429}, Answer.BUSY),
        (200, {"success": False, "code": 503}, Answer.BUSY),
        (200, {"success": False, "code": 504}, Answer.UNANSWERED),
        (200, {"success": False, "code": 410}, Answer.MISDIRECTED),
        (301, b"", Answer.MISDIRECTED),
        (307, b"", Answer.MISDIRECTED),
        (400, {"success": False, "code": 400}, Answer.REFUSED),
        (400, b"<html>", Answer.REFUSED),
        (401, b"", Answer.DENIED),
        (403, b"", Answer.DENIED),
        (404, b"<html>", Answer.MISDIRECTED),
        (405, b"", Answer.MISDIRECTED),
        (410, b"", Answer.MISDIRECTED),
        (413, b"", Answer.TOO_LARGE),
        (422, b"", Answer.REFUSED),
        (429, b"", Answer.BUSY),
        (500, b"", Answer.BUSY),
        (502, b"", Answer.UNANSWERED),
        (503, b"", Answer.BUSY),
        (504, b"", Answer.UNANSWERED),
    ],
)
def test_an_answer_means_what_it_says(
    call: Call, status: int, reply: Any, answer: Answer, server: Recorder, route: SegmentRoute
) -> None:
    server.reply = (status, reply)
    assert route.send(call, b"{}").answer is answer
    assert len(server.asked) == 1


def test_a_redirect_is_not_followed(server: Recorder, route: SegmentRoute) -> None:
    server.reply, server.reply_headers = (302, b""), {"Location": f"{server.url}/elsewhere"}
    assert route.send("track", b"{}").answer is Answer.MISDIRECTED
    assert len(server.asked) == 1


def test_a_pause_that_the_server_asks_for_is_told(server: Recorder, route: SegmentRoute) -> None:
    server.reply, server.reply_headers = (429, b""), {"Retry-After": "7"}
    assert route.send("track", b"{}").retry_after == 7.0


@pytest.mark.parametrize("reply", [(401, b""), (200, {"success": False, "code": 401})])
def test_a_key_that_is_refused_is_told_with_the_settings_to_check(
    reply: tuple[int, Any], server: Recorder, route: SegmentRoute
) -> None:
    server.reply = reply
    advice = route.send("identify", b"{}").advice
    for part in ("`segment_api_key`", "`api_endpoint`", "Settings > Integrations > Segment"):
        assert part in advice
    assert KEY not in advice
    # there is no other key to try
    assert len(server.asked) == 1


@pytest.mark.parametrize("call", CALLS)
def test_an_address_that_nobody_serves_is_told_with_the_setting_to_check(
    call: Call, server: Recorder, route: SegmentRoute
) -> None:
    server.reply = (404, b"<html>no such page</html>")
    verdict = route.send(call, b"{}")
    assert verdict.answer is Answer.MISDIRECTED
    assert "`api_endpoint`" in verdict.advice
    assert "without a path" in verdict.advice


def test_a_404_of_the_api_itself_on_a_deletion_is_about_that_user_only(
    server: Recorder, route: SegmentRoute
) -> None:
    server.reply = (404, {"success": False, "code": 404, "message": "no such profile"})
    assert route.send("delete", b"{}").answer is Answer.REFUSED
    assert route.send("track", b"{}").answer is Answer.MISDIRECTED


def test_what_the_server_says_about_a_call_is_kept_for_the_row(
    server: Recorder, route: SegmentRoute
) -> None:
    server.reply = (400, {"success": False, "code": 400, "message": "userId is odd"})
    verdict = route.send("track", b"{}")
    assert verdict.message == "userId is odd"
    # which may quote a customer's value
    assert "odd" not in verdict.described


def test_a_call_is_one_json_object_a_request(server: Recorder, route: SegmentRoute) -> None:
    records = route.encode_calls(
        CallSource("track", "p", "t", "a"), ({"userId": str(n)} for n in range(3)), []
    )
    for record in records:
        route.send("track", route.body("track", (), [record]))
    assert [body["userId"] for body in server.bodies()] == ["0", "1", "2"]
    assert all(json.loads(asked.body) for asked in server.asked)
    with pytest.raises(ValueError, match="too many values"):
        route.body("track", (), records)


def test_a_call_that_is_sent_again_from_the_ledger_keeps_the_id_that_it_had(
    server: Recorder, route: SegmentRoute
) -> None:
    source = CallSource("track", "replay_of_crm_sync", "orders", "track order_placed")
    (record,) = route.encode_calls(source, [{"userId": "u1", "messageId": "before"}], [7])
    route.send("track", route.body("track", (), [record]))
    assert [body["messageId"] for body in server.bodies()] == ["before"]
