"""The list of what was not delivered, for a person to read: reasons and counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from xtremepush_dlt.delivery.report import text_table
from xtremepush_dlt.replay.choice import choose, rows_
from xtremepush_dlt.replay.undelivered import Standing, UndeliveredRow

_HEADS = [
    "table",
    "action",
    "outcome",
    "reason",
    "rows",
    "first (UTC)",
    "last (UTC)",
    "can be replayed",
]


def describe(pipeline_name: str, rows: Iterable[UndeliveredRow]) -> str:
    """Reasons and counts of the rows that were not delivered and not replayed since.

    It carries no customer's value.

    Args:
        pipeline_name: Name of the pipeline.
        rows: Its rows.
    """
    rows = [*rows]
    groups: dict[tuple[str, str, str, str], list[UndeliveredRow]] = {}
    for row in _not_closed(rows):
        key = (row.table_name, row.action, row.outcome.value, row.reason)
        groups.setdefault(key, []).append(row)
    if not groups:
        lines = [f"`{pipeline_name}` has no row that was not delivered."]
    else:
        lines = text_table(
            [
                _HEADS,
                *(
                    [
                        *key,
                        str(len(held)),
                        _moment(held[0].settled_at),
                        _moment(held[-1].settled_at),
                        str(sum(row.standing is Standing.OPEN for row in held)),
                    ]
                    for key, held in sorted(groups.items())
                ),
            ],
            left=4,
        )
        lines[-1:] = [lines[-1], ""]
    choice = choose(rows, None, unknown=False)
    if choice.rows:
        lines.append(
            f"{rows_(len(choice.rows))} can be replayed when the cause is mended: "
            f"dlt xtremepush replay {pipeline_name}"
        )
    lines += choice.remarks
    if replayed := choice.left[Standing.CLOSED]:
        lines.append(f"{rows_(replayed)} {'was' if replayed == 1 else 'were'} replayed since.")
    return "\n".join(lines)


def name_rows(rows: Iterable[UndeliveredRow], most: int) -> str:
    """The newest rows one by one: user, event and reason, never what was to be sent.

    Args:
        rows: The rows, the oldest first.
        most: How many to name.
    """
    newest = [*_not_closed(rows)][-most:]
    lines: Sequence[Sequence[str]] = [
        [
            row.table_name,
            row.action,
            row.user_id or "-",
            row.event_id or "-",
            _moment(row.settled_at),
            f"{row.outcome.value}: {row.reason}",
        ]
        for row in newest
    ]
    if not lines:
        return ""
    heads = ["table", "action", "user", "event id", "when (UTC)", "why"]
    return "\n".join(text_table([heads, *lines], left=len(heads)))


def _not_closed(rows: Iterable[UndeliveredRow]) -> Iterable[UndeliveredRow]:
    return (row for row in rows if row.standing is not Standing.CLOSED)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
