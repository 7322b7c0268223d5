"""A small sync with one row of each kind of trouble, in this process and in one to be killed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt

from xtremepush_dlt import identify, track, xtremepush, xtremepush_adapter

REJECTED, INVALID = "u3", None
"""The sandbox refuses whatever is sent about one user; another row has no user at all."""


def orders(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Orders, the oldest first; of the first five one is invalid and one will be rejected."""
    return [
        {
            "order_id": number,
            "user_id": INVALID if number == 1 else f"u{number}",
            "placed_at": f"2026-01-01T00:00:{number % 60:02d}Z",
            "total": number * 1.5,
        }
        for number in range(first, count)
    ]


def resources(rows: Sequence[dict[str, Any]]) -> list[Any]:
    """Profiles and events of some orders, each read from its own cursor on."""

    @dlt.resource(name="buyers", columns={"user_id": {"data_type": "text"}})
    def buyers(after: Any = dlt.sources.incremental("order_id")) -> Any:  # noqa: B008  # dlt's way
        yield [{"user_id": row["user_id"], "order_id": row["order_id"]} for row in rows]

    @dlt.resource(name="orders", columns={"user_id": {"data_type": "text"}})
    def placed(after: Any = dlt.sources.incremental("order_id")) -> Any:  # noqa: B008  # dlt's way
        yield list(rows)

    return [
        xtremepush_adapter(buyers(), identify()),
        xtremepush_adapter(
            placed(), track("order_placed", timestamp="placed_at", event_id="order_id")
        ),
    ]


def main(url: str, token: str, pipelines_dir: str, ledger: str, count: str) -> None:
    """Runs the sync slowly enough to be killed in the middle."""
    destination = xtremepush(
        url,
        {"app_token": token},
        ledger=ledger,
        event_batch_size=5,
        max_connections=1,
        max_undelivered=1.0,
    )
    pipeline = dlt.pipeline("crm_sync", destination=destination, pipelines_dir=pipelines_dir)
    pipeline.run(resources(orders(int(count))))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(*sys.argv[1:])
