"""One whole run of one contender, in a process of its own; prints the seconds as JSON.

Only `pipeline.run()` is timed, the same for all: making the rows and importing are not.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import dlt
import pyarrow as pa
import requests
from dlt.common.destination import Destination
from dlt.extract import DltResource

PAGE = 10_000
"""Rows that the source yields at once."""

BATCH = 1_000
"""Rows in a batch of the decorated contenders, and this destination's default for events."""

CATEGORIES = ("books", "games", "garden", "music", "shoes", "toys")
COMMENTS = (None, "left at the door", 'Ünïcödé, and a "quote"', "a gift: please wrap it in blue")
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def make_row(number: int) -> dict[str, Any]:
    """A row of 10 columns, as an events table has them."""
    return {
        "row_id": number,
        "user_id": number * 7919 % 20_000 + 1,
        "event": "order_placed" if number % 3 else "order_refunded",
        "occurred_at": START + timedelta(seconds=number, microseconds=number % 1000),
        "score": number / 7,
        "amount": Decimal(number % 100_000) / 100,
        "quantity": number % 9 + 1,
        "is_member": number % 2 == 0,
        "category": CATEGORIES[number % len(CATEGORIES)],
        "comment": COMMENTS[number % len(COMMENTS)],
    }


def source(kind: str, rows: int) -> DltResource:
    """A resource whose rows lie in memory, so that a run times dlt and the destination only."""
    pages: list[Any] = [
        [make_row(number) for number in range(start, min(start + PAGE, rows))]
        for start in range(0, rows, PAGE)
    ]
    if kind == "arrow":
        schema = pa.schema(
            [
                pa.field("row_id", pa.int64(), nullable=False),
                ("user_id", pa.int64()),
                ("event", pa.string()),
                ("occurred_at", pa.timestamp("us", tz="UTC")),
                ("score", pa.float64()),
                ("amount", pa.decimal128(12, 2)),
                ("quantity", pa.int64()),
                ("is_member", pa.bool_()),
                ("category", pa.string()),
                ("comment", pa.string()),
            ]
        )
        pages = [pa.Table.from_pylist(page, schema=schema) for page in pages]

    @dlt.resource(name="events", primary_key="row_id")
    def events() -> Iterator[Any]:
        yield from pages

    return events()


def no_op(kind: str, url: str) -> Destination[Any, Any]:
    """dlt's own work and nothing else: the files are read, the rows are dropped."""

    @dlt.destination(batch_size=BATCH, loader_file_format=_file_format(kind))
    def no_op_sink(items: Any, table: Any) -> None:
        pass

    return no_op_sink()


def plain(kind: str, url: str) -> Destination[Any, Any]:
    """What one writes in ten minutes: each batch as the JSON of one POST.

    With a session, so that the connection is kept, and converting only what JSON lacks: the
    encoder that `requests` finds beside dlt knows decimals, but not dates.
    """
    session = requests.Session()

    @dlt.destination(batch_size=BATCH, loader_file_format=_file_format(kind))
    def plain_sink(items: Any, table: Any) -> None:
        rows = items.to_pylist() if kind == "arrow" else items
        events = [{**row, "occurred_at": row["occurred_at"].isoformat()} for row in rows]
        session.post(url, json={"events": events}).raise_for_status()

    return plain_sink()


def this(kind: str, url: str) -> Destination[Any, Any]:
    """This destination, with its default settings."""
    from xtremepush_dlt import xtremepush

    return xtremepush(api_endpoint=url, credentials={"app_token": "bench-token"})


def without_ledger(kind: str, url: str) -> Destination[Any, Any]:
    """This destination without the memory that outlives the machine."""
    from xtremepush_dlt import xtremepush

    return xtremepush(api_endpoint=url, credentials={"app_token": "bench-token"}, ledger="none")


CONTENDERS: dict[str, Callable[[str, str], Destination[Any, Any]]] = {
    "no-op sink": no_op,
    "plain requests": plain,
    "xtremepush": this,
    "without ledger": without_ledger,
}
OURS = ("xtremepush", "without ledger")


def run(contender: str, kind: str, rows: int, url: str) -> float:
    """Runs a contender on rows that lie in memory, and checks that all of them arrived.

    Raises:
        RuntimeError: If the server has not received what it should have.
    """
    resource = source(kind, rows)
    destination = CONTENDERS[contender](kind, url)
    if contender in OURS:
        from xtremepush_dlt import column, track, xtremepush_adapter

        resource = xtremepush_adapter(
            resource, track(column("event"), user_id="user_id", timestamp="occurred_at")
        )
    with tempfile.TemporaryDirectory(prefix="xtremepush-bench-") as folder:
        pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=destination)
        requests.get(url, timeout=10)  # the count starts anew
        began = time.perf_counter()
        pipeline.run(resource)
        seconds = time.perf_counter() - began
        arrived = requests.get(url, timeout=10).json()
        wanted = 0 if contender == "no-op sink" else rows
        if arrived["rows"] != wanted:
            raise RuntimeError(f"{contender}: {arrived['rows']} rows arrived instead of {wanted}.")
        if contender in OURS:
            _check_report(pipeline, rows)
    return seconds


def _file_format(kind: str) -> Any:
    return "parquet" if kind == "arrow" else "typed-jsonl"


def _check_report(pipeline: dlt.Pipeline, rows: int) -> None:
    from xtremepush_dlt import delivery_report

    delivered = delivery_report(pipeline).count("delivered")
    if delivered != rows:
        raise RuntimeError(f"The report tells of {delivered} delivered rows instead of {rows}.")


def main() -> None:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("source", choices=("dict", "arrow"))
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--url", required=True)
    options = parser.parse_args()
    seconds = run(options.contender, options.source, options.rows, options.url)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
