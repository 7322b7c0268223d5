"""What a replay's load package holds: calls of the ledger, a table for each kind of call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from xtremepush_dlt.delivery.receipts import Replayed, microseconds_of
from xtremepush_dlt.load_file import read_load_file
from xtremepush_dlt.mapping.stored import ID, PAYLOAD, SETTLED, USER
from xtremepush_dlt.replay.undelivered import UndeliveredRow

_PIPELINE_SUFFIX = "_replay"
_TABLE_PREFIX = "xtremepush_replay_"
_REPLAY, _PIPELINE = "replay_id", "pipeline_name"
_TYPES: dict[str, Any] = {
    ID: "text",
    _REPLAY: "text",
    _PIPELINE: "text",
    USER: "text",
    PAYLOAD: "text",
    SETTLED: "bigint",
}


def replay_name(pipeline_name: str) -> str:
    """Name of the pipeline that replays the rows of another."""
    return pipeline_name + _PIPELINE_SUFFIX


def is_replay(table: str) -> bool:
    """Whether a table of a load package holds calls that are replayed."""
    return table.startswith(_TABLE_PREFIX)


def call_of(table: str) -> str:
    """The kind of the calls of such a table."""
    return table.removeprefix(_TABLE_PREFIX)


def holds_replay(package: Path) -> bool:
    """Whether a load package is a replay's."""
    return any(is_replay(path.name) for path in package.glob("*_jobs/*"))


def replay_resources(rows: Iterable[UndeliveredRow], replay_id: str) -> list[DltResource]:
    """Rows of the ledger as dlt resources, in the order in which they were not delivered.

    Args:
        rows: The rows, in that order.
        replay_id: The replay.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        tables.setdefault(_TABLE_PREFIX + row.call, []).append(
            {
                ID: row.undelivered_id,
                _REPLAY: replay_id,
                _PIPELINE: row.pipeline_name,
                USER: row.user_id,
                PAYLOAD: row.payload,
                SETTLED: microseconds_of(row.settled_at),
            }
        )
    return [
        dlt.resource(
            held,
            name=table,
            columns={name: {"data_type": kind} for name, kind in _TYPES.items()},
            file_format="typed-jsonl",
        )
        for table, held in tables.items()
    ]


def read_replayed(path: str) -> Sequence[Replayed]:
    """What the rows of a replay's load file are, in their order.

    Args:
        path: Full path of the file.
    """
    return [
        Replayed(*values)
        for batch in read_load_file(path, [ID, _REPLAY, _PIPELINE, SETTLED], _TYPES)
        for values in zip(
            *(batch.column(name) for name in (ID, _REPLAY, _PIPELINE, SETTLED)), strict=True
        )
    ]
