"""A small DuckDB warehouse with the mess that real tables have, the same on every machine.

``python -m pipelines.demo_warehouse warehouse.duckdb`` makes one to try the pipeline on.
"""

import argparse
import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

CUSTOMERS = 2_000
ORDERS = 10_000

CHANGED_CUSTOMERS = (7, 42, 1234)
NEW_ORDERS = tuple(range(ORDERS + 1, ORDERS + 6))

SEED = 1997
START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as most warehouses keep UTC

# No primary key, and the id is a float: the table came through a data frame once.
CUSTOMERS_SQL = """
CREATE TABLE customers (
    id DOUBLE, email VARCHAR, email_opt_in VARCHAR, phone VARCHAR, sms_opt_in VARCHAR,
    first_name VARCHAR, last_name VARCHAR, language VARCHAR, timezone VARCHAR, birth_date DATE,
    loyalty_points DOUBLE, lifetime_value DECIMAL(12, 2), vip BOOLEAN, notes VARCHAR,
    updated_at TIMESTAMP)
"""
ORDERS_SQL = """
CREATE TABLE orders (
    id BIGINT PRIMARY KEY, customer_id BIGINT, status VARCHAR, amount DECIMAL(10, 2),
    currency VARCHAR, items INTEGER, created_at TIMESTAMP, placed_at TIMESTAMP,
    refunded_at TIMESTAMP)
"""

_FIRST_NAMES = ("Aoife", "Siobhán", "Conor", "Zoë", "José", "Łukasz", " Mary ", "李", "D'Arcy", "")
_LAST_NAMES = ("Byrne", "O'Brien", "Ní Bhriain", "Müller", "Smith-Jones", "Nowak", "de la Cruz")

Row = dict[str, Any]
_T = TypeVar("_T")


def build(path: Path) -> None:
    """Makes the warehouse: 2,000 customers and 10,000 orders.

    Args:
        path: The DuckDB file; it must not exist.

    Raises:
        FileExistsError: If it does.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already. Name another file, or remove it.")
    draw = random.Random(SEED)
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute(CUSTOMERS_SQL)
        warehouse.execute(ORDERS_SQL)
        _insert(warehouse, "customers", _customers(draw))
        _insert(warehouse, "orders", [_order(draw, number) for number in range(1, ORDERS + 1)])


def change(path: Path) -> None:
    """Changes 3 customers and adds 5 orders, some at the very time of the newest rows.

    Args:
        path: A file that `build` made.
    """
    with duckdb.connect(str(path)) as warehouse:
        # the same time as the newest customer's: a cursor alone would not see this change
        first, *others = CHANGED_CUSTOMERS
        warehouse.execute(
            "UPDATE customers SET loyalty_points = coalesce(loyalty_points, 0) + 100, "
            "updated_at = (SELECT max(updated_at) FROM customers) WHERE id = ?",
            [first],
        )
        warehouse.execute(
            "UPDATE customers SET email_opt_in = 'N', "
            "updated_at = (SELECT max(updated_at) + INTERVAL 1 MINUTE FROM customers) "
            "WHERE id IN (SELECT unnest(?))",
            [others],
        )
        for position, number in enumerate(NEW_ORDERS):
            warehouse.execute(
                "INSERT INTO orders SELECT ?, ?, ?, 49.90, 'EUR', 1, max(placed_at), "
                "max(placed_at) + to_minutes(?), NULL FROM orders",
                [
                    number,
                    100 + position,
                    ("paid", "shipped")[position % 2],
                    min(position, 1),  # the first at the very time of the newest order
                ],
            )


def _customers(draw: random.Random) -> list[Row]:
    rows = [_customer(draw, number) for number in range(1, CUSTOMERS + 1)]
    # exported twice: the older copy of the same customer comes first
    copies = [
        {**row, "loyalty_points": None, "updated_at": row["updated_at"] - timedelta(days=30)}
        for row in draw.sample(rows, 15)
    ]
    blanks = [{**row, "id": None} for row in draw.sample(rows, 4)]
    return [*copies, *rows, *blanks]


def _customer(draw: random.Random, number: int) -> Row:
    email = f"customer{number}@example.com"
    subscriber = f"{draw.randrange(10**7):07d}"
    return {
        "id": float(number),
        "email": _mess(
            draw,
            email,
            (f"  {email.title()} ", None, "", "n/a", f"customer{number}.example.com"),
        ),
        "email_opt_in": _mess(draw, "Y", ("N", "true", "0", "yes", None, "unknown"), share=0.3),
        "phone": _mess(
            draw,
            f"35385{subscriber}",
            (
                f"+353 85 {subscriber[:3]} {subscriber[3:]}",
                f"00353-85-{subscriber}",
                f"085 {subscriber}",  # national: nobody can tell the country
                None,
                "",
                "ask again",
            ),
            share=0.5,
        ),
        "sms_opt_in": _mess(draw, "1", ("0", "Y", "no", None), share=0.5),
        "first_name": draw.choice(_FIRST_NAMES),
        "last_name": draw.choice(_LAST_NAMES),
        "language": _mess(draw, "en", ("EN", "Ga", None, "", "en-IE", "English"), share=0.4),
        "timezone": _mess(draw, "Europe/Dublin", ("Europe/Warsaw", None, "Dublin"), share=0.2),
        "birth_date": _mess(
            draw,
            date(1950, 1, 1) + timedelta(days=draw.randrange(20_000)),
            (None, date(1900, 1, 1)),
        ),
        "loyalty_points": _mess(draw, float(draw.randrange(5_000)), (None, float("nan"), 0.5)),
        "lifetime_value": Decimal(draw.randrange(1_000_000)) / 100,
        "vip": draw.choice((True, False, None)),
        "notes": _mess(draw, None, ("Calls on Mondays.", "Left a long note. " * 10), share=0.05),
        # written by a nightly batch: many rows share one time
        "updated_at": START + timedelta(days=draw.randrange(200)),
    }


def _order(draw: random.Random, number: int) -> Row:
    status = draw.choices(
        ("paid", "shipped", "refunded", "pending", "cancelled"), (45, 40, 6, 6, 3)
    )[0]
    created = START + timedelta(seconds=draw.randrange(200 * 86_400))
    placed = None if status == "pending" else created + timedelta(minutes=draw.randrange(60))
    return {
        "id": number,
        # a guest checked out: nobody to tell the event of
        "customer_id": None if draw.random() < 0.005 else draw.randint(1, CUSTOMERS),
        "status": status,
        "amount": Decimal(draw.randrange(100, 50_000)) / 100,
        "currency": _mess(draw, "EUR", ("GBP", None)),
        "items": draw.randint(1, 9),
        "created_at": created,
        "placed_at": placed,
        "refunded_at": placed + timedelta(days=3) if placed and status == "refunded" else None,
    }


def _mess(draw: random.Random, clean: _T, mess: tuple[_T, ...], share: float = 0.1) -> _T:
    return draw.choice(mess) if draw.random() < share else clean


def _insert(warehouse: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    warehouse.register("new_rows", pa.table(columns))
    warehouse.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")  # noqa: S608  # a constant of this module
    warehouse.unregister("new_rows")


def main() -> None:
    """Makes a warehouse where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the DuckDB file to make")
    build(parser.parse_args().path)


if __name__ == "__main__":
    main()
