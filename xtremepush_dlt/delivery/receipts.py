"""Receipts: what the journal says about one load file, as rows for the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

from xtremepush_dlt.delivery.journal import Record
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.routes.verdict import Answer

Row = dict[str, Any]

_TRIED_AGAIN = (Answer.BUSY.value, Answer.UNANSWERED.value)
"""Answers after which the same request may be tried again."""


class Origin(NamedTuple):
    """Where the rows of a load file come from.

    Attributes:
        pipeline_name: Name of the pipeline.
        load_id: Id of the load package.
        file: dlt's job id of the file.
    """

    pipeline_name: str
    load_id: str
    file: str


class Replayed(NamedTuple):
    """A row of a replay's load file.

    Attributes:
        undelivered_id: The row of the ledger that is replayed.
        replay_id: The replay.
        pipeline_name: Pipeline that the row comes from.
        settled_us: When the row was not delivered, in microseconds since 1970.
    """

    undelivered_id: str
    replay_id: str
    pipeline_name: str
    settled_us: int


class _Pass(NamedTuple):
    """What the rows of a pass have in common."""

    table: str
    phase: str
    labels: Mapping[int, str]


def deliveries(records: Iterable[Record], origin: Origin) -> Iterator[Row]:
    """One row for each request that carried calls of a file, in the order of their ends.

    A row is given away as soon as nothing more can be said about its request. A request that was
    tried several times is one row, which tells of the last attempt. One whose process was killed
    before the answer is `unanswered`.

    Args:
        records: The journal of the load package.
        origin: The file.
    """
    rows: dict[str, Row] = {}
    by_task: dict[str, Row] = {}
    for record, of in _of_file(records, origin):
        kind = record["k"]
        if kind == "leaving":
            rows[record["request"]] = {
                "delivery_id": f"{origin.load_id}.{record['request']}",
                "load_id": origin.load_id,
                "pipeline_name": origin.pipeline_name,
                "table_name": of.table,
                "action": ", ".join(of.labels[index] for index in record["actions"]),
                "sent_at": _moment(record["at"]),
                "endpoint": record["endpoint"],
                "row_count": record["rows"],
                "outcome": Answer.UNANSWERED.value,
                "attempts": 1,
                "body": record.get("body"),
            }
        elif kind == "request" and record["rows"]:
            row = rows[record["request"]]
            row |= {
                "sent_at": _moment(record["at"] - record["seconds"]),
                "outcome": record["answer"],
                "status": record["status"],
                "code": record["code"],
                "attempts": record["attempt"],
                "latency_seconds": record["seconds"],
                "task_id": record["task"],
            }
            if record["answer"] == Answer.ACCEPTED.value:
                by_task[record["task"]] = rows.pop(record["request"])
            elif record["answer"] not in _TRIED_AGAIN:
                yield rows.pop(record["request"])
        elif kind in ("task_done", "task_failed", "settled") and record.get("task") in by_task:
            failed = kind == "task_failed"
            row = by_task.pop(record["task"])
            yield row | {"outcome": (Answer.REFUSED if failed else Answer.DELIVERED).value}
    yield from by_task.values()
    yield from rows.values()


def undelivered(records: Iterable[Record], origin: Origin) -> Iterator[Row]:
    """One row for each row of a file that ended invalid, rejected or unknown.

    Args:
        records: The journal of the load package.
        origin: The file.
    """
    for record, of in _of_file(records, origin):
        for row in record.get("undelivered", ()):
            problems = row.get("problems", ())
            reasons = [f"{column}: {reason}" if column else reason for column, reason in problems]
            yield {
                "undelivered_id": f"{origin.load_id}/{origin.file}/{of.phase}/{row['sequence']}",
                "load_id": origin.load_id,
                "pipeline_name": origin.pipeline_name,
                "table_name": of.table,
                "action": of.labels[row["action"]],
                "call": of.phase,
                "user_id": row["user"],
                "event_id": _event_id(row["event_id"]),
                "outcome": row["outcome"],
                "reason": "; ".join(reasons) or row["reason"],
                "column_names": ", ".join(column for column, _ in problems if column) or None,
                "status": row.get("status"),
                "code": row.get("code"),
                "message": row.get("message") or None,
                "settled_at": _moment(record["at"], row.get("rank", 0)),
                "payload": row["payload"],
            }


def superseding(
    records: Iterable[Record], origin: Origin, replayed: Sequence[Replayed] = ()
) -> Iterator[Row]:
    """One row for each call of a file that wrote attributes of a user who is watched.

    Args:
        records: The journal of the load package.
        origin: The file.
        replayed: What the rows of the file are, if it is a replay's. The values of a call that was
            replayed are as old as the call.
    """
    for record, of in _of_file(records, origin):
        for entry in record.get("superseding", ()):
            at = _moment(record["at"], entry.get("rank", 0))
            if replayed:
                at = moment_of(replayed[entry["sequence"]].settled_us)
            yield {
                "superseding_id": f"{origin.load_id}/{origin.file}/{of.phase}/{entry['sequence']}",
                "load_id": origin.load_id,
                "pipeline_name": origin.pipeline_name,
                "table_name": of.table,
                "action": of.labels[entry["action"]],
                "user_id": entry["user"],
                "attributes": orjson.dumps(entry["names"]).decode(),
                "delivered_at": at,
            }


def replays(
    records: Iterable[Record], origin: Origin, replayed: Sequence[Replayed], host: str
) -> Iterator[Row]:
    """One row for each row of a replay's file: its new outcome.

    Args:
        records: The journal of the load package.
        origin: The file.
        replayed: What the rows of the file are, in their order.
        host: Name of this machine.
    """
    outcomes: dict[int, tuple[str, str | None]] = {}
    at = 0.0
    for record, _ in _of_file(records, origin):
        at = record["at"]
        for sequence in record.get("merged", ()):
            outcomes[sequence] = (Outcome.MERGED.value, None)
        for row in record.get("undelivered", ()):
            why = "; ".join(reason for _, reason in row.get("problems", ())) or row["reason"]
            outcomes[row["sequence"]] = (row["outcome"], why)
    for sequence, row in enumerate(replayed):
        outcome, reason = outcomes.get(sequence, (Outcome.DELIVERED.value, None))
        yield {
            "replay_id": row.replay_id,
            "pipeline_name": row.pipeline_name,
            "undelivered_id": row.undelivered_id,
            "outcome": outcome,
            "reason": reason,
            "host": host,
            "at": _moment(at),
        }


def _of_file(records: Iterable[Record], origin: Origin) -> Iterator[tuple[Record, _Pass]]:
    passes: dict[str, _Pass] = {}
    for record in records:
        if record.get("file") != origin.file:
            continue
        phase = record["phase"]
        if record["k"] == "began":
            passes[phase] = _Pass(record["table"], phase, dict(record["actions"]))
        if phase in passes:
            # what comes before are questions about imports that a crash left behind
            yield record, passes[phase]


def _moment(seconds: float, microseconds: int = 0) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc) + timedelta(microseconds=microseconds)


def _event_id(values: list[Any]) -> str | None:
    """An event id of several columns is a JSON list, one of a single column its text."""
    if not values:
        return None
    return str(values[0]) if len(values) == 1 else orjson.dumps(values).decode()


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def microseconds_of(moment: datetime) -> int:
    """A moment as microseconds since 1970: a float would lose the last of them."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(microseconds: int) -> datetime:
    """The moment so many microseconds after the beginning of 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)
