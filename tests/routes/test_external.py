"""The External API on the wire: bodies, paths and the state of import tasks."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.routes.recorder import Recorder
from tests.routes.sending import EVENTS, hit, import_profiles
from xtremepush_dlt.delivery.batches import call_batches, profile_batches
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.routes.assumptions import ExternalApiAssumptions
from xtremepush_dlt.routes.auth import AppToken
from xtremepush_dlt.routes.external import ExternalRoute
from xtremepush_dlt.routes.verdict import Answer

TOKEN = 'S3CR3T "töken"'


@pytest.fixture
def route(server: Recorder) -> Iterator[ExternalRoute]:
    external = ExternalRoute(server.url, AppToken(TOKEN), ExternalApiAssumptions())
    yield external
    external.close()


def test_an_import_is_columns_and_rows_with_the_token_in_the_body(
    server: Recorder, route: ExternalRoute
) -> None:
    profiles: list[dict[str, Any]] = [
        {"user_id": "1", "spent": Decimal("19.90"), "vip": True},
        {"user_id": "2", "spent": None, "vip": False},
    ]
    rows = [route.encode_profile(profile) for profile in profiles]
    verdict = import_profiles(route, ("user_id", "spent", "vip"), rows)
    assert verdict.answer is Answer.DELIVERED
    assert server.asked[0].path == "/api/external/import/profile"
    assert server.asked[0].headers["content-type"] == "application/json"
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].body.startswith(b'{"apptoken":')
    assert server.bodies() == [
        {
            "apptoken": TOKEN,
            "columns": ["user_id", "spent", "vip"],
            "rows": [["1", Decimal("19.90"), True], ["2", None, False]],
        }
    ]
    assert b"19.90" in server.asked[0].body


def test_events_are_hit_in_one_batch_with_the_token_in_the_body(
    server: Recorder, route: ExternalRoute
) -> None:
    events = [
        {
            "event": "paid",
            "user_id": str(number),
            "timestamp": "2024-07-01 12:00:00 +00:00",
            "value": {"amount": Decimal("1.10"), "lines": [{"sku": 'a"b'}]},
        }
        for number in range(3)
    ]
    verdict = hit(route, list(route.encode_calls(EVENTS, events, [])))
    assert verdict.answer is Answer.DELIVERED
    assert server.asked[0].path == "/api/external/hit/event"
    assert server.bodies() == [{"apptoken": TOKEN, "events": events}]


def test_paths_are_assumptions(server: Recorder) -> None:
    assumed = ExternalApiAssumptions(profile_path="/a", event_path="/b", task_path="/c")
    route = ExternalRoute(server.url, AppToken(TOKEN), assumed)
    import_profiles(route, ("user_id",), [b'["1"]'])
    hit(route, [b"{}"])
    route.look_up_task("1")
    route.close()
    assert server.paths() == ["/a", "/b", "/c"]


def test_a_refusal_under_200_is_a_refusal(server: Recorder, route: ExternalRoute) -> None:
    server.reply = (200, {"success": False, "code": 200, "error": "bad row"})
    assert hit(route, [b"{}"]).answer is Answer.REFUSED


def test_an_import_that_became_a_task_names_it(server: Recorder, route: ExternalRoute) -> None:
    server.reply = (202, {"success": True, "code": 202, "data": {"task_id": 99}})
    verdict = import_profiles(route, ("user_id",), [b'["1"]'])
    assert (verdict.answer, verdict.task_id) == (Answer.ACCEPTED, "99")


# --- tasks ---------------------------------------------------------------------------------------


def task_listed(server: Recorder, task: Any) -> None:
    server.reply = (200, {"success": True, "code": 200, "data": [task] if task else []})


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ({"status": "New"}, Answer.ACCEPTED),
        ({"status": "Executing"}, Answer.ACCEPTED),
        ({"state": "executing"}, Answer.ACCEPTED),
        ({"status": "Completed"}, Answer.DELIVERED),
        ({"status": "Completed", "total_failed": 0}, Answer.DELIVERED),
        ({"status": "Completed", "total_failed": 2}, Answer.REFUSED),
        ({"status": "Completed", "failed": "2"}, Answer.REFUSED),
        ({"status": "Error", "total_failed": 0}, Answer.DELIVERED),
        ({"status": "Error", "total_failed": 3}, Answer.REFUSED),
        ({"status": "Fatal"}, Answer.REFUSED),
        ({"status": "Paused"}, Answer.UNANSWERED),
        ({"status": 5}, Answer.UNANSWERED),
        ({"status": None}, Answer.UNANSWERED),
        ({}, Answer.REFUSED),
        (None, Answer.REFUSED),
    ],
)
def test_a_task_is_followed_by_its_state_and_its_failed_rows(
    server: Recorder, route: ExternalRoute, task: Any, answer: Answer
) -> None:
    task_listed(server, task)
    verdict = route.look_up_task("7")
    assert (verdict.answer, verdict.task_id) == (answer, "7")


def test_a_count_of_failed_rows_that_is_the_text_0_is_none(
    server: Recorder, route: ExternalRoute
) -> None:
    task_listed(server, {"status": "Completed", "total_failed": "0"})
    assert route.look_up_task("7").answer is Answer.DELIVERED


@pytest.mark.parametrize(
    ("task_id", "asked"),
    [
        ("7", 7),
        ("t-7", "t-7"),
        ("5f1d", "5f1d"),
        ("123456789012345678901234", "123456789012345678901234"),
        ("²", "²"),
    ],
)
def test_a_task_is_asked_for_by_its_id_a_number_where_it_is_one(
    server: Recorder, route: ExternalRoute, task_id: str, asked: Any
) -> None:
    task_listed(server, {"status": "Completed"})
    assert route.look_up_task(task_id).answer is Answer.DELIVERED
    (body,) = server.bodies()
    assert body == {"apptoken": TOKEN, "condition": [["id", "=", asked]], "limit": 1}


@pytest.mark.parametrize("data", [None, {}, "text", 5, [5], ["x"], [[]]])
def test_a_strange_list_of_tasks_does_not_raise(
    server: Recorder, route: ExternalRoute, data: Any
) -> None:
    server.reply = (200, {"success": True, "data": data})
    assert route.look_up_task("7").answer is not Answer.DELIVERED


@pytest.mark.parametrize(
    ("status", "answer"), [(401, Answer.DENIED), (429, Answer.BUSY), (502, Answer.UNANSWERED)]
)
def test_what_hinders_the_question_about_a_task_is_not_taken_for_its_state(
    server: Recorder, route: ExternalRoute, status: int, answer: Answer
) -> None:
    server.reply = (status, {"success": False})
    assert route.look_up_task("7").answer is answer


# --- secrets, sizes ------------------------------------------------------------------------------


def test_a_route_cannot_be_printed_with_its_token(route: ExternalRoute) -> None:
    assert "S3CR3T" not in repr(route)
    assert "S3CR3T" not in str(route)


@pytest.mark.parametrize("columns", [0, 5, 60])
@pytest.mark.parametrize("rows", [1, 50])
def test_no_body_is_over_the_bytes_that_a_request_may_have_columns_included(
    server: Recorder, route: ExternalRoute, columns: int, rows: int
) -> None:
    most = 6000
    names = [f"attribute_with_a_long_name_{number}" for number in range(columns)]
    payloads = [{"user_id": str(row), **dict.fromkeys(names, "x" * 10)} for row in range(rows)]
    load = Load(
        sequences=list(range(rows)),
        actions=[0] * rows,
        users=[str(row) for row in range(rows)],
        records=[*payloads],
        event_ids=[()] * rows,
    )
    room = most - route.frame_bytes
    for batch in profile_batches(load, route.encode_profile, 1000, room):
        import_profiles(route, batch.columns, batch.records)
    load.records = [*route.encode_calls(EVENTS, payloads, [])]
    for batch in call_batches(load, 1000, room):
        hit(route, batch.records)
    assert max(len(asked.body) for asked in server.asked) <= most
