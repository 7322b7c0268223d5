"""Marks of replays in the ledger: which began and have not ended, on whatever machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import orjson

from xtremepush_dlt.ledger.job import writing
from xtremepush_dlt.ledger.loading import load_rows
from xtremepush_dlt.ledger.rows import OpenLedger, Row, read_rows, reading
from xtremepush_dlt.ledger.tables import REPLAYS

BEGAN, ENDED = "began", "ended"


@dataclass(frozen=True)
class Mark:
    """A replay that began.

    Attributes:
        replay_id: Its id.
        host: Machine that it began on.
        at: When.
        table: The table that it is restricted to, if any.
        unknown: Whether it sends events that may have arrived.
        ended: Whether it has ended.
    """

    replay_id: str
    host: str
    at: datetime
    table: str | None
    unknown: bool
    ended: bool

    def __str__(self) -> str:
        return f"on `{self.host}` at {self.at:%Y-%m-%d %H:%M:%S} UTC"


class Marks:
    """The marks of one pipeline's replays.

    Args:
        open_ledger: Opens a client of the companion that knows the ledger's tables.
        pipeline_name: Name of the pipeline whose rows are replayed.
    """

    def __init__(self, open_ledger: OpenLedger, pipeline_name: str) -> None:
        self._open_ledger = open_ledger
        self._pipeline_name = pipeline_name

    def read(self) -> dict[str, Mark]:
        """Replays that began, by id.

        Raises:
            LedgerError: If the ledger cannot be read.
        """
        where = {"pipeline_name": [self._pipeline_name], "outcome": [BEGAN, ENDED]}
        with reading(self._open_ledger) as client:
            rows = read_rows(client, REPLAYS, where)
        ended = {row["replay_id"] for row in rows if row["outcome"] == ENDED}
        return {row["replay_id"]: _mark(row, ended) for row in rows if row["outcome"] == BEGAN}

    def under_way(self, own: str | None = None) -> list[Mark]:
        """Replays that began and have not ended, the oldest first.

        Args:
            own: One that is not meant.
        """
        marks = [mark for mark in self.read().values() if not mark.ended]
        return sorted((mark for mark in marks if mark.replay_id != own), key=lambda mark: mark.at)

    def begin(self, replay_id: str, table: str | None, unknown: bool) -> None:
        """Marks that a replay begins.

        Args:
            replay_id: Its id.
            table: The table that it is restricted to, if any.
            unknown: Whether it sends events that may have arrived.
        """
        options = orjson.dumps({"table": table, "unknown": unknown}).decode()
        self._write([self._row(replay_id, BEGAN, options)])

    def end(self, replay_id: str) -> None:
        """Marks that a replay has ended."""
        self._write([self._row(replay_id, ENDED)])

    def give_up(self, replay_id: str, undelivered_ids: Iterable[str]) -> None:
        """Marks rows of a replay that nobody goes on with: whether they were sent is not known.

        Args:
            replay_id: The replay.
            undelivered_ids: The rows.
        """
        self._write(
            {
                **self._row(replay_id, "unknown", "its replay was taken over"),
                "undelivered_id": undelivered_id,
            }
            for undelivered_id in undelivered_ids
        )

    def _row(self, replay_id: str, outcome: str, reason: str | None = None) -> Row:
        return {
            "replay_id": replay_id,
            "pipeline_name": self._pipeline_name,
            "undelivered_id": None,
            "outcome": outcome,
            "reason": reason,
            "host": socket.gethostname(),
            "at": datetime.now(timezone.utc),
        }

    def _write(self, rows: Iterable[Row]) -> None:
        batch = [*rows]
        if batch:
            # no two marks share a file, whoever writes them
            with writing(REPLAYS), self._open_ledger() as client:
                load_rows(client, REPLAYS, batch[0]["replay_id"], secrets.token_hex(5), [batch])


def _mark(row: dict[str, Any], ended: set[str]) -> Mark:
    options = orjson.loads(row["reason"])
    return Mark(
        row["replay_id"],
        row["host"],
        row["at"],
        options["table"],
        options["unknown"],
        row["replay_id"] in ended,
    )
