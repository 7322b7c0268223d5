"""The tables of the ledger beside dlt's own: what was sent, and what was not."""

from __future__ import annotations

from collections.abc import Sequence

from dlt.common.data_types import TDataType
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.schema.utils import new_table, pipeline_state_table

LEDGER = "xtremepush_ledger"
"""Name of the dataset in the companion, and of the schema of the tables below."""

DELIVERIES = "deliveries"
"""One row for each request that carried calls."""

UNDELIVERED = "undelivered"
"""One row for each row that ended invalid, rejected or unknown."""

REPLAYS = "replays"
"""One row for each undelivered row that was replayed, and marks where replays began and ended."""

SUPERSEDING = "superseding"
"""One row for each call that was delivered to a user some of whose rows were not."""

_FILE_PREFIX = "_dlt_xtremepush_"
"""Begins the names of load files for the ledger: no table of a user can be called so."""


def _column(name: str, data_type: TDataType, nullable: bool = True) -> TColumnSchema:
    return {"name": name, "data_type": data_type, "nullable": nullable}


_COLUMNS: dict[str, Sequence[TColumnSchema]] = {
    DELIVERIES: (
        _column("delivery_id", "text", nullable=False),
        _column("load_id", "text", nullable=False),
        _column("pipeline_name", "text", nullable=False),
        _column("table_name", "text", nullable=False),
        _column("action", "text", nullable=False),
        _column("sent_at", "timestamp", nullable=False),
        _column("endpoint", "text", nullable=False),
        _column("row_count", "bigint", nullable=False),
        _column("outcome", "text", nullable=False),
        _column("status", "bigint"),
        _column("code", "bigint"),
        _column("attempts", "bigint", nullable=False),
        _column("latency_seconds", "double"),
        _column("task_id", "text"),
        _column("body", "text"),
    ),
    UNDELIVERED: (
        _column("undelivered_id", "text", nullable=False),
        _column("load_id", "text", nullable=False),
        _column("pipeline_name", "text", nullable=False),
        _column("table_name", "text", nullable=False),
        _column("action", "text", nullable=False),
        _column("call", "text", nullable=False),
        _column("user_id", "text"),
        _column("event_id", "text"),
        _column("outcome", "text", nullable=False),
        _column("reason", "text", nullable=False),
        _column("column_names", "text"),
        _column("status", "bigint"),
        _column("code", "bigint"),
        _column("message", "text"),
        _column("settled_at", "timestamp", nullable=False),
        _column("payload", "text"),
    ),
    REPLAYS: (
        _column("replay_id", "text", nullable=False),
        _column("pipeline_name", "text", nullable=False),
        _column("undelivered_id", "text"),
        _column("outcome", "text", nullable=False),
        _column("reason", "text"),
        _column("host", "text", nullable=False),
        _column("at", "timestamp", nullable=False),
    ),
    SUPERSEDING: (
        _column("superseding_id", "text", nullable=False),
        _column("load_id", "text", nullable=False),
        _column("pipeline_name", "text", nullable=False),
        _column("table_name", "text", nullable=False),
        _column("action", "text", nullable=False),
        _column("user_id", "text", nullable=False),
        _column("attributes", "text", nullable=False),
        _column("delivered_at", "timestamp", nullable=False),
    ),
}

KEYS: dict[str, Sequence[str]] = {
    DELIVERIES: ("delivery_id",),
    UNDELIVERED: ("undelivered_id",),
    REPLAYS: ("replay_id", "undelivered_id", "outcome"),
    SUPERSEDING: ("superseding_id",),
}
"""Columns that tell one row from another: dlt loads each at least once."""

LEDGER_TABLES = tuple(_COLUMNS)
"""Names of the ledger's tables, dlt's own not counted."""


def file_table(table: str) -> str:
    """Name under which rows for a table of the ledger stand in a load package."""
    return _FILE_PREFIX + table


def table_of_file(name: str) -> str | None:
    """The ledger's table that a load file is for; None if it is for another one."""
    table = name.removeprefix(_FILE_PREFIX)
    return table if table in _COLUMNS and table != name else None


def ledger_schema(naming_of: Schema) -> Schema:
    """The schema of the ledger's tables.

    Args:
        naming_of: A schema of the pipeline, whose naming convention it takes: dlt's tables and the
            ledger's stand in one dataset.
    """
    schema = Schema(LEDGER, normalizers=naming_of.to_dict()["normalizers"])
    # a reader of the dataset finds the state of its pipelines through this schema
    schema.update_table(pipeline_state_table())
    for name, columns in _COLUMNS.items():
        table = new_table(name, write_disposition="append", columns=[*columns], resource=name)
        # dlt makes a table visible to queries once its normalizer has seen data for it
        table["x-normalizer"] = {"seen-data": True}
        schema.update_table(table)
    schema._bump_version()  # noqa: SLF001  # dlt's way to say that a schema made by hand is finished
    return schema
