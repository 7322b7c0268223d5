"""Rows that used to fare worse than the report said, each with its promise."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import dlt
import pytest

from tests.conftest import BareServer, Desk, MakeDesk
from xtremepush_dlt import column, delivery_report, identify, track, xtremepush, xtremepush_adapter

ROWS = [{"user_id": f"u{n}", "at": "2026-01-01T00:00:00Z"} for n in range(3)]


def hits(rows: list[dict[str, Any]], **arguments: Any) -> Any:
    return xtremepush_adapter(
        dlt.resource(rows, name="hits"), track("hit", timestamp="at", **arguments)
    )


@pytest.mark.parametrize(
    "reply",
    [
        {"success": True, "errors": {"4711": "bad"}},
        {"success": True, "errors": [{"row": 3}]},
        {"success": True, "errors": [{"row": 1}], "data": {"failed": 3}},
    ],
    ids=["keyed by something else", "counted from 1", "fewer named than failed"],
)
def test_events_whose_refusal_cannot_be_placed_are_unknown_and_none_counts_as_delivered(
    dlt_home: Any, bare_server: BareServer, reply: dict[str, Any]
) -> None:
    bare_server.answer = lambda path, body: (200, json.dumps(reply).encode())
    destination = xtremepush(bare_server.url, {"app_token": "t"}, max_undelivered=1.0)
    pipeline = dlt.pipeline("p", destination=destination, pipelines_dir=str(dlt_home / "p"))
    pipeline.run(hits(ROWS))
    report = delivery_report(pipeline)
    assert (report.count("unknown"), report.count("delivered")) == (3, 0)


@pytest.mark.parametrize(
    "reply", [{"code": 422, "message": "x"}, {"error": "x"}, {"status": "failure"}]
)
def test_a_reply_that_bears_the_marks_of_a_failure_is_none_of_success(
    dlt_home: Any, bare_server: BareServer, reply: dict[str, Any]
) -> None:
    bare_server.answer = lambda path, body: (200, json.dumps(reply).encode())
    destination = xtremepush(bare_server.url, {"app_token": "t"}, max_undelivered=1.0)
    pipeline = dlt.pipeline("p", destination=destination, pipelines_dir=str(dlt_home / "p"))
    pipeline.run(hits(ROWS))
    assert delivery_report(pipeline).count("rejected") == 3


def test_an_address_in_a_column_of_upper_case_is_an_address_with_all_that_asks_for(
    desk: Desk,
) -> None:
    rows = [{"user_id": "u1", "EMAIL": "a@example.com", "Phone": "353850123456", "tier": "gold"}]
    people = dlt.resource(rows, name="people")
    desk.deliver(xtremepush_adapter(people, identify(email=None, mobile_number=None)))
    assert desk.imported() == [{"user_id": "u1", "tier": "gold"}]
    with pytest.raises(Exception, match="email_subscription"):
        desk.deliver(
            xtremepush_adapter(dlt.resource(rows, name="people"), identify()), name="other"
        )


def test_rows_are_selected_by_a_date_and_by_a_decimal(desk: Desk) -> None:
    rows = [
        {**row, "day": date(2026, 1, 1 + n), "price": Decimal(999 + n) / 100}
        for n, row in enumerate(ROWS)
    ]
    by_day = desk.deliver(hits(rows, when={"day": "2026-01-02"}), name="by_day")
    by_price = desk.deliver(hits(rows, when={"price": [9.99, 10]}), name="by_price")
    assert (by_day.count("delivered"), by_price.count("delivered")) == (1, 2)


def test_events_of_one_row_have_message_ids_of_their_own(make_desk: MakeDesk) -> None:
    desk = make_desk()
    orders = [{**ROWS[0], "id": 1, "status": status} for status in ("placed", "shipped")]
    moments = [{"user_id": "u1", "id": 1, "paid": "2026-01-01", "shipped": "2026-01-02"}]
    desk.deliver(
        xtremepush_adapter(
            dlt.resource(orders, name="orders"),
            track(column("status"), timestamp="at", event_id="id"),
        ),
        xtremepush_adapter(
            dlt.resource(moments, name="moments"),
            track("changed", timestamp="paid", event_id="id"),
            track("changed", timestamp="shipped", event_id="id"),
        ),
        credentials={"segment_api_key": desk.sandbox.segment_api_key},
    )
    sent = [post.body["messageId"] for post in desk.sandbox.requests if post.body]
    assert len(sent) == len(set(sent)) == 4


def test_a_report_says_how_many_reasons_it_does_not_show(desk: Desk) -> None:
    names = [f"amount_{n}" for n in range(7)]
    rows = [{**ROWS[0], **dict.fromkeys(names, "x" * 200)}]
    people = xtremepush_adapter(dlt.resource(rows, name="people"), identify())
    report = str(desk.deliver(people, on_invalid_value="omit"))
    assert report.count("left out people") == 5
    assert "... and 2 more" in report
