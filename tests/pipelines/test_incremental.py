"""Promises about incremental syncs: only what is new or changed is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import duckdb
import pytest
from dlt.sources.sql_database import sql_table

from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter

if TYPE_CHECKING:
    from tests.conftest import Desk

pytestmark = pytest.mark.usefixtures("dlt_home")


def customers(rows: list[dict[str, Any]]) -> Any:
    """A resource that offers all rows, of which dlt takes what is new."""

    @dlt.resource(name="customers", primary_key="id")
    def read(changed: Any = dlt.sources.incremental("changed_at")) -> Any:  # noqa: B008  # dlt's way
        yield rows

    return xtremepush_adapter(read(), identify(user_id="id", attributes=["plan"]))


def test_a_second_run_sends_nothing_and_a_third_only_what_changed(desk: Desk) -> None:
    rows = [{"id": n, "plan": "basic", "changed_at": 100 + n} for n in range(5)]
    assert desk.deliver(customers(rows)).count("delivered") == 5
    again = desk.deliver(customers(rows))
    assert len(desk.imported()) == 5
    assert (again.offered, again.load_ids) == (0, ())

    rows[1] = {"id": 1, "plan": "pro", "changed_at": 200}
    rows.append({"id": 9, "plan": "pro", "changed_at": 201})
    third = desk.deliver(customers(rows))
    assert desk.imported()[5:] == [
        {"user_id": "1", "plan": "pro"},
        {"user_id": "9", "plan": "pro"},
    ]
    assert third.count("delivered") == 2


@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")  # of dlt
def test_rows_that_came_while_a_package_was_pending_are_sent_by_the_run_after_it(
    desk: Desk,
) -> None:
    rows = [{"id": n, "plan": "basic", "changed_at": 100 + n} for n in range(3)]
    with pytest.raises(Exception, match="401"):
        desk.deliver(customers(rows), credentials={"app_token": "wrong"})
    rows.append({"id": 9, "plan": "pro", "changed_at": 300})
    # dlt delivers what is pending first, and extracts in the run after it
    for _ in range(2):
        desk.deliver(customers(rows))
    taken = [post for post in desk.posts("import") if post.status == 200]
    assert [row for post in taken for row in post.body["rows"]] == [
        ["0", "basic"],
        ["1", "basic"],
        ["2", "basic"],
        ["9", "pro"],
    ]


@pytest.mark.parametrize("backend", ["sqlalchemy", "pyarrow"])
def test_a_warehouse_table_is_synced_row_by_changed_row(
    backend: Any, desk: Desk, dlt_home: Path
) -> None:
    warehouse = dlt_home / "warehouse.duckdb"

    def change(statement: str) -> None:
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(statement)

    def sync() -> Any:
        table = sql_table(
            f"duckdb:///{warehouse}",
            "orders",
            backend=backend,
            incremental=dlt.sources.incremental("placed_at", primary_key="id"),
        )
        action = track(
            "order", user_id="customer", timestamp="placed_at", properties=["id", "total"]
        )
        pipeline = desk.pipeline()
        pipeline.run(xtremepush_adapter(table, action))
        return delivery_report(pipeline)

    change(
        "CREATE TABLE orders "
        "(id BIGINT, customer VARCHAR, placed_at TIMESTAMP, total DECIMAL(18, 2))"
    )
    change(
        "INSERT INTO orders SELECT n, 'c' || n % 3, TIMESTAMP '2026-01-01' + n * INTERVAL 1 HOUR, "
        "n + 0.25 FROM range(10) t(n)"
    )
    assert sync().count("delivered") == 10
    assert sync().offered == 0
    # two of them at the very moment of the last one: the cursor's edge
    change(
        "INSERT INTO orders VALUES (100, 'c1', '2026-01-01 09:00:00', 5.50), "
        "(101, 'c1', '2026-01-02', 6.75)"
    )
    assert sync().count("delivered") == 2
    assert sorted(hit["value"]["id"] for hit in desk.hits()) == [*range(10), 100, 101]
    last = next(hit for hit in desk.hits() if hit["value"]["id"] == 101)
    assert last["timestamp"] == "2026-01-02 00:00:00 +00:00"
    assert last["value"]["total"] == 6.75
    assert last["user_id"] == "c1"
