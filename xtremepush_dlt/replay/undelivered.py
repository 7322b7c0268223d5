"""Rows that were not delivered, and which of them may be sent again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import orjson

from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.delivery.receipts import microseconds_of
from xtremepush_dlt.delivery.watch import REPLAYABLE, Memory
from xtremepush_dlt.ledger.rows import OpenLedger, read_rows, reading
from xtremepush_dlt.ledger.tables import REPLAYS, SUPERSEDING, UNDELIVERED
from xtremepush_dlt.mapping.stored import StoredCall, names_of

CLOSING = (Outcome.DELIVERED, Outcome.MERGED, Outcome.SKIPPED, Outcome.UNKNOWN)
"""Outcomes of a replay after which a row is not replayed again."""


class Standing(Enum):
    """What can be done about a row that was not delivered."""

    OPEN = "open"
    """It can be replayed."""

    DOUBTFUL = "doubtful"
    """An event that may have arrived: it is replayed only if the user says so."""

    INVALID = "invalid"
    """Mended at its source: the row comes again when it changes there."""

    WITHOUT_PAYLOAD = "without payload"
    """The ledger was told not to keep it."""

    CLOSED = "closed"
    """A replay has dealt with it."""


@dataclass(frozen=True, repr=False)
class UndeliveredRow:
    """A row of the ledger's table `undelivered`; `standing` says what can be done about it."""

    undelivered_id: str
    pipeline_name: str
    table_name: str
    action: str
    call: StoredCall
    user_id: str | None
    event_id: str | None
    outcome: Outcome
    reason: str
    settled_at: datetime
    payload: str | None
    standing: Standing


def read_undelivered(open_ledger: OpenLedger, pipeline_name: str) -> list[UndeliveredRow]:
    """Rows of a pipeline that were not delivered, in the order in which that was known.

    Args:
        open_ledger: Opens a client of the companion that knows the ledger's tables.
        pipeline_name: Name of the pipeline.

    Raises:
        LedgerError: If the ledger cannot be read.
    """
    of_pipeline = {"pipeline_name": [pipeline_name]}
    with reading(open_ledger) as client:
        closed = _closed(read_rows(client, REPLAYS, of_pipeline))
        rows = [_row(row, closed) for row in read_rows(client, UNDELIVERED, of_pipeline)]
    return sorted(rows, key=_in_order)


def read_memory(open_ledger: OpenLedger, of_replay: bool) -> Memory:
    """Which users are to be watched, over all pipelines of the ledger.

    Args:
        open_ledger: Opens a client of the companion that knows the ledger's tables.
        of_replay: Whether it is also needed what was delivered to them since.

    Raises:
        LedgerError: If the ledger cannot be read.
    """
    outcomes = {"outcome": [outcome.value for outcome in REPLAYABLE]}
    with reading(open_ledger) as client:
        rows = read_rows(client, UNDELIVERED, outcomes)
        closed = _closed(read_rows(client, REPLAYS)) if rows else ()
        delivered = read_rows(client, SUPERSEDING) if rows and of_replay else ()
    rows = [row for row in rows if row["undelivered_id"] not in closed]
    kept = [row for row in rows if row["user_id"] is not None and row["payload"] is not None]
    users = {row["user_id"] for row in kept}
    writing = {row["user_id"] for row in kept if names_of(row["call"], row["payload"].encode())}
    superseding: dict[str, dict[str, int]] = {}
    for row in delivered:
        if row["user_id"] in users:
            at = microseconds_of(row["delivered_at"])
            known = superseding.setdefault(row["user_id"], {})
            for name in orjson.loads(row["attributes"]):
                known[name] = max(at, known.get(name, at))
    return Memory(users, writing, superseding)


def _closed(replays: Iterable[Mapping[str, Any]]) -> set[str]:
    closing = {outcome.value for outcome in CLOSING}
    return {
        row["undelivered_id"]
        for row in replays
        if row["undelivered_id"] is not None and row["outcome"] in closing
    }


def _row(row: Mapping[str, Any], closed: set[str]) -> UndeliveredRow:
    outcome = Outcome(row["outcome"])
    if row["undelivered_id"] in closed:
        standing = Standing.CLOSED
    elif outcome not in REPLAYABLE:
        standing = Standing.INVALID
    elif row["payload"] is None or row["user_id"] is None:
        standing = Standing.WITHOUT_PAYLOAD
    elif outcome is Outcome.UNKNOWN and row["call"] == "track":
        standing = Standing.DOUBTFUL
    else:
        standing = Standing.OPEN
    return UndeliveredRow(
        row["undelivered_id"],
        row["pipeline_name"],
        row["table_name"],
        row["action"],
        row["call"],
        row["user_id"],
        row["event_id"],
        outcome,
        row["reason"],
        row["settled_at"],
        row["payload"],
        standing,
    )


def _in_order(row: UndeliveredRow) -> tuple[datetime, Sequence[Any]]:
    """Rows that were written down together stand in the order of their file."""
    file, _, sequence = row.undelivered_id.rpartition("/")
    return row.settled_at, (file, int(sequence) if sequence.isdigit() else 0)
