"""Syncs customers and orders from a SQL warehouse to Xtremepush: the script to start from.

Each run reads what is new or has changed since the last one and sends only that:

    customers  ->  identify         create or update the profile
    orders     ->  order_placed     an event, once, when the order is paid
    refunds    ->  order_refunded   an event, once, when the money goes back

Start it from the root of the project: ``python pipelines/warehouse_pipeline.py``. Which warehouse
and which Xtremepush project it works with is said in ``.dlt/`` alone: ``.dlt/config.toml`` and
``.dlt/secrets.toml``, or the environment variables that dlt reads in their place.
"""

import dlt
from dlt.extract import DltResource
from dlt.sources.sql_database import sql_table

from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter


def changed_rows(table: str, cursor: str) -> DltResource:
    """Reads the rows of a table whose cursor column lies at or after the newest one seen before.

    dlt keeps the newest value and which rows had it. They are read again, because a row with the
    very same time may have come later, and those that were seen are dropped: by the primary key
    if the table has one, by their whole content otherwise. So a second run sends nothing.

    Rows that appear with a time *before* the newest one, as those of a long transaction may, are
    not seen. Where that happens, take a column that only grows, such as the time of loading.
    """
    return sql_table(
        table=table,
        # Arrow all the way from the database: several times faster than Python rows
        backend="pyarrow",
        # orchestrators load this file often: the warehouse is asked only when a run needs it
        defer_table_reflect=True,
        incremental=dlt.sources.incremental(
            cursor,
            # the oldest first, so that a user's events arrive in the order they happened
            row_order="asc",
            # an order that is not paid yet has no placed_at: its turn comes when it has
            on_cursor_value_missing="exclude",
        ),
    )


def customers() -> DltResource:
    """Customers become profiles. A column that is not named here stays in the warehouse."""
    return xtremepush_adapter(
        changed_rows("customers", "updated_at"),
        identify(
            user_id="id",
            email="email",
            email_subscription="email_opt_in",  # consent is never assumed: name its column
            mobile_number="phone",
            sms_subscription="sms_opt_in",
            language="language",
            timezone="timezone",
            attributes=[
                "first_name",
                "last_name",
                "birth_date",
                "loyalty_points",
                "lifetime_value",
                "vip",
                "notes",
            ],
        ),
    )


# The two events of an order have their own moment, so each is read by a cursor of its own. With
# `updated_at` for both, an order that is paid today and shipped tomorrow would be "placed" twice.


def orders() -> DltResource:
    """Orders that are paid become `order_placed`."""
    return xtremepush_adapter(
        changed_rows("orders", "placed_at"),
        track(
            "order_placed",
            user_id="customer_id",
            timestamp="placed_at",
            properties={"order_id": "id", "amount": "amount", "currency": "currency"},
            when={"status": ["paid", "shipped"]},
        ),
    )


def refunds() -> DltResource:
    """Orders that are refunded become `order_refunded`."""
    return xtremepush_adapter(
        changed_rows("orders", "refunded_at").with_name("refunds"),
        track(
            "order_refunded",
            user_id="customer_id",
            timestamp="refunded_at",
            properties={"order_id": "id", "amount": "amount", "currency": "currency"},
            when={"status": "refunded"},
        ),
    )


PIPELINE_NAME = "warehouse_to_xtremepush"  # the ledger knows the cursors by this name


# the section is where the settings of the warehouse stand
@dlt.source(name=PIPELINE_NAME, section="sql_database")
def warehouse() -> tuple[DltResource, ...]:
    """All that is synced; `airflow_dag.py` and `dagster_definitions.py` take it from here."""
    return customers(), orders(), refunds()


def main() -> None:
    """Runs the sync and prints what became of every row."""
    pipeline = dlt.pipeline(PIPELINE_NAME, destination="xtremepush")
    pipeline.run(warehouse())
    print(delivery_report(pipeline))


if __name__ == "__main__":
    main()
