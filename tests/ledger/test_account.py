"""The account in the ledger: each request, and each row that was not delivered."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import dlt
import pytest

from tests.conftest import Desk, MakeDesk
from tests.ledger.conftest import Home, rows_of
from tests.ledger.shop import REJECTED, orders, resources
from xtremepush_dlt import identify, ledger, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults, SandboxSettings

POISON = Faults(poison_users=frozenset({REJECTED}))


def account(desk: Desk, *data: Any, **settings: Any) -> tuple[list[Any], list[Any]]:
    """The rows of both tables after a run."""
    pipeline = desk.pipeline(**settings)
    pipeline.run(list(data))
    tables = ledger(pipeline)
    return rows_of(tables.deliveries), rows_of(tables.undelivered)


def hits(count: int) -> Any:
    """Events of one table."""
    rows = [{"user_id": f"u{n}", "at": "2026-01-01T00:00:00Z", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="hits"), track("hit", timestamp="at"))


def people(count: int) -> Any:
    """Profiles of one table."""
    rows = [{"user_id": f"u{n}", "plan": "gold"} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="people"), identify())


def test_each_request_is_a_row_that_says_what_when_where_and_how_it_went(
    desk: Desk, ledger_home: Home
) -> None:
    sent, not_sent = account(
        desk, people(5), hits(7), ledger=ledger_home.name, event_batch_size=3, max_connections=1
    )
    assert not_sent == []
    assert Counter((row["table_name"], row["action"], row["row_count"]) for row in sent) == {
        ("people", "identify", 5): 1,
        ("hits", "track hit", 3): 2,
        ("hits", "track hit", 1): 1,
    }
    assert len(sent) == len(desk.sandbox.requests)
    assert len({row["delivery_id"] for row in sent}) == 4
    for row in sent:
        assert (row["outcome"], row["status"], row["attempts"]) == ("delivered", 200, 1)
        assert row["endpoint"].startswith(desk.sandbox.url)
        assert 0 < row["latency_seconds"] < 5
        assert row["pipeline_name"] == "crm_sync"
        assert row["body"] is None
        assert row["sent_at"].tzinfo is not None


def test_a_request_that_was_tried_again_is_one_row_with_its_number_of_attempts(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(plan=(503, 429)))
    sent, _ = account(desk, hits(3), retry_patience=10)
    assert [(row["attempts"], row["outcome"], row["status"]) for row in sent] == [
        (3, "delivered", 200)
    ]


def test_a_refused_batch_and_its_halves_are_rows_of_their_own(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=POISON)
    sent, not_sent = account(desk, hits(4), ledger_payloads="all")
    assert len(sent) == len(desk.posts("hit"))
    assert sent[0]["outcome"] == "refused"
    assert sum(row["row_count"] for row in sent if row["outcome"] == "delivered") == 3
    assert [row["user_id"] for row in not_sent] == [REJECTED]


def test_an_import_that_became_a_task_is_told_with_its_task_and_its_end(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(SandboxSettings(task_seconds=0.01), Faults(plan=("ok",), task_failures=0.0))
    sent, _ = account(desk, people(150))
    assert [(row["status"], row["outcome"]) for row in sent] == [(202, "delivered")]
    assert sent[0]["task_id"]


def test_an_import_whose_task_failed_is_told_as_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(
        SandboxSettings(task_seconds=0.01),
        Faults(poison_users=frozenset({"u7"}), poison_tasks=True),
    )
    sent, not_sent = account(desk, people(150))
    first = min(sent, key=lambda row: row["sent_at"])
    assert (first["status"], first["outcome"]) == (202, "refused")
    assert [row["user_id"] for row in not_sent] == ["u7"]


def test_each_row_that_was_not_delivered_is_told_with_its_reason_and_its_call(
    make_desk: MakeDesk, ledger_home: Home
) -> None:
    desk = make_desk(faults=POISON)
    _, not_sent = account(desk, *resources(orders(5)), ledger=ledger_home.name)
    found = {(row["table_name"], row["outcome"]): row for row in not_sent}
    assert set(found) == {
        ("buyers", "invalid"),
        ("buyers", "rejected"),
        ("orders", "invalid"),
        ("orders", "rejected"),
    }
    invalid, rejected = found["orders", "invalid"], found["orders", "rejected"]
    assert (invalid["reason"], invalid["column_names"]) == ("user_id: missing", "user_id")
    assert (invalid["user_id"], invalid["event_id"], invalid["status"]) == (None, "1", None)
    assert (rejected["reason"], rejected["status"], rejected["code"]) == ("HTTP 400", 400, 400)
    assert (rejected["call"], rejected["action"]) == ("track", "track order_placed")
    assert json.loads(rejected["payload"]) == {
        "user_id": REJECTED,
        "event": "order_placed",
        "timestamp": "2026-01-01 00:00:03 +00:00",
        "value": {"order_id": 3, "total": 4.5},
    }
    assert rejected["message"]
    assert len({row["undelivered_id"] for row in not_sent}) == 4


def test_on_request_the_exact_body_of_every_request_is_kept_without_the_credential(
    make_desk: MakeDesk, ledger_home: Home
) -> None:
    desk = make_desk(faults=POISON)
    sent, _ = account(desk, *resources(orders(9)), ledger=ledger_home.name, ledger_payloads="all")
    kept = sorted(json.dumps(json.loads(row["body"]), sort_keys=True) for row in sent)
    posts = [{**(post.body or {})} for post in desk.sandbox.requests]
    for body in posts:
        body.pop("apptoken", None)
    assert kept == sorted(json.dumps(body, sort_keys=True) for body in posts)
    assert desk.sandbox.app_token not in "".join(kept)


@pytest.mark.parametrize("kept", ["none", "undelivered"])
def test_no_call_is_kept_that_the_user_does_not_want_kept(make_desk: MakeDesk, kept: Any) -> None:
    desk = make_desk(faults=POISON)
    sent, not_sent = account(desk, *resources(orders(5)), ledger_payloads=kept)
    assert {row["body"] for row in sent} == {None}
    assert all((row["payload"] is None) == (kept == "none") for row in not_sent)
    if kept == "none":
        written = "".join(path.read_text() for path in desk.pipelines_dir.rglob("*journal.jsonl"))
        assert "2026-01-01" not in written


def test_names_that_a_database_would_not_take_are_no_business_of_the_ledger(
    desk: Desk, ledger_home: Home
) -> None:
    rows = [{"user_id": "u1", "at": "2026-01-01", "Select": 1, "täg " + "x" * 120: 2}]
    tables = ["deliveries", "undelivered", "Order", "a" * 100, "with space"]
    resources = [
        xtremepush_adapter(dlt.resource(rows, name=name), track("hit", timestamp="at"))
        for name in tables
    ]
    sent, _ = account(desk, *resources, ledger=ledger_home.name)
    assert {row["table_name"] for row in sent} == set(tables)
    assert len(desk.sandbox.events) == len(tables)


def test_dlts_own_reports_of_a_run_do_not_disturb_the_ledger(desk: Desk, ledger_home: Home) -> None:
    pipeline = desk.pipeline(ledger=ledger_home.name)
    info = pipeline.run(hits(3))
    requests = len(desk.sandbox.requests)
    pipeline.run([info], table_name="_load_info")
    pipeline.run([pipeline.last_trace], table_name="_trace")
    assert len(desk.sandbox.requests) == requests
    assert len(rows_of(ledger(pipeline).deliveries)) == 1
