"""The kinds of calls, and what tells one call from another."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import orjson

from xtremepush_dlt.mapping import segment_formats
from xtremepush_dlt.mapping.payloads import Payload

Call = Literal["identify", "track", "delete"]

_OURS = uuid.UUID("2f0f3a52-7d38-5d0c-9a55-2d1c2f8f8d3e")
"""Namespace of the ids that are made here; never to be changed, or a resend would look new."""


class CallSource(NamedTuple):
    """Where calls come from: the same on any machine and any day.

    Attributes:
        call: Their kind.
        pipeline_name: Name of the pipeline.
        table: Name of the table.
        action: What tells the action from the others of its table.
    """

    call: Call
    pipeline_name: str
    table: str
    action: str


def message_ids(
    source: CallSource, payloads: Iterable[Payload], ids: Sequence[object]
) -> Iterator[str]:
    """An id for each call, the same whenever the same row is sent again.

    An event is told by its event id, and by its content where it has none. Other calls are told
    by their content, and by what tells one version of the row from another if there is such a
    column.

    Args:
        source: Where the calls come from.
        payloads: The calls.
        ids: Event ids of the rows: values or tuples of them, or nothing at all.
    """
    begin = _written([*source])
    own = _written_ids(ids)
    for index, payload in enumerate(payloads):
        told = own[index] if own else b""
        if source.call != "track" or not told:
            told += _written(payload)
        else:
            # one row may make several events
            told += _written(payload.get("event"))
        yield str(uuid.uuid5(_OURS, (begin + told).decode()))


def _written_ids(ids: Sequence[object]) -> list[bytes]:
    """Event ids as JSON; empty where a row has none."""
    if not ids:
        return []
    columns = zip(*(each if isinstance(each, tuple) else (each,) for each in ids), strict=True)
    # a moment is another object in each file format, and is written alike
    formatted = [segment_formats.identity(column).values for column in columns]
    return [
        b"" if all(value is None for value in row) else _written(row)
        for row in zip(*formatted, strict=True)
    ]


def _written(value: Any) -> bytes:
    return orjson.dumps(value, default=_shortest, option=orjson.OPT_SORT_KEYS)


def _shortest(value: Any) -> orjson.Fragment:
    """A Decimal without the zeros at its end: parquet fills them up to the column's scale."""
    if not isinstance(value, Decimal):
        raise TypeError(f"no JSON form for {type(value).__name__}")
    # also a zero that has a sign, which parquet does not keep
    text = format(value or Decimal(0), "f")
    return orjson.Fragment(text.rstrip("0").rstrip(".") if "." in text else text)
