"""Real input: 18 months of purchases in a music shop, from a warehouse to profiles and events."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.extract import DltResource
from dlt.sources.sql_database import sql_table

from tests.conftest import Desk
from xtremepush_dlt import DeliveryReport, identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Sandbox
from xtremepush_dlt.sandbox.events import Event

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "CDNOW_sample.txt"

pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="../shared/data/CDNOW_sample.txt is not on this machine"
)

CUSTOMERS, PURCHASES = 2_357, 6_919

# DuckDB's own reading of the file, apart from the one in `warehouse`: what the sandbox holds is
# compared with this.
FROM_FILE = f"""
    SELECT field[2] AS customer, strptime(field[3], '%Y%m%d')::DATE AS day,
           field[4]::INTEGER AS cds, field[5]::DECIMAL(10, 2) AS dollars
    FROM (SELECT regexp_split_to_array(trim(unnest(string_split(content, chr(10)))), ' +') AS field
          FROM read_text('{FILE}'))
    WHERE len(field) = 5
"""


class Purchase(NamedTuple):
    """A row of the warehouse's table `purchases`."""

    number: int
    customer: str
    day: str
    cds: int
    dollars: str


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE purchases (number BIGINT PRIMARY KEY, customer VARCHAR, day DATE, "
            "cds INTEGER, dollars DECIMAL(10, 2))"
        )
        connection.execute(
            "CREATE VIEW customers AS SELECT customer, count(*) AS purchases, "
            "sum(dollars)::DECIMAL(12, 2) AS total_spent, min(day) AS first_purchase, "
            "max(day) AS last_purchase FROM purchases GROUP BY customer"
        )
    append(path, purchases_in_file())
    return path


def purchases_in_file() -> Iterator[Purchase]:
    for number, line in enumerate(FILE.read_text("ascii").splitlines(), start=1):
        _master_id, customer, day, cds, dollars = line.split()
        date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        yield Purchase(number, customer, date, int(cds), dollars)


def append(warehouse: Path, purchases: Iterable[Purchase]) -> None:
    columns = zip(Purchase._fields, zip(*purchases, strict=True), strict=True)
    with duckdb.connect(str(warehouse)) as connection:
        connection.register("appended", pa.table({name: list(column) for name, column in columns}))
        connection.execute("INSERT INTO purchases BY NAME SELECT * FROM appended")


def changed_rows(warehouse: Path, table: str, cursor: str) -> DltResource:
    return sql_table(
        credentials=f"duckdb:///{warehouse}",
        table=table,
        backend="pyarrow",
        incremental=dlt.sources.incremental(cursor, row_order="asc"),
    )


def sync(desk: Desk, warehouse: Path) -> DeliveryReport:
    return desk.deliver(
        xtremepush_adapter(
            changed_rows(warehouse, "customers", "last_purchase"), identify(user_id="customer")
        ),
        xtremepush_adapter(
            changed_rows(warehouse, "purchases", "day"),
            track("purchase", user_id="customer", timestamp="day"),
        ),
    )


