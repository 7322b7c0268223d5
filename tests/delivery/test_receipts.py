"""Receipts: rows for the ledger are given away while the journal is still being read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xtremepush_dlt.delivery.receipts import Origin, deliveries

ORIGIN = Origin("crm_sync", "load-1", "orders.file-1")
BEGAN = {"k": "began", "table": "orders", "actions": [[0, "track order"]]}


def of_file(record: dict[str, Any]) -> dict[str, Any]:
    return {"file": ORIGIN.file, "phase": "track", "at": 100.0, **record}


def leaving(name: str) -> dict[str, Any]:
    """A request that leaves."""
    return of_file(
        {"k": "leaving", "request": name, "rows": 1, "actions": [0], "endpoint": "https://x"}
    )


def answered(name: str, answer: str, attempt: int = 1, task: str | None = None) -> dict[str, Any]:
    """An attempt that came to an end."""
    told = {"k": "request", "request": name, "rows": 1, "answer": answer, "attempt": attempt}
    return of_file({**told, "status": 200, "code": 200, "seconds": 1.0, "task": task})


def test_a_row_is_given_away_as_soon_as_its_request_has_ended() -> None:
    read = 0

    def journal() -> Iterator[dict[str, Any]]:
        nonlocal read
        yield of_file(BEGAN)
        for number in range(1000):
            read = number
            yield leaving(str(number))
            yield answered(str(number), "delivered")

    rows = deliveries(journal(), ORIGIN)
    for number in range(1000):
        assert next(rows)["delivery_id"] == f"load-1.{number}"
        assert read == number


def test_a_request_that_was_tried_again_is_one_row_about_the_last_attempt() -> None:
    journal = [
        of_file(BEGAN),
        leaving("a"),
        answered("a", "busy"),
        leaving("b"),
        answered("b", "refused"),
        answered("a", "unanswered", 2),
        answered("a", "delivered", 3),
    ]
    found = [
        (row["delivery_id"], row["outcome"], row["attempts"]) for row in deliveries(journal, ORIGIN)
    ]
    assert found == [("load-1.b", "refused", 1), ("load-1.a", "delivered", 3)]


def test_requests_without_an_answer_and_tasks_without_an_end_come_last() -> None:
    journal = [
        of_file(BEGAN),
        *map(leaving, "abcd"),
        answered("b", "accepted", task="7"),
        answered("c", "accepted", task="8"),
        answered("d", "unanswered"),
        of_file({"k": "task_failed", "task": "8"}),
    ]
    found = {row["delivery_id"]: row["outcome"] for row in deliveries(journal, ORIGIN)}
    assert found == {
        "load-1.c": "refused",
        "load-1.b": "accepted",
        "load-1.a": "unanswered",
        "load-1.d": "unanswered",
    }
    assert next(iter(found)) == "load-1.c"


def test_questions_about_older_imports_that_come_before_a_pass_begins_are_no_deliveries() -> None:
    question = {**answered("q", "delivered"), "rows": 0}
    journal = [question, of_file(BEGAN), leaving("a"), answered("a", "delivered")]
    assert [row["delivery_id"] for row in deliveries(journal, ORIGIN)] == ["load-1.a"]