def sql(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.sql(query).fetchall()


def value(event: Event) -> dict[str, Any]:
    assert isinstance(event.value, dict)
    return event.value


def cents(number: object) -> Decimal:
    return Decimal(str(number))


def kept_profiles(sandbox: Sandbox) -> set[tuple[Any, ...]]:
    return {
        (
            user,
            kept["purchases"],
            cents(kept["total_spent"]),
            kept["first_purchase"],
            kept["last_purchase"],
        )
        for user, kept in sandbox.profiles.items()
    }


def kept_events(sandbox: Sandbox) -> Counter[tuple[Any, ...]]:
    return Counter(
        (event.user_id, f"{event.timestamp:%Y-%m-%d}", value(event)["cds"], dollars(event))
        for event in sandbox.events
    )


def dollars(event: Event) -> Decimal:
    return cents(value(event)["dollars"])


def test_what_xtremepush_holds_equals_sql_over_the_file_to_the_cent(
    desk: Desk, warehouse: Path
) -> None:
    report = sync(desk, warehouse)

    profiles = kept_profiles(desk.sandbox)
    assert len(profiles) == CUSTOMERS
    assert profiles == set(
        sql(
            "SELECT customer, count(*), sum(dollars), min(day)::VARCHAR, max(day)::VARCHAR "
            f"FROM ({FROM_FILE}) GROUP BY customer"
        )
    )

    events = kept_events(desk.sandbox)
    assert events.total() == PURCHASES
    assert events == Counter(sql(f"SELECT customer, day::VARCHAR, cds, dollars FROM ({FROM_FILE})"))
    sums = [
        (
            sum(value(event)["cds"] for event in desk.sandbox.events),
            sum(map(dollars, desk.sandbox.events)),
        )
    ]
    assert sums == sql(f"SELECT sum(cds), sum(dollars) FROM ({FROM_FILE})")

    assert report.count("delivered", "customers") == CUSTOMERS
    assert report.count("delivered", "purchases") == PURCHASES
    assert report.offered == CUSTOMERS + PURCHASES


def test_purchases_of_one_customer_on_one_day_are_separate_events(
    desk: Desk, warehouse: Path
) -> None:
    sync(desk, warehouse)

    repeats = sql(
        f"SELECT customer, day::VARCHAR, count(*) FROM ({FROM_FILE}) "
        "GROUP BY customer, day HAVING count(*) > 1"
    )
    held = Counter((event.user_id, f"{event.timestamp:%Y-%m-%d}") for event in desk.sandbox.events)
    assert repeats
    assert {(user, day): held[user, day] for user, day, _ in repeats} == {
        (user, day): count for user, day, count in repeats
    }


def test_the_events_of_each_customer_arrive_in_the_order_they_happened(
    desk: Desk, warehouse: Path
) -> None:
    sync(desk, warehouse)

    arrived: dict[str, list[Any]] = {}
    for event in desk.sandbox.events:
        arrived.setdefault(event.user_id, []).append(event.timestamp)
    assert any(len(set(moments)) > 1 for moments in arrived.values())
    assert all(moments == sorted(moments) for moments in arrived.values())


def test_a_second_run_sends_nothing(desk: Desk, warehouse: Path) -> None:
    sync(desk, warehouse)
    requests = len(desk.sandbox.requests)

    report = sync(desk, warehouse)

    assert requests > 0
    assert len(desk.sandbox.requests) == requests
    assert report.offered == 0


def test_a_third_run_sends_the_appended_purchases_and_their_customers_alone(
    desk: Desk, warehouse: Path
) -> None:
    sync(desk, warehouse)
    sync(desk, warehouse)
    before = kept_profiles(desk.sandbox)
    last = max(purchases_in_file(), key=lambda purchase: purchase.day)
    appended = [
        # the newest purchase once more: the same customer, day, CDs and dollars
        last._replace(number=PURCHASES + 1),
        last._replace(number=PURCHASES + 2, customer="0001", dollars="0.01"),
        last._replace(number=PURCHASES + 3, customer="0002", day="1998-07-01", dollars="19.99"),
        last._replace(number=PURCHASES + 4, customer="new", day="1998-07-01"),
    ]
    append(warehouse, appended)

    report = sync(desk, warehouse)

    arrived = desk.sandbox.events[PURCHASES:]
    assert sorted(value(event)["number"] for event in arrived) == [
        purchase.number for purchase in appended
    ]
    assert sum(map(dollars, arrived)) == sum(cents(purchase.dollars) for purchase in appended)
    touched = {purchase.customer for purchase in appended}
    assert {user for user, *_ in kept_profiles(desk.sandbox) ^ before} == touched
    assert report.count("delivered", "purchases") == report.offered - len(touched) == len(appended)
